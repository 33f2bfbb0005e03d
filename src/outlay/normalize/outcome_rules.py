"""Outcome rules: what counts as done or failed, and after how long a silent task is abandoned.

Outlay comes with rules of its own; `outcomes.toml` in the home adds to them:

    [timeout]
    default = "24h"                  # features that report outcomes at all
    [timeout.feature]
    onboarding = "4h"                # this one whether it reports or not
    [timeout.task_type]
    refund = "never"

    [[evaluation]]                   # the first whose name fits decides; before the rules that come with Outlay
    name = "answer correctness*"
    done = ["correct"]               # labels
    failed = ["incorrect"]
    done_from = 0.8                  # scores
    failed_below = 0.5

    [signals]
    commit = "done"                  # or "ignore"
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from outlay.core.errors import InputError, nearest
from outlay.core.outcome import OutcomeStatus, Timeouts
from outlay.normalize.aliases import load, plain

FILE = "outcomes.toml"
IGNORE = "ignore"
_JUDGED = (OutcomeStatus.DONE.value, OutcomeStatus.FAILED.value, OutcomeStatus.ABANDONED.value)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"^(\d{1,6})\s*([smhdw])$")
_SCORE_DONE, _SCORE_FAILED = 1, 0

SIGNALS: Mapping[str, OutcomeStatus | None] = {
    "commit": OutcomeStatus.DONE,
    "pull_request": OutcomeStatus.DONE,
}
"""What a coding agent says of its session, and what it means; `outcomes.toml` may say otherwise."""


@dataclass(frozen=True, slots=True)
class EvaluationRule:
    """What the results of the evaluations whose plain name fits `name` mean; scores lie where the evaluator puts them.

    `labels` gives the status of a label in lower case; a score at or above `done_from` is done, below `failed_below`
    failed, and what lies between says nothing. With `ignored` such an evaluation never ends a task.
    """

    name: str
    labels: Mapping[str, OutcomeStatus]
    done_from: float | None = None  # not money: a score
    failed_below: float | None = None  # not money: a score
    ignored: bool = False

    def judge(self, label: object, score: object) -> OutcomeStatus | None:
        """The status that a label, else a score, stands for; None where the rule knows neither."""
        if self.ignored:
            return None
        said = self.labels.get(label.strip().lower()) if isinstance(label, str) else None
        number = isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score)
        if said is not None or not number:
            return said
        assert isinstance(score, int | float)
        if self.done_from is not None and score >= self.done_from:
            return OutcomeStatus.DONE
        return OutcomeStatus.FAILED if self.failed_below is not None and score < self.failed_below else None


def _signals() -> Mapping[str, OutcomeStatus | None]:
    return SIGNALS


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """The rules of one home, on top of those that come with Outlay."""

    evaluations: tuple[EvaluationRule, ...] = ()
    signals: Mapping[str, OutcomeStatus | None] = field(default_factory=_signals)
    timeouts: Timeouts = field(default_factory=Timeouts)

    def judge(self, name: str, label: object, score: object) -> OutcomeStatus | None:
        """How a task ended, by one evaluation; None where the evaluation does not speak of that."""
        word = plain(name)
        for rule in self.evaluations:
            if fnmatchcase(word, rule.name):
                return rule.judge(label, score)
        aliases = load()
        if word not in aliases.evaluation_names:
            return None
        said = aliases.outcomes.get(label.strip().lower()) if isinstance(label, str) else None
        by_score = {_SCORE_DONE: OutcomeStatus.DONE, _SCORE_FAILED: OutcomeStatus.FAILED}
        return said or (by_score.get(score) if isinstance(score, int | float) else None)  # type: ignore[arg-type]


DEFAULT_RULES = OutcomeRules()


def read_rules(path: Path) -> OutcomeRules:
    """The rules of a file, the defaults where there is none. Raises InputError that names the line's section."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return DEFAULT_RULES
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    try:
        return parse_rules(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise InputError(f"{path.name}: {error}", hint="docs/outcomes.md shows a file") from error


def parse_rules(said: Mapping[str, Any]) -> OutcomeRules:
    """Rules from the tables of a TOML file. Raises ValueError."""
    _only("the file", said, ("timeout", "evaluation", "signals"))
    rows = said.get("evaluation", [])
    if not isinstance(rows, list):
        raise ValueError("evaluation: write each rule as [[evaluation]]")  # noqa: TRY004 - what a person typed
    signals = dict(SIGNALS)
    for name, word in _table("signals", said.get("signals", {})).items():
        if name not in SIGNALS:
            raise ValueError(f'signals: unknown signal "{name}": {nearest(name, SIGNALS)}')
        if word not in (*_JUDGED, IGNORE):
            raise ValueError(f'signals.{name}: unknown word "{word}": {nearest(str(word), (*_JUDGED, IGNORE))}')
        signals[name] = None if word == IGNORE else OutcomeStatus(word)
    evaluations = [_rule(number, row) for number, row in enumerate(cast("list[Any]", rows), 1)]
    return OutcomeRules(tuple(evaluations), signals, _timeouts(_table("timeout", said.get("timeout", {}))))


def _rule(number: int, said: object) -> EvaluationRule:
    where = f"evaluation {number}"
    row = _table(where, said)
    _only(where, row, ("name", *_JUDGED, "done_from", "failed_below", IGNORE))
    name = row.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{where}: name is missing: the evaluation's name, with * for any letters")
    labels: dict[str, OutcomeStatus] = {}
    for status in _JUDGED:
        for label in _texts(f"{where}: {status}", row.get(status, [])):
            word = label.strip().lower()
            if labels.setdefault(word, OutcomeStatus(status)) != status:
                raise ValueError(f'{where}: the label "{label}" is both {labels[word]} and {status}')
    bounds = [_score(where, key, row.get(key)) for key in ("done_from", "failed_below")]
    if None not in bounds and cast("float", bounds[1]) > cast("float", bounds[0]):  # not money: scores
        raise ValueError(f"{where}: failed_below {bounds[1]} lies above done_from {bounds[0]}")
    ignored = row.get(IGNORE, False)
    if not isinstance(ignored, bool):
        raise ValueError(f"{where}: {IGNORE} is true or false")  # noqa: TRY004 - see above
    if not labels and bounds == [None, None] and not ignored:
        raise ValueError(f"{where}: it says neither which label nor which score means done or failed")
    pattern = "*".join(plain(part) for part in name.split("*"))
    return EvaluationRule(pattern, labels, bounds[0], bounds[1], ignored)


def _score(where: str, key: str, value: object) -> float | None:  # not money: a score
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: {key} must be a number, not {value!r}")
    return value


def _timeouts(said: Mapping[str, Any]) -> Timeouts:
    _only("timeout", said, ("default", "feature", "task_type"))
    default = _seconds("timeout.default", said["default"]) if "default" in said else Timeouts().default_s
    return Timeouts(default, *(_named_seconds(f"timeout.{key}", said.get(key, {})) for key in ("feature", "task_type")))


def _named_seconds(where: str, said: object) -> dict[str, int | None]:
    return {name: _seconds(f"{where}.{name}", text) for name, text in _table(where, said).items()}


def _seconds(where: str, text: object) -> int | None:
    if text == "never":
        return None
    found = _DURATION.match(text) if isinstance(text, str) else None
    if found is None or not int(found[1]):
        raise ValueError(f'{where}: "{text}" is no time: like "90m", "24h", "7d" or "never"')
    return int(found[1]) * _SECONDS[found[2]]


def _texts(where: str, value: object) -> Sequence[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in cast("list[object]", items)):
        raise ValueError(f"{where} must be a text or a list of texts")
    return cast("list[str]", items)


def _table(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table")  # noqa: TRY004 - see above
    return cast("dict[str, Any]", value)


def _only(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in table:
        if name not in known:
            raise ValueError(f'{where}: unknown key "{name}": {nearest(name, known)}')
