"""What a budget costs the agent that is under it: deciding and settling in memory and through SQLite; calls; processes.

    in memory     decide and settle from the chunk that this process holds, by the clock, each on its own
    amortised     the same with the statements that fetch new chunks, in CPU
    through SQLite   a lease of its own for each call: what capped sessions and the last part of a budget cost;
                  beside it the shortest transaction that writes: what the machine adds by itself
    a guard       `with outlay.guard(estimate_usd=…) as lease: lease.settle(…)`
    a call        what a budget adds to a metered httpx2 call that is answered from memory, in CPU
    processes     several at once against one cap: how much of it was in use when the first was refused
    races         many calls at once for one cap, by tasks, threads and processes: admitted, and billed of the cap

An empty store and one filled with leases that are over show that nothing grows with what was spent. The slow end means
something only where nobody takes the processor away: on a busy machine run it before others (`chrt -f 1`).
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import measure

sys.path.insert(0, str(measure.ROOT / "tests"))

from budgeting import NANO, put, put_rates, standing, store_of
from obliging_provider import obliging_provider
from racing import each_nano, race, teach

ROUNDS = 5

WORKER = """
import sys, outlay
outlay.init(instrument=False, runtime=False)
print("ready", flush=True)
sys.stdin.readline()
first = passed = 0
for number in range(100_000):
    try:
        with outlay.guard(team="search", estimate_usd="0.01") as lease:
            lease.settle(amount_usd="0.01")
            passed += 1
    except outlay.BudgetExceeded as error:
        first = error.refusal.spent + error.refusal.held
        break
print(passed, first, flush=True)
"""


def fresh(home: Path) -> None:
    """This process as it would begin on that home."""
    import outlay

    leave()
    os.environ["OUTLAY_HOME"] = str(home)
    outlay.init(runtime=False)


def leave() -> None:
    """This process has nothing more to do with a home, which may be removed."""
    from outlay.sdk import office, setup

    office.office.close()
    setup.forget()


def clocked(times: int, decide: Callable[[], Any], settle: Callable[[Any], None]) -> list[float]:
    """Microseconds of deciding and settling, one by one."""
    taken: list[float] = []
    for _ in range(times):
        begun = time.perf_counter_ns()
        settle(decide())
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return taken


def shown(rounds: list[list[float]]) -> dict[str, Any]:
    """The median, and the slow end of each round: its median and range."""
    return {
        "median_us": round(statistics.median(each for taken in rounds for each in taken), 2),
        "p99_us": measure.spread([measure.percentile(taken, 0.99) for taken in rounds]),
    }


def decisions(home: Path, times: int) -> dict[str, Any]:
    """In memory and through SQLite, by the till; a guard; the least that SQLite can do; in turns, by the clock.

    `cpu_us` is amortised: with the statements that fetch chunks.
    """
    import outlay
    from outlay.core.quote import quote_amount
    from outlay.sdk import context, office
    from outlay.sdk.chunks import Need

    put(home, "search", 1_000_000, {"team": "search"})
    put(home, "capped", 1_000_000, {"team": "capped"}, caps={"steps": 10**9})
    fresh(home)
    taken: dict[str, list[list[float]]] = {}
    cpu: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):
        for name, team in (("in memory", "search"), ("through SQLite", "capped")):
            with outlay.session(team=team):
                run, till = context.current().run, office.till()
                assert till is not None

                def decide(run: Any = run, till: Any = till) -> Any:
                    need = Need(quote_amount(10_000, None), None, 10_000, counts={"steps": 1})
                    return till.hold(till.account(run), need)

                def settle(hold: Any, till: Any = till) -> None:
                    till.settle(hold, 10_000)

                begun = time.process_time_ns()
                found = clocked(times, decide, settle)
                if number:  # the first warms up
                    taken.setdefault(name, []).append(found)
                    cpu.setdefault(name, []).append((time.process_time_ns() - begun) / times / 1000)
        with outlay.session(team="search"):
            found = clocked(times, _enter, _leave)
        if number:
            taken.setdefault("a guard", []).append(found)
            taken.setdefault("an update of one row in SQLite", []).append(_updates(home, times))
    figures = {name: shown(rounds) for name, rounds in taken.items()}
    for name, rounds in cpu.items():
        figures[name]["cpu_us"] = round(statistics.median(rounds), 2)
    return figures


def _enter() -> Any:
    import outlay

    block = outlay.guard(estimate_usd=0.00001)
    return block, block.__enter__()


def _leave(held: Any) -> None:
    held[1].settle(0.00001)
    held[0].__exit__(None, None, None)


def _updates(home: Path, times: int) -> list[float]:
    """The same number of the shortest transactions that write, on the same disk: what the machine adds by itself."""
    with closing(sqlite3.connect(home / "least.sqlite", isolation_level=None)) as least:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            least.execute(f"PRAGMA {pragma}")
        least.execute("CREATE TABLE IF NOT EXISTS one (id INTEGER PRIMARY KEY, number INTEGER)")
        least.execute("INSERT OR IGNORE INTO one VALUES (1, 0)")

        def write() -> None:
            least.execute("BEGIN IMMEDIATE")
            least.execute("UPDATE one SET number = number + 1 WHERE id = 1")
            least.execute("COMMIT")

        return clocked(times, write, lambda _: None)


def calls(home: Path, times: int, rounds: int) -> dict[str, Any]:
    """CPU of a metered call without and with a budget, alternating."""
    import httpx2

    import outlay
    from wire import ADDRESS, WORDS, Memory, cpu_us

    prompt = {"model": "gpt-4o", "messages": [{"role": "user", "content": WORDS * 300}], "max_tokens": 500}
    plain = json.dumps(prompt, separators=(",", ":")).encode()
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    stream = json.dumps({**prompt, **usage}, separators=(",", ":")).encode()
    client = httpx2.Client(transport=Memory(2_000, 100))

    def once() -> None:
        client.post(ADDRESS, content=plain).json()

    def streamed() -> None:
        with client.stream("POST", ADDRESS, content=stream) as response:
            for _ in response.iter_lines():
                pass

    put_rates(home)
    put(home, "search", 1_000_000, {"team": "search"})
    fresh(home)
    figures: dict[str, Any] = {}
    for name, call in (("plain", once), ("streamed", streamed)):
        taken: dict[str, list[float]] = {"free": [], "search": []}
        for _ in range(rounds + 1):
            for team, values in taken.items():
                with outlay.session(team=team):
                    values.append(cpu_us(times, call))
        without, under = (statistics.median(values[1:]) for values in taken.values())
        told = {"without_us": without, "under_us": under, "added_us": under - without}
        figures[name] = {key: round(value, 1) for key, value in told.items()}
    return figures


def processes(home: Path, many: int) -> dict[str, Any]:
    """How much of the cap was in use when the first process was refused, and how much was spent in the end."""
    put(home, "search", 20, {"team": "search"})
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, "OUTLAY_HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(many)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in started]
    found = standing(home, "search")
    return {
        "processes": many,
        "in_use_at_first_refusal_percent": round(100 * min(int(each[1]) for each in told) / found.limit_nano, 1),
        "spent_percent": round(100 * found.spent_nano / found.limit_nano, 1),
        "held_afterwards_nano": found.held_nano,
    }


def races(home: Path, sizes: list[int]) -> dict[str, Any]:
    """All calls at once against a cap that has room for 29 in 100: tasks, threads, four processes.

    The provider takes 0.4 s and bills four times the input that a request's length lets one think of; what such calls
    cost is known from 24 before.
    """
    figures: dict[str, Any] = {}
    with obliging_provider() as provider:
        provider.input_tokens = 1_000
        teach(home, provider)
        provider.delay_s = 0.4
        for calls in sizes:
            for way, many in (("tasks", 1), ("threads", 1), ("tasks", 4)):
                provider.bills.clear()
                team = f"{way}-{many}-{calls}"
                put(home, team, each_nano(provider) * calls * 0.29 / NANO, {"team": team})
                done = race(home, provider, team=team, calls=calls, processes=many, way=way)
                figures[f"{calls} calls, {way}, {many} process{'es' if many > 1 else ''}"] = {
                    "admitted": done.ends["200"],
                    "refused": done.ends["402"],
                    "other": sum(done.ends.values()) - done.ends["200"] - done.ends["402"],
                    "billed_percent_of_cap": round(100 * done.billed_nano / done.limit_nano, 1),
                    "spent_is_billed": str(done.spent_nano == done.billed_nano),
                    "leases_left": done.live,
                }
    return figures


def fill(home: Path, rows: int) -> None:
    """Leases that are over, as a store has after a while."""
    put(home, "search", 1_000_000, {"team": "search"})
    with store_of(home) as store, store.writing() as connection:
        columns = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(leases)")]
        given = {"id": "printf('%032x', n)", "parent": "''", "holder": "'h'", "state": "'settled'", "envelope": "'{}'"}
        given |= {"balances": "'[]'", "created_ns": "n", "expires_ns": "n", "closed_ns": "n", "held_nano": "0"}
        given |= {name: "''" for name in ("own", "kind", "model", "session") if name in columns}
        given |= {name: "'[]'" for name in ("own",) if name in columns}
        connection.exec_driver_sql(
            f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {rows}) "
            f"INSERT INTO leases ({', '.join(given)}) SELECT {', '.join(given.values())} FROM many"
        )


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--times", type=int, default=10_000, help="decisions a round (10000)")
    parser.add_argument("--calls", type=int, default=300, help="model calls a round (300)")
    parser.add_argument("--only", action="store_true", help="only deciding and settling, no calls, processes and races")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of model calls (5)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="old leases in the filled store (1000000)")
    parser.add_argument("--processes", type=int, default=4, help="processes at once (4)")
    parser.add_argument("--race", type=int, action="append", help="calls at once in a race; may be repeated (64, 512)")
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        figures["an empty store"] = decisions(home / "empty", args.times)
        if args.rows:
            measure.say(f"filling a store with {args.rows:,} leases")
            fill(home / "filled", args.rows)
            figures[f"{args.rows:,} leases in the store"] = decisions(home / "filled", args.times)
        if args.only:
            leave()
            measure.report("guard", figures, as_json=args.json)
            return 0
        figures["a call"] = calls(home / "calls", args.calls, args.rounds)
        figures["processes"] = processes(home / "processes", args.processes)
        figures["races"] = races(home / "races", args.race or [64, 512])
        leave()
    measure.report("guard", figures, as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
