"""`outlay alerts channels`: where alerts go."""

from __future__ import annotations

import sys
from typing import Any

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show
from outlay.faces.plain import Reply

_HERE = "outlay.faces.cli.channels"
_SHOWN = ("name", "kind", "where", "secret", "quiet")

_STDIN = "-"


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "The channels, without what is secret of them."),
        "add": Entry(f"{_HERE}:add", "Make a channel, or change the one of its name."),
        "remove": Entry(f"{_HERE}:remove", "Take a channel away."),
    },
)
def channels() -> None:
    """Where alerts go: Slack, webhooks, e-mail, PagerDuty."""


@click.command("list")
@shared
def list_() -> None:
    """The channels, without what is secret of them."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.alerts.channels()
    _show(reply)
    if not reply["rows"]:
        note("No channel yet: outlay alerts channels add ops --slack env:SLACK_WEBHOOK")


@click.command()
@click.argument("name")
@click.option("--slack", metavar="URL", help="A Slack-compatible webhook.")
@click.option("--webhook", metavar="URL", help="A webhook of your own; each message is signed.")
@click.option("--pagerduty", metavar="KEY", help="The routing key of an Events v2 integration.")
@click.option("--email", metavar="ADDRESS", multiple=True, help="A reader, or the word owner; repeatable.")
@click.option("--url", metavar="URL", help="PagerDuty's other door, like that of the EU.")
@click.option("--secret", metavar="SECRET", help="A webhook's signing key, the mail server's password.")
@click.option("--host", metavar="HOST", help="The SMTP server.")
@click.option("--port", metavar="N", type=int, help="Its port.  [default: 587]")
@click.option("--tls", metavar="HOW", help="starttls, tls or none.  [default: starttls]")
@click.option("--user", metavar="NAME", help="Who logs in there.")
@click.option("--from", "sender", metavar="ADDRESS", help="Whom e-mail is from.")
@click.option("--quiet", metavar="FROM-TO", help="When only what is critical goes out: 22:00-07:00.")
@click.option("--zone", metavar="ZONE", help="The time zone of that.  [default: UTC]")
@click.option("--quiet-day", "days", metavar="DAY", multiple=True, help="A day that is quiet too; repeatable.")
@click.option("--urgent", metavar="HOW", help="What is critical in quiet hours: now or wait.  [default: now]")
@shared
def add(name: str, **said: Any) -> None:
    """Make a channel, or change the one of its name.

    What is secret may be said as env:NAME or file:/path, and is then looked up when it is needed; a dash reads it from
    stdin.

    \b
    outlay alerts channels add ops --slack env:SLACK_WEBHOOK
    outlay alerts channels add bot --webhook https://example.com/outlay
    outlay alerts channels add mail --email owner --email ops@example.com --host smtp.example.com --from o@example.com
    outlay alerts channels add pager --pagerduty file:/run/secrets/pagerduty
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.alerts.set_channel({"name": name, **_words(said)})
    _show(reply)
    made = reply["total"].get("secret")
    if made and context.form != "json":
        note(f"Signing key, shown this once: {made}")
    note(f"outlay alerts test {name} sends a message there.")


@click.command()
@click.argument("name")
@shared
def remove(name: str) -> None:
    """Take a channel away."""
    context = current()
    with open_control_desk(context) as desk:
        show(context, desk.alerts.remove_channel(name))


def _show(reply: Reply) -> None:
    context = current()
    if context.form == "table":
        rows = [
            {
                **row,
                "where": row.get("url") or ", ".join(row.get("to", ())) or row["secret"],
                "quiet": f"{row['quiet']['from']}-{row['quiet']['to']} {row['quiet']['zone']}"
                if "quiet" in row
                else "",
            }
            for row in reply["rows"]
        ]
        reply = {**reply, "rows": rows, "total": {}}
    show(context, reply, columns=_SHOWN)


def _words(said: dict[str, Any]) -> dict[str, Any]:
    """Options in the words of a channel."""
    kinds = [kind for kind in ("slack", "webhook", "pagerduty", "email") if said[kind]]
    if len(kinds) != 1:
        raise click.UsageError("a channel is one of --slack, --webhook, --pagerduty, --email")
    (kind,) = kinds
    words: dict[str, Any] = {"kind": kind, "secret": said["secret"]}
    match kind:
        case "slack" | "pagerduty":
            words |= {"secret": said[kind], "url": said["url"]}
        case "webhook":
            words |= {"url": said["webhook"]}
        case _:
            words |= {key: said[key] for key in ("host", "port", "tls", "user")}
            words |= {"to": list(said["email"]), "from": said["sender"]}
    if words["secret"] == _STDIN:
        words["secret"] = sys.stdin.readline().strip()
    if said["quiet"] or said["days"]:
        begins, _, ends = (said["quiet"] or "00:00-00:01").partition("-")
        quiet = {"from": begins, "to": ends, "zone": said["zone"], "days": list(said["days"]), "urgent": said["urgent"]}
        words["quiet"] = {key: value for key, value in quiet.items() if value}
    return {key: value for key, value in words.items() if value is not None}
