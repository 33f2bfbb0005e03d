"""The demo's tags: a policy in force, a score below full, causes and code paths of what lacks, a rule that spoke."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from outlay.demo.company import FEATURES, UNTAGGED_PERCENT
from outlay.demo.run import bodies, prepare
from outlay.faces.desk import HouseDesk
from outlay.house import House

NOW = datetime(2026, 11, 23, 14, 52, tzinfo=UTC)
LOST = {feature.agent for feature in FEATURES if feature.name in UNTAGGED_PERCENT}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HouseDesk]:
    home = tmp_path_factory.mktemp("demo")
    prepare(home)
    with House(home) as house:
        for body, _ in bodies(7, NOW, range(1, 5)):
            house.intake.submit(body, "protobuf").result()
        house.intake.settle()
        yield HouseDesk(house)


def test_a_policy_is_in_force_and_names_who_answers(desk: HouseDesk) -> None:
    (adopted,) = desk.tag_policy()["rows"]
    assert (adopted["from"], adopted["to"]) == (None, None), "for all time"
    owners = {row["team"]: row["owner"] for row in desk.tags({})["rows"]}
    assert owners["platform"] == "Sara Lindqvist sara@example.com"
    assert {team for team, owner in owners.items() if not owner} == {"labs", "(untagged)"}


def test_most_cost_is_tagged_and_some_is_not(desk: HouseDesk) -> None:
    told = desk.tags({})
    score, unattributed = (Decimal(told["total"][name]) for name in ("tag_compliance", "unattributed_cost"))
    assert Decimal("0.90") < score < Decimal("0.999")
    assert unattributed > 0
    lacking = sum(Decimal(row["noncompliant_cost"] or 0) for row in told["rows"])
    assert lacking == Decimal(told["total"]["noncompliant_cost"]) >= unattributed
    assert told["total"]["level"] in {"level 2", "level 3", "level 4"}


def test_what_lacks_has_a_cause_and_a_code_path(desk: HouseDesk) -> None:
    told = desk.tag_causes({"top": ["1000"]})
    assert {row["cause"] for row in told["rows"]} <= {"missing at the root", "lost in thread or queue"}
    assert {row["agent"] for row in told["rows"]} <= (LOST - {"migration-agent"}) | {"(untagged)"}
    total = sum(Decimal(row["amount"]) for row in told["rows"])
    assert total == Decimal(desk.tags({})["total"]["unattributed_cost"])


def test_the_rule_of_the_platform_team_has_spoken(desk: HouseDesk) -> None:
    (rule,) = desk.tag_rules({})["rows"]
    assert rule["name"] == "migrations"
    assert rule["usages"] > 0
    assert Decimal(rule["cost"]) > 0
