"""`outlay`: the group of commands, and the one place where an error becomes words and an exit code.

Exit codes: 0 ok · 1 failed · 2 wrong usage · 3 a gate was crossed · 4 not authorised · 130 interrupted.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

import click

from outlay import __version__
from outlay.core.errors import OutlayError, QueryError
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import Context, shared

_HERE = "outlay.faces.cli"

ENTRIES: dict[str, Entry] = {
    "up": Entry(f"{_HERE}.up:up", "Start the server: OTLP, API and page on one port, OTLP over gRPC on another."),
    "demo": Entry(f"{_HERE}.demo:demo", "Make a believable company and serve it."),
    "import": Entry(f"{_HERE}.imports:import_", "Read files of any known format into the books."),
    "spend": Entry(f"{_HERE}.spend:spend", "What was spent, by whatever you want to split it by."),
    "why": Entry(f"{_HERE}.why:why", "Why a completed task of a feature costs what it costs."),
    "sessions": Entry(f"{_HERE}.sessions:sessions", "The dearest sessions, or one of them."),
    "session": Entry(f"{_HERE}.sessions:session", "One session, why it is dear, and its steps a page at a time."),
    "outcomes": Entry(f"{_HERE}.outcomes:outcomes", "Tasks that came to an end, and what a completed one cost."),
    "budgets": Entry(f"{_HERE}.budgets:budgets", "What may be spent, by whom, in which window, and what is left."),
    "overrides": Entry(f"{_HERE}.overrides:overrides", "Exceptions to budgets: asked for, decided, ended."),
    "alerts": Entry(f"{_HERE}.alerts:alerts", "What is told of budgets: when, in which words, to whom."),
    "forecast": Entry(f"{_HERE}.forecast:forecast", "What a month will have cost when it is over."),
    "efficiency": Entry(f"{_HERE}.efficiency:efficiency", "What an outcome costs against a year ago, month by month."),
    "targets": Entry(f"{_HERE}.targets:targets", "What a completed task of a feature may cost, quarter by quarter."),
    "stop": Entry(f"{_HERE}.stops:stop", "Stop a session, an agent, a feature, or whatever carries a scope, at once."),
    "stops": Entry(f"{_HERE}.stops:stops", "The stops in force."),
    "actions": Entry(f"{_HERE}.stops:actions", "What follows when money runs short, and what waits for approval."),
    "prices": Entry(f"{_HERE}.prices:prices", "The price book: show, add, contract, alias, import, check."),
    "tags": Entry(f"{_HERE}.tags:tags", "How much of the cost is tagged as the policy asks, and why not all of it."),
    "prefixes": Entry(
        f"{_HERE}.prefixes:prefixes", "How much of a request trace's input a prefix cache could have served."
    ),
    "reprice": Entry(f"{_HERE}.reprice:reprice", "Value a period again at today's price book."),
    "rebuild": Entry(f"{_HERE}.rebuild:rebuild", "Make the books again from the journal and compare."),
    "doctor": Entry(f"{_HERE}.doctor:doctor", "Check the books, the prices and the coverage, one line each."),
    "digests": Entry(f"{_HERE}.digests:digests", "Which view goes to which channel every week or month."),
    "views": Entry(f"{_HERE}.views:views", "Which page each role is led to first; with a role and a view, change it."),
    "metrics": Entry(f"{_HERE}.metrics:metrics", "The measures and dimensions there are."),
    "audit": Entry(
        f"{_HERE}.audit:audit", "Who changed which budget, price, key or override, from what to what, when."
    ),
    "leases": Entry(f"{_HERE}.leases:leases", "Money that is held for work at hand: list it, give it back."),
    "keys": Entry(f"{_HERE}.keys:keys", "API keys, for a server that listens beyond this machine."),
}

_SUGGESTIONS = ("did you mean", "valid: ")
"""How a hint begins that is a suggestion already, and no command to try."""

_COLLECT_AFTER = 20_000
"""Objects after which a command looks for garbage: what it imports stays, and looking there took a tenth of a start."""

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_AUTHORISED, EXIT_INTERRUPTED = 1, 2, 4, 130


@click.group(
    cls=LazyGroup,
    entries=ENTRIES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="outlay")
@shared
def outlay() -> None:
    """What did an agent's session really cost, whose money was it, and what did it achieve?

    Without a command: what was spent today, by team.
    """
    context = click.get_current_context()
    context.ensure_object(Context)
    if context.invoked_subcommand is None:
        from outlay.faces.cli.spend import today

        today()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command line and exits with its code."""
    gc.set_threshold(_COLLECT_AFTER)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; the exit code."""
    settings = Context()
    try:
        words = None if arguments is None else list(arguments)
        code = outlay.main(args=words, prog_name="outlay", obj=settings, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
        return EXIT_FAILED
    except Exception as error:
        if settings.debug:
            raise
        return _explain(error)
    return code if isinstance(code, int) else 0  # click answers `context.exit(code)` with the code


def _explain(error: Exception) -> int:
    """Writes an error in three parts: what happened, what follows from it, what to do."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
        return EXIT_USAGE
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "outlay"
        _say_error(_plain_usage(error), (), getattr(error, "hint", "") or f"{command} --help")
        return EXIT_USAGE
    if isinstance(error, OutlayError):
        _say_error(error.message, error.detail, error.hint)
        if error.status in {401, 403}:
            return EXIT_NOT_AUTHORISED
        return EXIT_USAGE if isinstance(error, QueryError) else EXIT_FAILED
    said = f"something went wrong inside Outlay: {type(error).__name__}: {error}"
    _say_error(said, (), "the same command with --debug")
    return EXIT_FAILED


def _plain_usage(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    return message[:1].lower() + message[1:]


def _say_error(message: str, detail: Sequence[str], hint: str) -> None:
    _say(f"error: {message}")
    for line in detail:
        _say(f"  {line}")
    if hint:
        _say(f"  {hint}" if hint.startswith(_SUGGESTIONS) else f"  try: {hint}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _close_stdout() -> None:
    """The reader of a pipe went away: nothing is left to say, and the interpreter must not try at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
