"""Shelf: where the policy is kept: the file a person edits, and every adoption with its day, in the home.

    tags.toml            the policy; edit it, or let `outlay tags policy set` replace it
    tags.history.jsonl   one adoption a line, never rewritten: when, for which time, by whom, and the whole text

The books can be computed again from the journal and the history, whatever has become of `tags.toml` since.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from outlay.core.errors import InputError, Problem
from outlay.normalize.policy.model import Policy
from outlay.normalize.policy.reading import FILE, read_policy, refuse
from outlay.normalize.policy.timeline import Adopted, Timeline

HISTORY = "tags.history.jsonl"


class PolicyShelf:
    """The two files in one home; the process that owns the books owns them too.

    `trouble` says what is wrong with the file where it was edited and cannot be used: the policy adopted last stays.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / FILE
        self.history = home / HISTORY
        self.timeline = Timeline(tuple(self._adoptions()))
        self.trouble: tuple[str, ...] = ()

    def text(self) -> bytes:
        """The policy file as it stands; empty where there is none. Raises InputError if it cannot be read."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}", hint="check who may read it") from error

    def edited(self) -> bytes | None:
        """The policy file where it is not the one adopted last; None where nobody has touched it. Sets `trouble`."""
        content = self.text()
        if not content.strip():
            return None
        policy, problems = read_policy(content)
        self.trouble = tuple(f"{problem.where}: {problem.what}" for problem in problems)
        return None if policy.digest == self.timeline.current.digest else content

    def adopt(self, content: bytes, at_ns: int, from_us: int | None, to_us: int | None, by: str) -> Timeline:
        """Make a policy hold for a stretch of time: durable when this returns, and refused whole with a problem."""
        timeline = self.planned(content, at_ns, from_us, to_us, by)
        self._append(timeline.adopted[-1], content)
        if self.text() != content:
            _replace(self.path, content)
        self.timeline, self.trouble = timeline, ()
        return timeline

    def planned(self, content: bytes, at_ns: int, from_us: int | None, to_us: int | None, by: str) -> Timeline:
        """The timeline as it would be after an adoption. Raises InputError for a policy with problems."""
        policy, problems = read_policy(content)
        if problems:
            refuse(problems)
        entry = Adopted(len(self.timeline.adopted) + 1, policy, at_ns, from_us, to_us, by)
        return Timeline((*self.timeline.adopted, entry))

    def _adoptions(self) -> list[Adopted]:
        found: list[Adopted] = []
        for number, line in enumerate(self._lines(), 1):
            try:
                said = json.loads(line)
                content = str(said["policy"]).encode()
                at, start, end, by = said["at_ns"], said["from_us"], said["to_us"], str(said.get("by", ""))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{HISTORY} line {number} is damaged", hint="restore it from a backup") from error
            policy, problems = read_policy(content, f"{HISTORY} line {number}")
            if problems:
                refuse(problems)
            found.append(Adopted(number, policy, at, start, end, by))
        return found

    def _lines(self) -> list[str]:
        """The whole lines; one that was being written when the machine stopped never counted."""
        try:
            content = self.history.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {self.history}: {error}", hint="restore it from a backup") from error
        whole, _, _ = content.rpartition("\n")
        return whole.split("\n") if whole else []

    def _append(self, entry: Adopted, content: bytes) -> None:
        said = {
            "number": entry.number,
            "at_ns": entry.at_ns,
            "from_us": entry.from_us,
            "to_us": entry.to_us,
            "by": entry.by,
            "digest": entry.policy.digest,
            "policy": content.decode("utf-8-sig"),
        }
        lines = [*self._lines(), json.dumps(said, ensure_ascii=False)]
        _replace(self.history, ("\n".join(lines) + "\n").encode())


def check(content: bytes) -> tuple[Policy, list[Problem]]:
    """What a file would mean as the policy, and everything wrong in it; nothing is changed."""
    return read_policy(content)


def _replace(path: Path, content: bytes) -> None:
    """Replaces a file in one step. Raises InputError if there is no room or no permission; then nothing has changed."""
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", hint="the old file is unchanged") from error
