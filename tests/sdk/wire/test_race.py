"""Many at once for one budget: tasks, threads, processes; cancelled, failing, killed. It is never exceeded, and never
refused while a tenth of it is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from budgeting import live_leases, put, standing
from obliging_provider import Obliging, obliging_provider
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.sdk.desk.local import LocalDesk
from racing import each_nano, race, teach


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which it is known what such calls cost."""
    place = tmp_path_factory.mktemp("race") / "home"
    with obliging_provider() as teacher:
        teacher.input_tokens = 1_000
        teach(place, teacher)
    return place


@pytest.fixture
def provider() -> Iterator[Obliging]:
    """It bills four times the input that the length of a request lets one think of."""
    with obliging_provider() as running:
        running.input_tokens, running.delay_s = 1_000, 0.3
        yield running


@pytest.mark.parametrize(("way", "processes"), [("tasks", 1), ("threads", 1), ("tasks", 4)])
def test_a_burst_is_given_nearly_all_and_never_more(home: Path, provider: Obliging, way: str, processes: int) -> None:
    team = f"{way}-{processes}"
    put(home, team, each_nano(provider) * 18.5 / NANO, {"team": team})
    done = race(home, provider, team=team, calls=64, processes=processes, way=way)
    assert set(done.ends) == {"200", "402"}
    assert done.spent_nano == done.billed_nano <= done.limit_nano
    assert done.billed_nano >= 0.9 * done.limit_nano
    assert (done.held_nano, done.presumed_nano, done.live) == (0, 0, 0)


def test_who_hangs_up_or_fails_leaks_nothing(home: Path, provider: Obliging) -> None:
    put(home, "lost", each_nano(provider) * 40 / NANO, {"team": "lost"})
    lost = race(home, provider, team="lost", calls=32, cancel_ms=150)
    assert lost.ends["cancelled"] == 8
    assert lost.billed_nano <= lost.limit_nano
    assert lost.spent_nano >= lost.billed_nano * 0.95, "what was cancelled was billed, and is written down"
    assert lost.live == 0
    provider.fails = True
    put(home, "failing", each_nano(provider) * 12 / NANO, {"team": "failing"})
    failed = race(home, provider, team="failing", calls=32)
    assert set(failed.ends) == {"500"}, "each is let through once the one before it gave its money back"
    assert (failed.spent_nano, failed.held_nano, failed.live) == (0, 0, 0)


def test_a_process_that_is_killed_in_the_middle_keeps_the_cap_and_its_leases_come_home(
    home: Path, provider: Obliging
) -> None:
    put(home, "killed", each_nano(provider) * 30 / NANO, {"team": "killed"})
    done = race(home, provider, team="killed", calls=48, processes=4, kill_after_s=0.15)
    assert done.ends["killed"] == 1
    assert done.billed_nano <= done.limit_nano
    desk, later = LocalDesk(home / "control.sqlite"), time.time_ns() + 200 * 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("outlay.sdk.desk.local.time.time_ns", lambda: later)
        desk.decide(Ask({"team": "nobody"}, 0))
    desk.close()
    found = standing(home, "killed")
    assert (found.held_nano, live_leases(home)) == (0, 1), "the only lease that lives is the one just taken"
    assert found.spent_nano + found.presumed_nano <= found.limit_nano
    assert found.spent_nano + found.presumed_nano >= done.billed_nano
