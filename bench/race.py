"""The budget race of other products, run against a gateway that is metered by the SDK: does the cap hold?

    python bench/race.py
    python bench/race.py --calls 512 --only killed

The race itself is the shared `budget_race.py`: so many calls at once, a provider 0.4 s away that keeps its own bill, a
cap that has room for 29 of 100. The gateway is `relay.py`. Each scene says what is out of the ordinary: an estimate
that is too low or too high, before and after 32 such calls were seen; callers that hang up; a provider that fails; two
gateways on one ledger; gateways that ask a server; a gateway that is killed while its calls are under way.

    billed_of_cap    what the provider billed
    bound_of_cap     what it may be at most: the cap, and what calls were billed beyond what had been held for them
    ledger_of_cap    what the ledger says was spent, with what a dead gateway may have spent
    leases_left      leases that are nobody's, two minutes later
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
from server import OUTLAY, serving

sys.path.insert(0, str(measure.ROOT / "tests"))

from budgeting import live_leases, soon, store_of
from outlay.control import budgets
from outlay.control.leases import Leases
from outlay.core.lease import TTL_NS
from outlay.core.money import NANO

INPUT_USD, OUTPUT_USD = 0.15e-6, 0.6e-6
SENT_TOKENS, ANSWER_TOKENS = 254, 200
BILLED_MORE_TOKENS = 1_000
ROOM = 0.29  # of the calls, as 0.005 USD have for 64 calls of 0.00027
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One race: how the provider is started, what the callers do, how many gateways there are."""

    name: str
    learned: bool = True
    billed_tokens: int = BILLED_MORE_TOKENS
    max_tokens: int = 256
    provider: Sequence[str] = ()
    callers: Sequence[str] = ()
    gateways: int = 1
    by_server: bool = False
    killed: bool = False
    bounded: bool = True  # whether max_tokens and a right count of the input bound each call


SCENES = (
    Scene("estimate right, nothing learned", learned=False, billed_tokens=SENT_TOKENS, max_tokens=ANSWER_TOKENS),
    Scene("estimate low, nothing learned", learned=False, bounded=False),
    Scene("estimate low"),
    Scene("estimate high, nothing learned", learned=False, billed_tokens=SENT_TOKENS, max_tokens=800),
    Scene("estimate high", billed_tokens=SENT_TOKENS, max_tokens=800),
    Scene("callers hang up", callers=("--cancel-ms", "100")),
    Scene("a third of the calls fails", provider=("--fail-percent", "33")),
    Scene("all calls fail, then ten more", provider=("--fail-percent", "100"), callers=("--after", "10")),
    Scene("two gateways, one ledger", gateways=2),
    Scene("two gateways, one killed", gateways=2, killed=True),
    Scene("by a server", by_server=True),
    Scene("two by a server, one killed", gateways=2, by_server=True, killed=True),
)


def folder() -> Path:
    """The shared bench scripts; ends with a word where they are not."""
    shared = Path(os.environ.get("OUTLAY_SHARED", measure.ROOT.parent / "shared")) / "bench"
    if not (shared / "budget_race.py").exists():
        raise SystemExit("error: no shared bench folder (budget_race.py); set OUTLAY_SHARED")
    return shared


@contextmanager
def started(command: Sequence[str], log: Path, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that prints its address when it answers; the process and the address."""
    with log.open("a") as errors:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()
            process.stdout.close()
            if not address:
                raise RuntimeError(f"{command[1]} ended: {log.read_text()[-2000:]}")
            yield process, address[-1]
        finally:
            process.terminate()
            try:
                process.wait(START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(scene: Scene, calls: int, place: Path) -> dict[str, Any]:
    """One race in a home of its own: what became of the calls, what was billed, and what the ledger says."""
    home = place / "home"
    home.mkdir(parents=True)
    each = scene.billed_tokens * INPUT_USD + ANSWER_TOKENS * OUTPUT_USD
    cap = f"{each * calls * ROOM:.9f}"
    set_budget = ["budgets", "set", "--name", "race", "--team", "*", "--month", cap]
    subprocess.run([*OUTLAY, "--home", str(home), *set_budget], check=True, capture_output=True)
    env = {"OUTLAY_HOME": str(home)}
    with ExitStack() as stack:
        if scene.by_server:
            env["OUTLAY_ENDPOINT"] = f"http://127.0.0.1:{stack.enter_context(serving(home)).port}"
        if scene.learned:
            with _provider(scene, place, 0) as upstream, _gateway(upstream, place, env) as (_, url):
                _ended(_begun([url], upstream, scene, cap, 8, "--repeat", "4", "--concurrency", "4"))
        upstream = stack.enter_context(_provider(scene, place, 400, *scene.provider))
        gateways = [stack.enter_context(_gateway(upstream, place, env)) for _ in range(scene.gateways)]
        more = ("--repeat", "1", *scene.callers)
        racing = _begun([url for _, url in gateways], upstream, scene, cap, calls, *more)
        if scene.killed:
            _wait(lambda: _count(upstream)["in_flight"] >= calls // 10)
            gateways[0][0].kill()
        said = _ended(racing)["runs"][0]
        for process, _ in gateways:  # only then all that was sent is billed, also for callers that hung up at once
            process.terminate()
            process.wait(START_S)
        _wait(lambda: not _count(upstream)["in_flight"])
        return _told(home, said, _count(upstream), float(cap))


def _told(home: Path, said: dict[str, Any], bill: dict[str, int], cap: float) -> dict[str, Any]:
    """What the race came to, by the provider's bill and by the ledger."""
    with store_of(home) as store:
        Leases(store).sweep(time.time_ns() + TTL_NS)
        budget = next(each for each in budgets.list_budgets(store) if each.name == "race")
        part = json.dumps([f"race-{said['run']}"])
        (stands,) = [each for each in budgets.standings(store, budget) if each.part == part]
    billed = bill["input_tokens"] * INPUT_USD + bill["output_tokens"] * OUTPUT_USD
    told = {
        "admitted": said["admitted"],
        "refused": said["refused"],
        "failed_or_hung_up": said["failed"] + said["hung_up"],
        "billed_of_cap": round(billed / cap, 4),
        "bound_of_cap": round(1 + stands.beyond_nano / NANO / cap, 4),
        "ledger_of_cap": round((stands.spent_nano + stands.presumed_nano) / NANO / cap, 4),
        "held_afterwards_nano": stands.held_nano,
        "leases_left": live_leases(home),
    }
    return told | ({"let_through_after": said["after"]["let_through"]} if "after" in said else {})


@contextmanager
def _provider(scene: Scene, place: Path, delay_ms: int, *more: str) -> Iterator[str]:
    script = [sys.executable, str(folder() / "mock_upstream.py"), "--port", "0", "--delay-ms", str(delay_ms)]
    tokens = ["--prompt-tokens", str(scene.billed_tokens), "--completion-tokens", str(ANSWER_TOKENS)]
    with started([*script, *tokens, *more], place / "provider.log") as (_, url):
        yield url


@contextmanager
def _gateway(upstream: str, place: Path, env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, str(Path(__file__).with_name("relay.py")), "--upstream", upstream]
    with started(command, place / "gateway.log", **env) as found:
        yield found


def _begun(urls: list[str], upstream: str, scene: Scene, cap: str, calls: int, *more: str) -> subprocess.Popen[str]:
    script = [sys.executable, str(folder() / "budget_race.py"), "--json", "--upstream", upstream, "--cap-usd", cap]
    script += [word for url in urls for word in ("--url", url)]
    script += ["--calls", str(calls), "--max-tokens", str(scene.max_tokens)]
    script += ["-H", "x-team: race-{run}", "-H", "x-feature: race", *more]
    return subprocess.Popen(script, stdout=subprocess.PIPE, text=True)


def _ended(race: subprocess.Popen[str]) -> dict[str, Any]:
    said = race.communicate(timeout=300)[0]
    if race.returncode:
        raise RuntimeError(f"budget_race.py ended with {race.returncode}")
    told: dict[str, Any] = json.loads(said)
    return told


def _count(upstream: str) -> dict[str, int]:
    """The provider's own bill."""
    with urllib.request.urlopen(f"{upstream}/count") as answer:
        told: dict[str, int] = json.load(answer)
    return told


def _wait(true: Callable[[], bool]) -> None:
    if not soon(true, START_S):
        raise RuntimeError("it did not come to that in time")


def main() -> int:
    """Races and prints; ends with 1 where a cap did not hold or a lease was left."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--calls", type=int, action="append", help="calls at once; may be repeated (64, 512)")
    parser.add_argument("--only", default="", help="scenes with this in their name")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    broken: list[str] = []
    for calls in options.calls or [64, 512]:
        for scene in SCENES:
            if options.only not in scene.name:
                continue
            measure.say(f"{calls} calls: {scene.name}")
            with tempfile.TemporaryDirectory(prefix="outlay-race-") as place:
                told = figures[f"{calls} calls: {scene.name}"] = run(scene, calls, Path(place))
            if not holds(scene, told):
                broken.append(f"{calls} calls: {scene.name}")
    measure.report("race", figures, as_json=options.json)
    for name in broken:
        print(f"NOT HELD: {name}", file=sys.stderr)
    return 1 if broken else 0


def holds(scene: Scene, told: dict[str, Any]) -> bool:
    """Whether the cap held, or its printed bound, and nothing is left."""
    most = 1 if scene.bounded else told["bound_of_cap"]
    return told["billed_of_cap"] <= most + 1e-9 and not told["leases_left"] and not told["held_afterwards_nano"]


if __name__ == "__main__":
    sys.exit(main())
