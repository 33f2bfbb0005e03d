"""What every command understands: where the books are, how to answer, how much to say when something fails."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

if TYPE_CHECKING:
    from outlay.faces.desk import Params

HOME_VARIABLE = "OUTLAY_HOME"

P = ParamSpec("P")


@dataclass(slots=True)
class Context:
    """What the shared options said. `form` is `table`, `json` or `csv`."""

    home: Path | None = None
    form: str = "table"
    debug: bool = False
    colour: bool = True

    @property
    def folder(self) -> Path:
        """The home: the option, else the environment, else the platform's place for data."""
        if self.home is not None:
            return self.home
        named = os.environ.get(HOME_VARIABLE, "")
        if named:
            return Path(named).expanduser()
        from platformdirs import user_data_path

        return user_data_path("outlay", appauthor=False)

    @property
    def shows_colour(self) -> bool:
        """Colour only for a person at a terminal who did not ask for none."""
        return self.colour and not os.environ.get("NO_COLOR") and sys.stdout.isatty()

    @property
    def shows_progress(self) -> bool:
        """A progress bar only where a person can see it."""
        return sys.stderr.isatty()


def shared(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options every command has; they are read into the click context's object."""

    @click.option("--json", "as_json", is_flag=True, expose_value=False, callback=_form, help="Answer one JSON object.")
    @click.option("--csv", "as_csv", is_flag=True, expose_value=False, callback=_form, help="Answer the rows as CSV.")
    @click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        expose_value=False,
        callback=_home,
        help=f"Where the books are.  [{HOME_VARIABLE}]",
    )
    @click.option("--no-color", is_flag=True, expose_value=False, callback=_no_colour, help="No colour.  [NO_COLOR]")
    @click.option("--debug", is_flag=True, expose_value=False, callback=_debug, help="Show the traceback of an error.")
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        command(*args, **kwargs)

    return run


def question(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options of a question, named as in the API."""
    for option in (
        click.option("--counted", metavar="only|all", help="all: superseded reports too, only to look at them."),
        click.option("--order", metavar="NAME[:asc|desc]", help="Sort by this measure or dimension."),
        click.option("--top", metavar="N", help="Only the first N rows; the rest is one row (other)."),
        click.option(
            "--where", multiple=True, metavar="NAME:VALUE", help="Filter, like team:search|billing or team!=search."
        ),
        click.option("--until", metavar="TIME", help="Up to this moment, not included."),
        click.option("--since", metavar="TIME", help="From this moment: 2026-11-01, 2026-11, 30d, 24h, today."),
        click.option("--grain", metavar="GRAIN", help="Buckets: minute, hour, day, week, month, quarter, year."),
        click.option("--measures", multiple=True, metavar="NAME,…", help="Figures to show; outlay metrics lists them."),
        click.option(
            "--by", multiple=True, metavar="NAME,…", help="Dimensions to split by; outlay metrics lists them."
        ),
    ):
        command = option(command)
    return command


def asked(**options: Any) -> Params:
    """The options of a question that were given, as texts by name."""
    params: dict[str, list[str]] = {}
    for name, value in options.items():
        texts = [str(item) for item in value] if isinstance(value, tuple) else [] if value is None else [str(value)]
        if texts:
            params[name] = texts
    return params


def current() -> Context:
    """The context of the running command."""
    found = click.get_current_context().find_object(Context)
    assert found is not None
    return found


def _form(context: click.Context, option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's callback
    if not value:
        return
    settings = context.ensure_object(Context)
    wanted = (option.name or "").removeprefix("as_")
    if settings.form not in {"table", wanted}:
        raise click.UsageError("--json and --csv exclude each other", context)
    settings.form = wanted


def _home(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(Context).home = value


def _no_colour(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's callback
    if value:
        context.ensure_object(Context).colour = False


def _debug(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's callback
    if value:
        context.ensure_object(Context).debug = True


def name_and_value(text: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE. Raises UsageError."""
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise click.UsageError(f'not NAME=VALUE: "{text}"', click.get_current_context())
    return name, value
