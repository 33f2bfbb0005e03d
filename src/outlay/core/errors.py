"""The error tree: every refusal Outlay raises, each saying what happened and the way out.

    OutlayError
    ├── InputError          what a person or a file handed in cannot be used
    │   ├── FormatError     the bytes are not the format they claim to be
    │   └── QueryError      a question names something that does not exist
    ├── PriceError          a price, contract or rate card is not usable
    ├── StoreError          the books cannot be opened, written or trusted
    │   ├── StoreVersionError   the books were written by a newer Outlay
    │   ├── StoreBusyError      another process owns the books
    │   └── StoreFullError      there is no room left to acknowledge anything
    ├── ServerError         a running server could not be reached or refused
    └── LeaseError          a lease that is not there

Problems in user data that concern one row are never raised: they are `Problem` records, returned as lists.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class OutlayError(Exception):
    """Base of all refusals.

    `message` says what happened with the value, `detail` gives extra lines, `hint` the next step.
    `code` is a stable, machine-readable slug; `status` the HTTP status the API answers with.
    """

    code = "error"
    status = 500

    def __init__(self, message: str, *, detail: Iterable[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = tuple(detail)
        self.hint = hint


class InputError(OutlayError):
    """What was handed in cannot be used; nothing was written."""

    code = "bad-input"
    status = 400


class ConflictError(InputError):
    """What was to be changed is no longer as the sender saw it."""

    code = "conflict"
    status = 409


class FormatError(InputError):
    """The bytes are not the format they claim to be, or no known format at all."""

    code = "bad-format"
    status = 400


class QueryError(InputError):
    """A question names a measure, dimension, filter or period that does not exist."""

    code = "bad-query"
    status = 400


class PriceError(OutlayError):
    """A price, contract or rate card is not usable."""

    code = "bad-price"
    status = 400


class StoreError(OutlayError):
    """The books cannot be opened, written or trusted."""

    code = "store"
    status = 500


class StoreVersionError(StoreError):
    """The books were written by a newer Outlay."""

    code = "store-version"


class StoreBusyError(StoreError):
    """Another process owns the books."""

    code = "store-busy"
    status = 503


class StoreFullError(StoreError):
    """There is no room left on the disk: nothing new is acknowledged, nothing old is lost."""

    code = "store-full"
    status = 507


class ServerError(OutlayError):
    """A running server could not be reached, or it refused."""

    code = "server"
    status = 502


class LeaseError(OutlayError):
    """There is no such lease."""

    code = "no-lease"
    status = 404


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of user data that was refused or repaired.

    `where` names the place (file, line, span), `what` the problem with its value, `hint` what is valid.
    """

    where: str
    what: str
    hint: str = ""


def nearest(value: str, valid: Iterable[str]) -> str:
    """A sentence that suggests the nearest valid word, or lists the valid ones."""
    words = sorted(valid)
    close = difflib.get_close_matches(value, words, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else "valid: " + ", ".join(words)
