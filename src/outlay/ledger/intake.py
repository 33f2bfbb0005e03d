"""Intake: from bytes at the door to lines in the books, through the journal, by two threads.

The scribe decodes bodies in groups, drops what must not be kept, appends the rest to the journal with one sync for the
group and only then answers. The clerk posts what was journalled, in the journal's order, in larger groups, and settles.
A sender that is answered can forget: after a crash the clerk reads on in the journal where the books end.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from outlay.core.errors import FormatError, OutlayError, Problem, StoreBusyError, StoreError, StoreFullError
from outlay.ledger.journal import EntryKind, Journal
from outlay.ledger.posting import PROBLEMS_MAX, Clerk, PostReport
from outlay.ledger.rolling import ROLL_UP_IDLE_S, Roller
from outlay.ledger.settling import settle
from outlay.ledger.signals import RAW, WAYS, Encoding, Signal, post_entry, post_told, told_by
from outlay.ledger.waiting import Body, Posting, Receipt, State, rows_of
from outlay.normalize.writers import Sender, keep_permitted
from outlay.sources.facts import Batch

WAITING_BYTES_MAX = 256 * 1024 * 1024
"""Bodies that wait for the journal; beyond this a sender is asked to come back, instead of memory growing."""

GROUP_BODIES_MAX = 64
"""Bodies decoded together: a group costs some milliseconds, however small its bodies are."""

GROUP_BYTES_MAX = 4 * 1024 * 1024
"""Some 5,000 spans of 20 attributes: columns of larger groups leave a core's cache, and each costs up to half more."""

GATHER_S = 0.004  # not money: seconds that bodies of several senders wait for each other
POST_ROWS_MAX = 65_536
"""Rows of one posting: larger groups cost less a row, smaller ones are seen sooner."""

LINGER_S = 0.4  # not money: seconds that the first batch of a posting waits for others
LINGER_BUSY_S = 1
BUSY_ROWS = 4_096
"""Rows at hand that show that a lot comes in: then a posting, whose statements cost some 40 ms, takes a second's, and
the clerk works alone."""

WAITING_POSTINGS_MAX = 64
SETTLE_PAUSE_S = 1  # a trace that is still being told is not looked at again for every line
SETTLE_SHARE, SETTLE_SHARE_BUSY = 10, 20
"""Settling takes at most one part in this many of the clerk's time, however large the books are."""

PROBLEMS_LOGGED_MAX = 5
"""Of one posting; the others are counted."""

CHECKPOINT_ROWS = 400_000
"""Rows posted between two checkpoints of the books: what a crash makes the next start post again from the journal."""
CHECKPOINT_BYTES_MIN = 1024 * 1024
ROW_BYTES_MAX = 512
"""What a usage and its cost lines take on disk at most; measured are some 150 bytes."""
CHECKPOINT_IDLE_S = 5
RETRY_S = 1
"""How long the clerk waits when the books cannot be written; a checkpoint that failed waits CHECKPOINT_IDLE_S."""

_log = logging.getLogger("outlay.intake")


class Intake:
    """The two threads and the queues between them; `close` finishes what was accepted."""

    def __init__(self, journal: Journal, clerk: Clerk) -> None:
        self.journal = journal
        self.clerk = clerk
        self._state = State()
        self._order = threading.Lock()  # the order of the journal is the order of posting
        self._desk = threading.Lock()  # whoever holds it may write the books
        self._bodies: queue.SimpleQueue[Body | None] = queue.SimpleQueue()
        self._postings: queue.Queue[Posting | None] = queue.Queue(WAITING_POSTINGS_MAX)
        self._settled_at = time.monotonic()
        self._settle_pause: float = SETTLE_PAUSE_S
        self._unsettled = True
        self._roller = Roller(clerk, lambda: not self._postings.empty())
        self._unwritten_rows = 0
        self._crowded = self._busy = False
        self._checkpoint_after = time.monotonic()
        self._problems: deque[Problem] = deque(maxlen=PROBLEMS_MAX)
        self._closing = threading.Event()
        self._gave_up = False
        self.catch_up()
        self._scribe = threading.Thread(target=self._write, name="outlay-scribe", daemon=True)
        self._clerk_thread = threading.Thread(target=self._post, name="outlay-clerk", daemon=True)
        self._scribe.start()
        self._clerk_thread.start()

    @property
    def trouble(self) -> str:
        """What keeps the clerk from posting at present; empty while all is well."""
        return self._state.trouble

    def submit(
        self, body: bytes, encoding: Encoding, signal: Signal = "traces", *, sender: Sender | None = None
    ) -> Future[Receipt]:
        """Accept one OTLP body; the future resolves when what it tells is durable.

        `sender` is whose key came with it, None without one: rows of teams it may not write are refused and named.
        Raises StoreBusyError when too much waits already. The future fails with FormatError for a malformed body and
        with StoreFullError when the disk is full.
        """
        with self._state.lock:
            if self._state.waiting_bytes + len(body) > WAITING_BYTES_MAX and self._state.waiting_bytes:
                raise StoreBusyError(
                    f"{self._state.waiting_bytes // 1024**2} MiB wait to be written already",
                    hint="send again in a few seconds; collectors and SDKs do so by themselves",
                )
            self._state.waiting_bytes += len(body)
        answer: Future[Receipt] = Future()
        self._bodies.put(Body(body, encoding, signal, answer, sender))
        return answer

    def take(self, batch: Batch) -> Future[PostReport]:
        """Accept a batch of a file source; the future resolves when it is posted. Raises StoreFullError."""
        before = PostReport(
            batch.received, duplicates=batch.repeats, refused=batch.refused, problems=list(batch.problems)
        )
        answer: Future[PostReport] = Future()
        now = time.time_ns()
        with self._order:
            raw = [(EntryKind.SPANS, batch.spans), (EntryKind.LOGS, batch.logs), (EntryKind.POINTS, batch.points)]
            told = next(((kind, table) for kind, table in raw if table is not None and table.num_rows), None)
            entries = [told] if told else [(EntryKind.FACTS, batch.facts), (EntryKind.OUTCOMES, batch.outcomes)]
            number = self.journal.append([(kind, table) for kind, table in entries if table.num_rows], now)
            if told:
                posting = Posting(number, *told, now, before, None, answer)
            else:
                posting = Posting(number, EntryKind.FACTS, batch.facts, now, before, batch.outcomes, answer)
            self._postings.put(posting)
        return answer

    def settle(self) -> None:
        """Wait until everything accepted so far is posted and settled."""
        done: Future[PostReport] = Future()
        self._postings.put(Posting(0, EntryKind.FACTS, None, 0, PostReport(), None, done))
        done.result()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Keep the clerk from the books for a while; facts go on being accepted into the journal."""
        with self._desk:
            yield

    def waiting(self, through: int) -> int:
        """Journal entries beyond number `through`, the last one of the books one looks at, and bodies not yet durable.

        The caller names the entry, because the clerk posts on: its own would belong to other figures than the caller's.
        """
        return self.journal.last_number - through + self._bodies.qsize()

    def problems(self) -> list[Problem]:
        """The latest reports through the OTLP door that were refused or repaired, since this process began."""
        return list(self._problems)

    def catch_up(self, through: int | None = None) -> int:
        """Post what the journal holds beyond the books, as after a crash; returns how many entries.

        `through` is the last entry to post, all of them if left out.
        """
        entries = 0
        for entry in self.journal.read(self.clerk.books.meta("posted_through")):
            if through is not None and entry.number > through:
                break
            try:
                post_entry(self.clerk, entry)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - a batch that cannot be posted is parked, the next ones go on
                self._park(entry.number, PostReport(received=entry.table.num_rows), error)
            entries += 1
            self._unwritten_rows += entry.table.num_rows
        if entries:
            settle(self.clerk.books, self.clerk.policies)
            if through is None:
                self._checkpoint()
        return entries

    def close(self) -> None:
        """Finish what was accepted, settle, and stop both threads.

        While the books cannot be written it is not waited for: the journal has it, and the next start posts it.
        """
        self._closing.set()
        self._bodies.put(None)
        self._scribe.join()
        self.settle()
        self._postings.put(None)
        self._clerk_thread.join()

    # ---- the scribe --------------------------------------------------------------------------------------------

    def _write(self) -> None:
        while (body := self._bodies.get()) is not None:
            group, stop = self._group(body)
            # Whoever went away before this moment was promised nothing; from now on nobody can withdraw.
            wanted = [one for one in group if one.answer.set_running_or_notify_cancel()]
            alike: dict[tuple[Signal, Encoding], list[Body]] = {}
            for one in wanted:
                alike.setdefault((one.signal, one.encoding), []).append(one)
            for (signal, encoding), bodies in alike.items():
                self._write_group(bodies, signal, encoding)
            with self._state.lock:
                self._state.waiting_bytes -= sum(len(one.data) for one in group)
            if stop:
                return

    def _group(self, first: Body) -> tuple[list[Body], bool]:
        """The bodies to decode together; where several senders are at work, the first waits a moment for the rest."""
        group, size = [first], len(first.data)
        until = time.monotonic() + (GATHER_S if self._crowded else 0)
        while len(group) < GROUP_BODIES_MAX and size < GROUP_BYTES_MAX:
            try:
                left = until - time.monotonic()
                body = self._bodies.get(timeout=left) if left > 0 else self._bodies.get_nowait()
            except queue.Empty:
                break
            if body is None:
                return group, True
            group.append(body)
            size += len(body.data)
        self._crowded = len(group) > 1
        return group, False

    def _write_group(self, group: Sequence[Body], signal: Signal, encoding: Encoding) -> None:
        way = WAYS[signal]
        try:
            decoded = way.decode([one.data for one in group], encoding)
            decoded.rows = keep_permitted(decoded.rows, decoded.bodies, [one.sender for one in group])
            before = PostReport(
                received=sum(body.received for body in decoded.bodies),
                refused=sum(body.refused for body in decoded.bodies),
                problems=[problem for body in decoded.bodies for problem in body.problems],
            )
            now = time.time_ns()
            with self._order:
                number = self.journal.append([(way.kind, decoded.rows)], now)
                if before.received:  # refused to the last row, it is counted all the same
                    self._postings.put(Posting(number, way.kind, decoded.rows, now, before))
        except Exception as error:  # noqa: BLE001 - whatever happens, every sender gets an answer
            if len(group) > 1 and not isinstance(error, OutlayError):
                for one in group:  # one of them is to blame, the others are not
                    self._write_group([one], signal, encoding)
                return
            if not isinstance(error, OutlayError):
                _log.exception("a body could not be taken in")
            for one in group:
                one.answer.set_exception(error)
            return
        for one, report in zip(group, decoded.bodies, strict=True):
            if report.malformed:
                what = report.problems[0].what if report.problems else "the body is not OTLP"
                one.answer.set_exception(FormatError(what, hint=f"send {way.request} as protobuf or JSON"))
            else:
                one.answer.set_result(Receipt(report.received, report.refused, tuple(report.problems)))

    # ---- the clerk ---------------------------------------------------------------------------------------------

    def _post(self) -> None:
        held: Posting | None = None
        while True:
            first = held or self._next_posting()
            held = None
            if first is None:
                return
            with self._desk:
                group, held = ([first], None) if first.answer is not None else self._gather(first)
                self._busy = sum(map(rows_of, group)) >= BUSY_ROWS
                self.clerk.books.work_alone(alone=self._busy)
                if first.answer is not None:
                    self._post_one(first)
                else:
                    self._post_raw(group)
                if self._unsettled and time.monotonic() - self._settled_at >= self._settle_pause:
                    self._settle_now()
                self._roller.run_if_due()
                if self._unwritten_rows >= CHECKPOINT_ROWS and time.monotonic() >= self._checkpoint_after:
                    self._checkpoint()

    def _next_posting(self) -> Posting | None:
        """The next batch; while there is none, what is left to do is done."""
        while True:
            steps = (
                (self._unsettled, self._settle_pause, self._settle_now),
                (self._roller.stale, ROLL_UP_IDLE_S, self._roller.run),
                (bool(self._unwritten_rows), CHECKPOINT_IDLE_S, self._checkpoint),
            )
            pause, step = next(((pause, step) for due, pause, step in steps if due), (None, self._checkpoint))
            if pause is None:
                self._let_helpers_in()
            try:
                return self._postings.get(timeout=pause)
            except queue.Empty:
                self._let_helpers_in()
                with self._desk:
                    step()

    def _let_helpers_in(self) -> None:
        with self._desk:
            self.clerk.books.work_alone(alone=False)

    def _gather(self, first: Posting) -> tuple[list[Posting], Posting | None]:
        """Put together what may be posted in one go: what is journalled can wait a moment for company."""
        group, rows, began = [first], rows_of(first), time.monotonic()
        while rows < POST_ROWS_MAX:
            try:
                left = began + (LINGER_BUSY_S if rows >= BUSY_ROWS else LINGER_S) - time.monotonic()
                following = self._postings.get(timeout=left) if left > 0 else self._postings.get_nowait()
            except queue.Empty:
                return group, None
            if following is None:
                self._postings.put(None)
                return group, None
            apart = following.kind is not first.kind or self._policy_between(first, following)
            if following.answer is not None or apart:
                return group, following
            group.append(following)
            rows += rows_of(following)
        return group, None

    def _policy_between(self, first: Posting, following: Posting) -> bool:
        """Whether a tag policy was adopted between two acceptances: what it rejects is judged by its own moment."""
        adopted = self.clerk.policies.adopted
        return bool(adopted) and first.accepted_ns < adopted[-1].at_ns <= following.accepted_ns

    def _post_one(self, posting: Posting) -> None:
        """Post a batch somebody waits for; what was journalled is posted in its turn even if its caller was told no."""
        assert posting.answer is not None
        if posting.table is None:
            self._settle_now()
            self._roller.run()
            posting.answer.set_result(PostReport())
            return
        while not self._gave_up:
            try:
                report = self._post_batch(posting)
                self._posted()
                if not posting.answer.done():
                    posting.answer.set_result(report)
                return
            except StoreError as error:
                if not posting.answer.done():
                    posting.answer.set_exception(error)
                self._wait_for_room(error)
            except Exception as error:  # noqa: BLE001 - parked, and its caller is told
                self._park(posting.number, posting.before, error)
                if not posting.answer.done():
                    posting.answer.set_exception(error)
                return
        if not posting.answer.done():
            posting.answer.set_exception(StoreError("the books are closed", hint="it is durable; start Outlay again"))

    def _post_batch(self, posting: Posting) -> PostReport:
        self._unwritten_rows += rows_of(posting)
        if posting.kind in RAW and posting.table is not None:
            told = told_by(posting.kind, [posting.table], posting.before, self.clerk.rules)
            return post_told(self.clerk, told, posting.number, posting.accepted_ns)
        return self.clerk.post(
            posting.table,
            posting.outcomes,
            through=posting.number,
            before=posting.before,
            accepted_ns=posting.accepted_ns,
        )

    def _post_raw(self, group: list[Posting]) -> None:
        before = PostReport()
        for one in group:
            before.add(one.before)
        while not self._gave_up:
            try:
                tables = [one.table for one in group if one.table is not None]
                told, last = told_by(group[0].kind, tables, before, self.clerk.rules), group[-1]
                self._list(post_told(self.clerk, told, last.number, last.accepted_ns).problems)
                self._unwritten_rows += sum(table.num_rows for table in tables)
                self._posted()
                return
            except StoreError as error:
                self._wait_for_room(error)
            except Exception as error:  # noqa: BLE001 - a batch that cannot be posted is parked, the next ones go on
                if len(group) == 1:
                    self._park(group[0].number, group[0].before, error)
                    return
                for one in group:
                    self._post_raw([one])
                return

    def _list(self, problems: Sequence[Problem]) -> None:
        """Keep and log what could not be told to its sender, who was answered before it was found."""
        self._problems.extend(problems)
        for problem in problems[:PROBLEMS_LOGGED_MAX]:
            _log.warning("%s: %s", problem.where, problem.what)
        if len(problems) > PROBLEMS_LOGGED_MAX:
            _log.warning("and %d more such problems", len(problems) - PROBLEMS_LOGGED_MAX)

    def _posted(self) -> None:
        self._unsettled, self._roller.stale, self._state.trouble = True, True, ""

    def _wait_for_room(self, error: StoreError) -> None:
        """Wait a moment before the next try. At the end of the process give up for good: no entry is jumped over."""
        self._state.trouble = error.message
        _log.warning("posting waits: %s", error.message)
        self._gave_up = self._closing.wait(RETRY_S)

    def _park(self, number: int, before: PostReport, error: Exception) -> None:
        """Step over an entry that cannot be posted; it stays in the journal and `outlay doctor` names it."""
        _log.error("entry %d of the journal could not be posted", number, exc_info=error)
        lost = before.received - before.duplicates - before.refused
        report = PostReport(before.received, duplicates=before.duplicates, refused=before.refused + lost)
        while not self._gave_up:
            try:
                self.clerk.park(number, report)
                return
            except StoreError as full:
                self._wait_for_room(full)

    def _checkpoint(self) -> None:
        books = self.clerk.books
        try:
            self._check_room()
            books.checkpoint()
            self._unwritten_rows, self._state.trouble = 0, ""
        except StoreError as error:
            self._state.trouble = error.message
            _log.warning("the books cannot be written to disk: %s", error.message)
            self._checkpoint_after = time.monotonic() + CHECKPOINT_IDLE_S
            if not books.is_usable():
                self._go_back()

    def _check_room(self) -> None:
        """Raise StoreFullError before the engine finds out: a checkpoint that fails costs it its trust in the file."""
        free = shutil.disk_usage(self.journal.folder).free
        if free < CHECKPOINT_BYTES_MIN + self._unwritten_rows * ROW_BYTES_MAX:
            raise StoreFullError(
                f"{free // 1024**2} MiB of room are too few to write the books", hint="free some space"
            )

    def _go_back(self) -> None:
        """Take the books as the last checkpoint left them and post again, in memory, what came after it."""
        through = self.clerk.through
        while not self._gave_up:
            try:
                self.clerk.books.reopen()
                self.clerk.take_books(self.clerk.books)
                self._unwritten_rows = 0
                self.catch_up(through)
                return
            except StoreError as error:
                self._wait_for_room(error)

    def _settle_now(self) -> None:
        began = time.monotonic()
        try:
            settle(self.clerk.books, self.clerk.policies)
            self._unsettled = False
        except Exception as error:  # noqa: BLE001 - posting must go on whatever relatives there are
            self._state.trouble = error.message if isinstance(error, OutlayError) else f"settling failed: {error!r}"
            _log.warning("settling waits: %s", self._state.trouble, exc_info=not isinstance(error, StoreError))
        self._settled_at = time.monotonic()
        share = SETTLE_SHARE_BUSY if self._busy else SETTLE_SHARE
        self._settle_pause = max(SETTLE_PAUSE_S, share * (self._settled_at - began))
