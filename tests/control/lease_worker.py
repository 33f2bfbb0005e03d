"""A process of its own that works with leases: `python lease_worker.py URL SEED CALLS TTL_S [http]`; tests kill it.

Each call costs what `cost_of` says, some fail, some are cancelled. It tells each step in a line, so that a test knows
when a lease is held, and ends when money is gone or its calls are made.
"""

from __future__ import annotations

import json
import random
import sys
import time

from outlay.control.leases import Leases
from outlay.control.store import ControlStore
from outlay.core.lease import Ask
from outlay.core.quote import Call

WAIT_S = 0.01
PATIENCE = 150


def tell(what: object) -> None:
    """One line for whoever listens."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(url: str, seed: int, calls: int, ttl_s: float) -> None:
    """Works until it is refused for good."""
    lot = random.Random(seed)
    with ControlStore(url) as store:
        desk = Leases(store)
        ask = Ask(
            {"team": "search"}, call=Call("acme", "dear", input_tokens=10, max_tokens=100), ttl_ns=int(ttl_s * 1e9)
        )
        tell("ready")
        sys.stdin.readline()
        for _ in range(calls):
            grant = desk.decide(ask)
            for _ in range(PATIENCE):
                if grant.refusal is None or not grant.refusal.retryable:
                    break
                time.sleep(WAIT_S)
                grant = desk.decide(ask)
            if grant.refusal is not None:
                told = {name: getattr(grant.refusal, name) for name in ("reason", "limit", "spent", "held", "left")}
                tell({"refused": told})
                return
            tell({"held": grant.amount_nano})
            ending = lot.random()
            if ending < 0.1:
                desk.give_back(grant.lease)  # the provider failed
                continue
            most = grant.amount_nano if grant.max_tokens is None else min(grant.amount_nano, 40 + grant.max_tokens * 10)
            cost = min(most, 40 + lot.randint(10, 26) * 10)
            desk.settle(grant.lease, cost // 2 if ending < 0.2 else cost)  # some are cancelled on the way
        tell({"done": calls})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
