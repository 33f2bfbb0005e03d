"""Runtime: measured from the process or its container, and divided so that the parts add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlay
from outlay.sdk import machine, runtime
from outlay.sdk.context import Context, Run
from outlay.sdk.runtime import Meter
from sdk_facts import Fact

Recorded = Callable[[], list[Fact]]
GIB = 1024**3
MS = 1_000_000


@dataclass
class Machine:
    """One whose figures a test sets; `now` is its clock."""

    now: int = 0
    cpu: int = 0
    memory: int = GIB

    def cpu_ns(self) -> int:
        return self.cpu

    def memory_bytes(self) -> int:
        return self.memory

    def work(self, seconds: float, cpu_seconds: float = 0) -> None:
        self.now += int(seconds * 1e9)
        self.cpu += int(cpu_seconds * 1e9)


@pytest.fixture
def place() -> Machine:
    return Machine()


@pytest.fixture
def meter(place: Machine) -> Meter:
    return Meter(lambda: place.now, place)


def begun(meter: Meter, name: str = "s") -> runtime.Share:
    return meter.begin(Context(Run(session_id=name), b"t" * 16, b"s" * 8))


def test_one_session_has_all_of_the_process(place: Machine, meter: Meter) -> None:
    place.work(5, 3)
    share = begun(meter)
    place.work(10, 4)
    assert meter.end(share) == {"runtime_ms": 10_000, "vcpu_ms": 4_000, "memory_gib_ms": 10_000}
    assert meter.tick() is None


def test_sessions_at_the_same_time_divide_processor_and_memory_but_not_time(place: Machine, meter: Meter) -> None:
    one = begun(meter, "one")
    place.work(10, 2)
    two = begun(meter, "two")
    place.work(10, 6)
    assert meter.end(one) == {"runtime_ms": 20_000, "vcpu_ms": 5_000, "memory_gib_ms": 15_000}
    place.work(10, 1)
    assert meter.end(two) == {"runtime_ms": 20_000, "vcpu_ms": 4_000, "memory_gib_ms": 15_000}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10_000), st.integers(0, 10_000)), max_size=40))
def test_the_shares_add_up_to_what_was_used_while_any_was_open(events: list[tuple[int, int, int]]) -> None:
    place = Machine()
    meter = Meter(lambda: place.now, place)
    shares: dict[int, runtime.Share] = {}
    told = used = looks = 0
    for which, milliseconds, cpu in events:
        if which in shares:
            told += meter.end(shares.pop(which)).get("vcpu_ms", 0)
        else:
            shares[which] = begun(meter)
        used += cpu if shares else 0
        looks += 1
        place.work(milliseconds / 1e3, cpu / 1e3)
    for share in shares.values():
        told += meter.end(share).get("vcpu_ms", 0)
    assert used - looks - len(events) <= told <= used, "each share loses less than a millisecond"


def test_a_long_session_tells_every_minute(recorded: Recorded, place: Machine) -> None:
    meter = Meter(lambda: place.now, place)
    share = begun(meter)
    told_s = 0
    for _ in range(150):
        place.work(1, 0.5)
        assert meter.tick() == runtime.LOOK_EVERY_S
    last = meter.end(share)
    facts = recorded()
    assert [fact["operation"] for fact in facts] == ["runtime", "runtime"]
    told_s = sum(fact["units"]["runtime_ms"] for fact in facts) // 1000
    assert (told_s, last["runtime_ms"]) == (120, 30_000)
    assert sum(fact["units"]["vcpu_ms"] for fact in facts) + last["vcpu_ms"] == 75_000


def test_a_declared_server_of_a_session_and_a_shared_one(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Machine()
    monkeypatch.setattr(runtime, "_meter", Meter(lambda: place.now, place))
    runtime.want(measured=True)
    shared = outlay.runtime("store", memory_gib=4)
    with outlay.session(team="a"):
        outlay.runtime("search server", vcpu=0.5, memory_gib=2)
        with outlay.session(team="a, child"):
            place.work(10)
        with outlay.runtime("browser", vcpu=2):
            place.work(1)
    place.work(9)
    shared.close()
    runtime.want(measured=False)
    facts = {fact["name"]: fact for fact in recorded() if fact["operation"] == "runtime"}
    assert facts["search server"]["units"] == {"vcpu_ms": 5_500, "memory_gib_ms": 22_000}
    assert facts["browser"]["units"] == {"vcpu_ms": 2_000}
    assert facts["store"]["units"] == {"memory_gib_ms": 80_000}
    assert {name: fact["team"] for name, fact in facts.items()} == {"search server": "a", "browser": "a", "store": None}


def test_only_the_outermost_session_of_a_process_is_measured(recorded: Recorded) -> None:
    runtime.want(measured=True)
    with outlay.session(team="a", id="outer"), outlay.agent("inner"):
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
    runtime.want(measured=False)
    facts = {fact["name"]: fact for fact in recorded()}
    assert facts["session"]["units"]["vcpu_ms"] >= 15
    assert facts["session"]["units"]["runtime_ms"] >= 15
    assert facts["inner"]["units"] == {}


# ---- the machine -------------------------------------------------------------------------------------------------


def test_the_process_speaks_where_there_is_no_container(tmp_path: Path) -> None:
    place = machine.find(tmp_path)
    assert isinstance(place, machine.Process)
    assert place.memory_bytes() > 1_000_000
    assert place.cpu_ns() > 0


def test_control_groups_of_version_2(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("123456789\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\nsystem_usec 1\n")
    place = machine.find(tmp_path)
    assert (place.memory_bytes(), place.cpu_ns()) == (123_456_789, 2_500_000_000)


@pytest.mark.parametrize(("limit", "container"), [(2 * GIB, True), (2**63 - 4096, False)])
def test_control_groups_of_version_1(tmp_path: Path, limit: int, container: bool) -> None:
    for group in ("memory", "cpuacct"):
        (tmp_path / group).mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("77\n")
    (tmp_path / "cpuacct" / "cpuacct.usage").write_text("88\n")
    place = machine.find(tmp_path)
    assert isinstance(place, machine.GroupV1) is container
    if container:
        assert (place.memory_bytes(), place.cpu_ns()) == (77, 88)


def test_a_control_group_that_says_nonsense_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("max\n")
    (tmp_path / "cpu.stat").write_text("nothing\n")
    assert isinstance(machine.find(tmp_path), machine.Process)
