"""The demo's budgets and targets: of features and teams there are, dated back, set once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from outlay.control.place import open_control
from outlay.control.targets import list_targets
from outlay.demo.company import FEATURES
from outlay.demo.finance import COMPANY, DECISIONS, TARGETS, TEAMS, settle
from outlay.govern.allotments import COMPANY as WHOLE
from outlay.govern.allotments import allotments
from outlay.govern.outlook import month_of

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)


def test_they_are_of_teams_and_features_there_are() -> None:
    assert set(TEAMS) == {feature.team for feature in FEATURES}
    assert set(TARGETS) < {feature.name for feature in FEATURES}
    assert set(DECISIONS) <= set(TARGETS)


def test_they_are_set_once_and_every_month_has_its_budget(tmp_path: Path) -> None:
    with open_control(tmp_path) as store:
        assert settle(store, NOW)
        assert not settle(store, NOW)
        months = [
            month_of(datetime(2025 + (month > 12), (month - 1) % 12 + 1, 5, tzinfo=UTC)) for month in (11, 18, 22, 23)
        ]
        told = allotments(store, months, NOW)
        assert [month[WHOLE].limit_nano // 10**9 for month in told] == [18_500, 22_500, 25_000, COMPANY[-1][1]]
        assert all(set(TEAMS) < set(month) for month in told)
        assert {target.quarter for target in list_targets(store)} == {"2026-Q3", "2026-Q4"}
