"""Targets on both engines: set, changed, decided, removed, each with its line."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from outlay.control import audit, targets
from outlay.control.store import ControlStore
from outlay.control.targets import Target
from outlay.core.errors import InputError
from outlay.core.money import NANO

KYC = Target("kyc-onboarding", "2026-Q4", 95 * NANO // 100, note="after the new retry rule")


def lines(store: ControlStore, subject: str) -> list[audit.AuditLine]:
    with store.reading() as connection:
        assert audit.verify(connection).ok
        return list(audit.lines(connection, subject=subject))


def test_a_target_is_set_changed_and_every_change_is_in_the_log(control: ControlStore) -> None:
    assert targets.set_targets(control, [KYC], "cli:ann") == 1
    assert targets.set_targets(control, [KYC], "cli:bob") == 0, "nothing was different"
    (held,) = targets.list_targets(control)
    assert (held.amount_nano, held.note, held.changed_by, held.decision) == (KYC.amount_nano, KYC.note, "cli:ann", "")
    targets.set_targets(control, [Target("kyc-onboarding", "2026-Q4", NANO)], "cli:bob")
    told = lines(control, "target:kyc-onboarding@2026-Q4")
    assert [(line.actor, line.action) for line in told] == [("cli:ann", "target.set"), ("cli:bob", "target.set")]
    assert (told[1].before["amount_nano"], told[1].after["amount_nano"]) == (KYC.amount_nano, NANO)


def test_quarters_are_apart_and_can_be_asked_for(control: ControlStore) -> None:
    targets.set_targets(control, [KYC, Target("kyc-onboarding", "2027-Q1", NANO), Target("search", "2027-Q1", 1)], "me")
    assert [row.feature for row in targets.list_targets(control, ("2027-Q1",))] == ["kyc-onboarding", "search"]
    assert len(targets.list_targets(control)) == 3
    assert targets.list_targets(control, ("2025-Q1",)) == ()


def test_a_decision_stays_when_the_amount_changes(control: ControlStore) -> None:
    targets.set_targets(control, [KYC], "me")
    targets.decide(control, KYC.feature, KYC.quarter, "two retries at most", "cli:ann")
    targets.set_targets(control, [Target(KYC.feature, KYC.quarter, 2 * NANO)], "me")
    (held,) = targets.list_targets(control)
    assert (held.decision, held.decided_by, held.amount_nano) == ("two retries at most", "cli:ann", 2 * NANO)
    assert lines(control, "target:kyc-onboarding@2026-Q4")[1].action == "target.decide"


def test_what_is_not_there_is_neither_removed_nor_decided(control: ControlStore) -> None:
    for act in (
        lambda: targets.remove_target(control, "search", "2026-Q4", "me"),
        lambda: targets.decide(control, "search", "2026-Q4", "x", "me"),
    ):
        with pytest.raises(InputError, match="has no target in 2026-Q4") as refused:
            act()
        assert refused.value.status == 404
    targets.set_targets(control, [KYC], "me")
    targets.remove_target(control, KYC.feature, KYC.quarter, "me")
    assert targets.list_targets(control) == ()
    assert lines(control, "target:kyc-onboarding@2026-Q4")[-1].after is None


def test_two_who_set_at_once_leave_one_target_and_a_whole_log(control: ControlStore) -> None:
    def put(number: int) -> None:
        targets.set_targets(control, [Target("kyc-onboarding", "2026-Q4", number * NANO)], f"cli:{number}")

    put(9)
    threads = [threading.Thread(target=put, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (held,) = targets.list_targets(control)
    told = lines(control, "target:kyc-onboarding@2026-Q4")
    assert len(told) == 6
    assert told[-1].after["amount_nano"] == held.amount_nano
    assert all(one.after == other.before for one, other in pairwise(told))
