"""Imports every module that Outlay hooks, before or after `init()`, and says as JSON what came of it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import logging
import sys

import outlay
from outlay.sdk.frameworks import HOOKS
from outlay.sdk.frameworks.around import MARK

notices: list[str] = []


class Notices(logging.Handler):
    """Keeps what is said."""

    def emit(self, record: logging.LogRecord) -> None:
        notices.append(record.getMessage())


def hooks_in(name: str) -> int:
    """How many methods and functions of a module are ours."""
    module = importlib.import_module(name)
    owners = [module, *(one for one in vars(module).values() if inspect.isclass(one))]
    return sum(getattr(value, MARK, False) is True for owner in owners for value in list(vars(owner).values()))


if __name__ == "__main__":
    logging.getLogger("outlay.frameworks").addHandler(Notices())
    there = [name for name in HOOKS if importlib.util.find_spec(name.partition(".")[0])]
    there = [name for name in there if importlib.util.find_spec(".".join(name.split(".")[:2]))]
    if sys.argv[1] == "first":
        outlay.init()
    found = {name: importlib.import_module(name).__name__ for name in there}
    if sys.argv[1] == "last":
        outlay.init()
    print(json.dumps({"hooks": {name: hooks_in(name) for name in found}, "notices": notices}))
