"""Which view goes to which channel every week or month, for every face."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from outlay.control.policies import set_policy
from outlay.faces.plain import Reply, reply
from outlay.govern.digests import POLICY, digests_in_force, read_digests

if TYPE_CHECKING:
    from outlay.control.store import ControlStore


def digests_reply(store: ControlStore) -> Reply:
    """A row a digest, with when it was last due."""
    now = datetime.now(UTC)
    rows = [{**item.told(), "view": item.view, "due": item.due(now)} for item in digests_in_force(store)]
    return reply({}, rows, {"digests": len(rows)})


def set_digests(store: ControlStore, said: object, actor: str) -> Reply:
    """Puts a list of digests into force; an empty one ends them."""
    wanted = [item.told() for item in read_digests(said, store)]
    changed = set_policy(store, POLICY, wanted or None, actor)
    told = digests_reply(store)
    told["total"]["changed"] = changed
    return told
