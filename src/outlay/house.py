"""The only place that builds the rooms and joins them.

A House is one home folder: the journal, the books, the prices. One process owns it at a time; others talk to that one.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from outlay.control.place import open_control
from outlay.core.errors import FormatError, InputError, Problem, StoreBusyError, StoreFullError
from outlay.core.period import NS_PER_US, moment_of, ns_of
from outlay.govern.tags import CauseFinding, Finding, findings, judged
from outlay.ledger.checks import Check, check_books, last_seq
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.intake import Intake
from outlay.ledger.journal import Journal
from outlay.ledger.lock import OwnerLock
from outlay.ledger.owners import owners_of
from outlay.ledger.posting import COUNTERS, Clerk, PostReport
from outlay.ledger.rebuild import RebuildReport, rebuild
from outlay.ledger.reprice import RepriceReport, reprice
from outlay.ledger.retag import RetagReport, retag
from outlay.ledger.spool import Spool
from outlay.metrics.answer import Answer, Moment, ask
from outlay.metrics.kept import Kept
from outlay.metrics.query import Query
from outlay.metrics.session import SessionDetail, session_detail
from outlay.metrics.sessions import Together, sessions_together
from outlay.metrics.steps import StepsAsked
from outlay.metrics.tags import tag_causes, tag_conflicts, tag_values
from outlay.metrics.task_list import TaskDetail, TaskRow, list_tasks, task_detail
from outlay.metrics.tasks import ask_outcomes, asks_how_tasks_ended
from outlay.normalize.outcome_rules import FILE as RULES_FILE
from outlay.normalize.outcome_rules import read_rules
from outlay.normalize.policy.reading import digest_of
from outlay.normalize.policy.shelf import PolicyShelf
from outlay.pricing.book import PriceBook
from outlay.sources.facts import Batch
from outlay.sources.registry import ReadOptions, discover, read

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

HOME_VARIABLE = "OUTLAY_HOME"
PRICES = "prices"
"""The folder of a home in which people write prices."""

ABANDON_EVERY_S = 60
"""How often a server looks for tasks that were not completed in time."""

_FRESH_BOOKS = "books.rebuild.duckdb"
_TRIAL_BOOKS = "books.trial.duckdb"

_log = logging.getLogger("outlay.house")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is: `done` of `total` steps, and what is at hand."""

    done: int
    total: int
    text: str = ""


@dataclass(slots=True)
class ImportReport(PostReport):
    """What an import brought in, in all and by file; `unreadable` names files that are no known format."""

    files: int = 0
    by_file: dict[str, PostReport] = field(default_factory=dict[str, PostReport])
    unreadable: list[Problem] = field(default_factory=list[Problem])


def default_home() -> Path:
    """`OUTLAY_HOME`, else the platform's folder for application data."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("outlay", appauthor=False))


class HouseAtOneMoment:
    """What a page asks of the books; see `House.moment`."""

    def __init__(self, moment: Moment, house: House) -> None:
        self.prices, self.policies = house.prices, house.policies
        self.ask, self.values, self.like, self.expect = moment.ask, moment.values, moment.like, moment.expect
        self._moment, self._house = moment, house

    def session(self, session_id: str, steps: StepsAsked | None = None) -> SessionDetail:
        """See `House.session`."""
        return session_detail(self._moment.reader, session_id, steps)

    def together(self, query: Query) -> Together:
        """How the sessions of a question lie in time."""
        return sessions_together(self._moment.reader, query)

    def tag_causes(self, query: Query, key: str, limit: int) -> list[CauseFinding]:
        """Why cost in the part and period of a question has no valid value under a key, the dearest first."""
        make = partial(tag_causes, self._moment.reader, query, key, limit=limit)
        return judged(self._moment.once(("causes", query, key, limit), make, size=len))

    def tag_findings(self, query: Query) -> list[Finding]:
        """What is odd about the tags in the part and period of a question, as a whole."""
        moment, refused = self._moment, self._house.refused_by_policy()
        conflicting, found = moment.once(("conflicts", query), partial(tag_conflicts, moment.reader, query), size=len)
        values = moment.once(("values", query), partial(tag_values, moment.reader, query), size=len)
        return findings(self.policies.timeline.current, values, conflicting, found, refused, self.policies.trouble)

    def counters(self) -> dict[str, int | str]:
        """See `House.counters`."""
        return self._house.counters(self._moment.metas())


class House:
    """An open home. Use as a context manager; `close` finishes everything that was accepted."""

    def __init__(self, home: Path) -> None:
        self.home = home
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"cannot use {home} as home: {error.strerror}"
            raise InputError(what, hint="choose another with --home") from error
        self._control: ControlStore | None = None
        self._kept = Kept()
        self._control_lock = threading.Lock()
        self._lock = OwnerLock(home)
        try:
            self.prices = PriceBook.load(self.prices_folder)
            self.rules = read_rules(home / RULES_FILE)
            self._rules_read = _changed_at(home / RULES_FILE)
            self.journal = Journal(home / "journal")
            for unfinished in (_FRESH_BOOKS, _TRIAL_BOOKS):  # of a rebuild or a trial that never ended
                (home / unfinished).unlink(missing_ok=True)
            self.books = DuckBooks(home / "books.duckdb")
            self.policies = PolicyShelf(home)
            self.clerk = Clerk(self.books, self.prices, self.rules, self.policies.timeline)
            self.intake = Intake(self.journal, self.clerk)
            self._catch_up_tags()
            self.spool = Spool(home / "spool", self.intake)
            if self.spool.take():
                self.intake.settle()
            self.spool.watch()
        except BaseException:
            self._lock.release()
            raise

    @property
    def control(self) -> ControlStore:
        """The control store of this home, opened when it is first needed. Raises StoreError, InputError."""
        with self._control_lock:
            if self._control is None:
                self._control = open_control(self.home)
            return self._control

    @classmethod
    def open(cls, home: Path | None = None) -> House:
        """Open the home, or the default one. Raises StoreBusyError while another process owns it."""
        return cls(home or default_home())

    @property
    def prices_folder(self) -> Path:
        """Where contracts, overrides, aliases, the rate card and imported price maps are kept."""
        return self.home / PRICES

    def close(self) -> None:
        """Finish what was accepted and give the home free, whatever fails on the way."""
        with ExitStack() as last:
            if self._control is not None:
                last.callback(self._control.close)
            for step in (self._lock.release, self.journal.close, self.books.close, self.intake.close, self.spool.close):
                last.callback(step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- in --------------------------------------------------------------------------------------------------------

    def import_paths(
        self,
        paths: Sequence[Path],
        options: ReadOptions | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> ImportReport:
        """Read files and folders into the books. Files of no known format are listed; the rest goes through."""
        options = options or ReadOptions()
        files, report = discover(paths), ImportReport()
        for place, file in enumerate(files):
            if progress:
                progress(Progress(place, len(files), file.name))
            try:
                report.by_file[str(file)] = self._import_batches(read(file, options))
            except FormatError as error:
                report.unreadable.append(Problem(str(file), error.message, error.hint))
                continue
            report.add(report.by_file[str(file)])
            report.files += 1
        self.intake.settle()
        if progress:
            progress(Progress(len(files), len(files)))
        return report

    def post_facts(self, batch: Batch) -> PostReport:
        """Post one batch of facts; returns when it is in the books."""
        return self.intake.take(batch).result()

    def _import_batches(self, batches: Iterable[Batch]) -> PostReport:
        report = PostReport()
        for batch in batches:
            report.add(self.post_facts(batch))
            report.passed_over += batch.passed_over
        return report

    # ---- out -------------------------------------------------------------------------------------------------------

    def ask(self, query: Query) -> Answer:
        """Answer a question from the books."""
        if asks_how_tasks_ended(query):
            self._abandon_if_due()
        with self.books.reading() as reader:
            return ask(reader, query)

    @contextmanager
    def moment(self) -> Generator[HouseAtOneMoment]:
        """The books as they are now, whatever is posted meanwhile: for pages, whose figures must agree."""
        with self.books.reading() as reader:
            yield HouseAtOneMoment(Moment(reader, kept=self._kept.of(reader.version)), self)

    def ask_outcomes(self, query: Query) -> Answer:
        """Answer a question about outcomes, with the interval of what a completed task costs."""
        self._abandon_if_due()
        with self.books.reading() as reader:
            return ask_outcomes(reader, query)

    def tasks(self, query: Query, limit: int) -> list[TaskRow]:
        """The latest tasks in the part and period of a question, at most `limit`, each with its cost."""
        self._abandon_if_due()
        with self.books.reading() as reader:
            return list_tasks(reader, query, limit)

    def task(self, task: str) -> TaskDetail:
        """One task with its cost and every report on it. Raises QueryError for an unknown one."""
        self._abandon_if_due()
        with self.books.reading() as reader:
            return task_detail(reader, task)

    def owners(self, batch: Batch) -> list[frozenset[str]]:
        """For each outcome of a batch the teams of the work it names, as far as the books know it."""
        if not batch.outcomes.num_rows:
            return []
        with self.books.reading() as reader:
            return owners_of(reader, batch.outcomes)

    def session(self, session_id: str, steps: StepsAsked | None = None) -> SessionDetail:
        """One session with a page of its steps, cost lines, outcome and relatives. QueryError for an unknown one."""
        with self.books.reading() as reader:
            return session_detail(reader, session_id, steps)

    def tag_causes(self, query: Query, key: str, limit: int) -> list[CauseFinding]:
        """See `HouseAtOneMoment.tag_causes`."""
        with self.moment() as books:
            return books.tag_causes(query, key, limit)

    def tag_findings(self, query: Query) -> list[Finding]:
        """See `HouseAtOneMoment.tag_findings`."""
        with self.moment() as books:
            return books.tag_findings(query)

    def counters(self, held: Mapping[str, int] | None = None) -> dict[str, int | str]:
        """What came in since the books began, what waits, and when the latest usage began (ISO, UTC; empty if none)."""
        held = self.books.metas() if held is None else held
        counted: dict[str, int | str] = {name: held.get(name, 0) for name in (*COUNTERS, "usages_posted")}
        counted["waiting"] = self.intake.waiting(held.get("posted_through", 0))
        latest = held.get("latest_us", 0)
        counted["metered_through"] = moment_of(latest * NS_PER_US).strftime("%Y-%m-%dT%H:%M:%SZ") if latest else ""
        counted["trouble"] = self.intake.trouble
        return counted

    def doctor(self) -> list[Check]:
        """Check the books, the journal and the prices."""
        through, settled = self.journal.last_number, last_seq(self.books)
        self.intake.settle()
        checks = check_books(self.books, self.journal, self.home, through, settled)
        return [*checks, _policy_check(self.policies, self.refused_by_policy())]

    def refused_by_policy(self) -> int:
        """How many facts are in the journal and not in the books, because a policy rejects their tags."""
        return sum(facts for _, _, facts in self.books.refused_entries())

    # ---- from time to time -----------------------------------------------------------------------------------------

    def abandon(self, as_of: datetime | None = None) -> int:
        """Have exactly those tasks abandoned that nobody completed in time, as of a moment, now if left out.

        Rules that were changed in the home are read first. Returns how many abandoned tasks there are or were.
        """
        self.reload_rules()
        with self.intake.paused(), self.books.writing() as transaction:
            changed = self.books.settle_timeouts(transaction, self.rules.timeouts, as_of or datetime.now(UTC))
            self.books.set_meta(transaction, abandoned_s=int(time.time()))
        return changed

    def true_up(self) -> int:
        """Set what every budget has spent by the books, and close exceptions whose time is over.

        Returns how many balances were looked at.
        """
        from outlay.govern import overrides
        from outlay.govern.budgets import true_up_all

        overrides.sweep(self.control)
        return true_up_all(self.control, self.ask, time.time_ns())

    def watch(self) -> int:
        """Look at every budget as the books have it and write down what is worth telling; how many alerts are new."""
        from outlay.govern.watch import watch

        self.true_up()
        return watch(self.control, self.ask, time.time_ns())

    def refresh_rates(self) -> int:
        """Have decisions go by the prices of today; how many rates changed hands, 0 where nothing was to do."""
        from outlay.govern.rates import refresh_if_needed

        return refresh_if_needed(self.control, self.prices)

    def _abandon_if_due(self) -> None:
        if not 0 <= time.time() - self.books.meta("abandoned_s") <= 2 * ABANDON_EVERY_S:
            self.intake.settle()
            self.abandon()

    def reload_rules(self) -> None:
        """Read the home's outcome rules again if they changed; bad ones are logged and the ones in force stay."""
        path = self.home / RULES_FILE
        changed = _changed_at(path)
        if changed == self._rules_read:
            return
        self._rules_read = changed
        try:
            self.rules = read_rules(path)
        except InputError as error:
            _log.warning("%s; the rules in force stay", error.message)
        self.clerk.rules = self.rules

    # ---- again -----------------------------------------------------------------------------------------------------

    def reload_prices(self) -> None:
        """Read the price folder again after a change; what is posted from now on uses it."""
        self.prices = PriceBook.load(self.prices_folder)
        self.clerk.prices = self.prices

    def reprice(
        self, start: datetime | None, end: datetime | None, progress: Callable[[Progress], None] | None = None
    ) -> RepriceReport:
        """Charge the usages of a period again with the present price book."""
        self.intake.settle()
        step = (lambda done, total: progress(Progress(done, total, "usages"))) if progress else None
        with self.intake.paused():
            report = reprice(self.books, self.clerk, start, end, step)
        self.intake.settle()
        return report

    def adopt_policy(
        self,
        content: bytes,
        start: datetime | None,
        end: datetime | None,
        actor: str,
        action: str = "tags.policy",
        *,
        trial: bool = False,
    ) -> RetagReport:
        """Let a tag policy hold for the usages from `start` up to, not including, `end`, those in the books included.

        The adoption and its line in the audit log are one; the books follow, after a crash too. With `trial` nothing is
        changed: the report tells what would be. Raises InputError for a policy with problems.
        """
        from outlay.control import audit

        start_us, end_us = (None if moment is None else ns_of(moment) // NS_PER_US for moment in (start, end))
        self.intake.settle()
        with self.intake.paused():
            if trial:
                return self._try_policy(content, start_us, end_us)
            before = {"policy": self.policies.timeline.current.digest}
            after = {"policy": digest_of(content), "from_us": start_us, "to_us": end_us}
            with self.control.writing() as connection:
                audit.append(connection, actor, action, self.policies.path.name, before=before, after=after)
                timeline = self.policies.adopt(content, time.time_ns(), start_us, end_us, actor)
            self.clerk.policies = timeline
            report = retag(self.books, self.clerk, self.journal, start_us, end_us)
        self.intake.settle()
        self.abandon()  # what nobody completed has the tags of its work
        return report

    def _try_policy(self, content: bytes, start_us: int | None, end_us: int | None) -> RetagReport:
        """Adopt a policy in a copy of the books, which is thrown away."""
        timeline = self.policies.planned(content, time.time_ns(), start_us, end_us, "trial")
        self.books.checkpoint()
        path, copy = self.home / "books.duckdb", self.home / _TRIAL_BOOKS
        free, needed = shutil.disk_usage(self.home).free, path.stat().st_size
        if free < 2 * needed:
            raise StoreFullError(
                f"a trial works on a copy of the books and needs {2 * needed // 1024**2:,} MiB of room",
                hint="free some space",
            )
        try:
            shutil.copyfile(path, copy)
            books = DuckBooks(copy)
            try:
                clerk = Clerk(books, self.prices, self.rules, timeline)
                return retag(books, clerk, self.journal, start_us, end_us)
            finally:
                books.close()
        finally:
            copy.unlink(missing_ok=True)

    def _catch_up_tags(self) -> None:
        """Finish what a crash cut off, and adopt a policy file that was edited while nobody was here.

        The first policy of empty books holds for all time, a later one from now on.
        """
        for entry in self.policies.timeline.adopted[self.books.meta("policy_applied") :]:
            retag(self.books, self.clerk, self.journal, entry.from_us, entry.to_us)
        content = self.policies.edited()
        if content is not None and not self.policies.trouble:
            fresh = not self.policies.timeline.adopted and not self.books.meta("received")
            self.adopt_policy(content, None if fresh else datetime.now(UTC), None, "server")

    def rebuild(self, progress: Callable[[Progress], None] | None = None) -> RebuildReport:
        """Compute the books once more from the journal, compare, and put the new file in place."""
        self.intake.settle()
        step = (lambda done, total: progress(Progress(done, total, "journal entries"))) if progress else None
        path, fresh = self.home / "books.duckdb", self.home / _FRESH_BOOKS
        with self.intake.paused():
            fresh.unlink(missing_ok=True)
            new = DuckBooks(fresh)
            try:
                policies = self.clerk.policies
                report = rebuild(self.journal, self.books, new, self.prices, step, self.rules, policies)
            finally:
                new.close()
            self.books.close()
            fresh.replace(path)
            self.books = DuckBooks(path)
            self.clerk.take_books(self.books)
        return report


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _policy_check(policies: PolicyShelf, refused: int) -> Check:
    """One line about the tag policy: is its file usable, and does it keep facts out of the books."""
    if policies.trouble:
        what = f"{policies.path.name} is not in force: {policies.trouble[0]}"
        return Check("tag policy", ok=False, text=what, hint=f"outlay tags policy check {policies.path}")
    if refused:
        what = f"{refused:,} facts are not in the books because the policy rejects their tags"
        return Check(
            "tag policy", ok=False, text=what, hint="outlay tags; they come back under a policy that lets them in"
        )
    adopted = policies.timeline.adopted
    return Check(
        "tag policy", ok=True, text=f"adoption {len(adopted)} is in force" if adopted else "none, a team is asked for"
    )


def is_owned(home: Path) -> bool:
    """True while a process owns this home."""
    try:
        OwnerLock(home).release()
    except StoreBusyError:
        return True
    return False
