"""The audit log: it only grows, it shows every touch, and concurrent writers make one chain."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, text, update

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.control.tables import audit_head, audit_log
from outlay.core.errors import StoreError


def fill(store: ControlStore, count: int = 5) -> list[str]:
    """Writes lines and returns their hashes."""
    for number in range(count):
        with store.writing() as connection:
            audit.append(connection, "me", "budget.set", f"team {number % 2}", before=number, after={"nano": number})
    with store.reading() as connection:
        return [line.hash for line in audit.lines(connection)]


def unlock(connection: Connection) -> None:
    """What somebody with rights on the database can do."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("DROP TRIGGER audit_log_no_update"))
        connection.execute(text("DROP TRIGGER audit_log_no_delete"))
    else:
        connection.execute(text("DROP TRIGGER audit_log_no_change ON audit_log"))


def test_lines_come_back_as_they_were_said(control: ControlStore) -> None:
    with control.writing() as connection:
        audit.append(connection, "cli:ann", "price.add", "openai/x", after={"rate": Decimal("2.50")}, at_ns=7)
    with control.reading() as connection:
        (line,) = audit.lines(connection)
    assert (line.number, line.at_ns, line.actor, line.before, line.after) == (1, 7, "cli:ann", None, {"rate": "2.50"})


def test_the_chain_holds_and_can_be_pinned(control: ControlStore) -> None:
    hashes = fill(control)
    with control.reading() as connection:
        for expect in ("", *hashes):
            assert audit.verify(connection, expect) == audit.Verdict(5, hashes[-1])
        assert "made anew" in audit.verify(connection, "f" * 64).broken
        assert [line.number for line in audit.lines(connection, subject="team 1")] == [2, 4]
        assert [line.number for line in audit.lines(connection, newest=2)] == [4, 5]
        assert [line.number for line in audit.lines(connection, after=3)] == [4, 5]


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_the_engine_refuses_to_change_a_line(control: ControlStore, verb: str) -> None:
    fill(control, 1)
    statement = update(audit_log).values(actor="nobody") if verb == "update" else delete(audit_log)
    with pytest.raises(StoreError, match="only grows"), control.writing() as connection:
        connection.execute(statement)


@pytest.mark.parametrize("column", ["at_ns", "actor", "action", "subject", "before", "after", "hash"])
def test_a_changed_line_is_found(control: ControlStore, column: str) -> None:
    fill(control)
    with control.writing() as connection:
        unlock(connection)
        value: object = 1 if column == "at_ns" else '"other"'
        connection.execute(update(audit_log).where(audit_log.c.number == 3).values({column: value}))
    with control.reading() as connection:
        assert audit.verify(connection).broken == "line 3 was changed, or one before it"


@pytest.mark.parametrize(("number", "said"), [(3, "line 3 is missing"), (5, "1 lines are missing at the end")])
def test_a_removed_line_is_found(control: ControlStore, number: int, said: str) -> None:
    fill(control)
    with control.writing() as connection:
        unlock(connection)
        connection.execute(delete(audit_log).where(audit_log.c.number == number))
    with control.reading() as connection:
        assert audit.verify(connection).broken == said


def test_an_inserted_line_is_found(control: ControlStore) -> None:
    hashes = fill(control)
    forged = {"at_ns": 1, "actor": "x", "action": "x", "subject": "x", "before": "null", "after": "null"}
    with control.writing() as connection:
        connection.execute(insert(audit_log).values(number=6, hash=hashes[-1], **forged))
    with control.reading() as connection:
        assert "line 6" in audit.verify(connection).broken


def test_a_missing_head_is_found(control: ControlStore) -> None:
    fill(control)
    with control.writing() as connection:
        connection.execute(delete(audit_head))
    with control.reading() as connection:
        assert not audit.verify(connection).ok


def test_concurrent_writers_make_one_chain(control: ControlStore) -> None:
    threads = [threading.Thread(target=fill, args=(control, 20)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with control.reading() as connection:
        verdict = audit.verify(connection)
    assert verdict.ok
    assert verdict.lines == 120


@settings(max_examples=10)
@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists), max_size=5))
def test_any_value_keeps_the_chain_whole(tmp_path_factory: pytest.TempPathFactory, values: list[object]) -> None:
    path = tmp_path_factory.mktemp("audit") / "control.sqlite"
    with ControlStore(f"sqlite:///{path}") as store:
        with store.writing() as connection:
            for value in values:
                audit.append(connection, "a", "b", "c", before=value)
        with store.reading() as connection:
            assert audit.verify(connection).ok
            assert [line.before for line in audit.lines(connection)] == values
