"""The control store: its tables, its transactions, its address, on both engines."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text, update

import outlay.control
from outlay.control import audit
from outlay.control.place import control_url, open_control
from outlay.control.store import ControlStore
from outlay.control.tables import HEAD, METADATA, audit_head
from outlay.core.errors import InputError, StoreError, StoreVersionError
from outlay.core.place import URL_VARIABLE


def test_the_migrations_give_exactly_the_tables(control: ControlStore) -> None:
    with control.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == HEAD


def test_the_newest_step_is_the_head() -> None:
    folder = Path(outlay.control.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


def test_opening_again_changes_nothing(control: ControlStore, control_url: str) -> None:
    with control.writing() as connection:
        audit.append(connection, "me", "test", "it")
    with ControlStore(control_url) as again, again.reading() as connection:
        assert audit.verify(connection).lines == 1


def test_several_open_an_empty_store_at_once(bare_url: str) -> None:
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            ControlStore(bare_url).close()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_store_of_a_newer_outlay_is_not_touched(control: ControlStore, control_url: str) -> None:
    with control.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreVersionError, match="newer Outlay"):
        ControlStore(control_url)


def test_a_transaction_that_fails_leaves_nothing(control: ControlStore) -> None:
    def half() -> None:
        with control.writing() as connection:
            audit.append(connection, "me", "test", "it")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        half()
    with control.reading() as connection:
        assert audit.verify(connection).lines == 0


def test_what_was_read_in_a_writing_transaction_is_still_so_when_it_writes(control: ControlStore) -> None:
    """The lost update: eight threads add one, fifty times each, by reading and writing."""

    def add() -> None:
        for _ in range(50):
            with control.writing() as connection:
                wanted = select(audit_head.c.number).where(audit_head.c.id == 1).with_for_update()
                number = connection.execute(wanted).scalar_one()
                connection.execute(update(audit_head).values(number=number + 1))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with control.reading() as connection:
        assert connection.execute(select(audit_head.c.number)).scalar_one() == 400


def test_the_home_holds_the_store_unless_something_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    assert control_url(tmp_path) == f"sqlite:///{tmp_path}/control.sqlite"
    (tmp_path / "outlay.toml").write_text('[control]\nurl = "postgres://me@there/outlay"\n', encoding="utf-8")
    assert control_url(tmp_path) == "postgresql+psycopg://me@there/outlay"
    monkeypatch.setenv(URL_VARIABLE, "sqlite:////elsewhere/c.sqlite")
    assert control_url(tmp_path) == "sqlite:////elsewhere/c.sqlite"


@pytest.mark.parametrize(
    ("said", "named"),
    [("mysql://me@there/outlay", "mysql"), ("control.sqlite", "control.sqlite"), ("sqlite://", "memory")],
)
def test_an_address_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, named: str
) -> None:
    monkeypatch.setenv(URL_VARIABLE, said)
    with pytest.raises(InputError, match=named):
        open_control(tmp_path)


@pytest.mark.parametrize("content", ["[control", "control = 3", "[control]\nurl = 5"])
def test_settings_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    (tmp_path / "outlay.toml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"outlay\.toml"):
        control_url(tmp_path)


def test_a_store_that_cannot_be_reached_says_so_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, f"postgresql://me:secret@/outlay?host={tmp_path}")
    with pytest.raises(StoreError) as caught:
        open_control(tmp_path)
    assert "secret" not in caught.value.message
