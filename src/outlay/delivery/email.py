"""E-mail: one message to an SMTP server, with TLS unless the channel says that there is none."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from outlay.core.errors import InputError
from outlay.delivery.post import Limit, Outcome, Post, connect, limit_of, unreached
from outlay.govern.channels import OWNER, is_address


def send_email(
    post: Post, settings: Mapping[str, Any], secret: str, name: str, payload: Mapping[str, Any], text: str
) -> Outcome:
    """Hands one message to the channel's SMTP server. A relay inside the company may be reached; see `places`."""
    host, port = str(settings["host"]), int(settings["port"])
    to = recipients(settings, payload)
    mail = letter(settings, to, name, payload, text)
    try:
        found = post.reach(host, port, inside=True)
    except InputError as error:
        return unreached(error)
    with limit_of(post.deadline_s) as limit:
        try:
            with _Pinned(host, found, limit, tls=settings["tls"] == "tls") as client:
                client.connect(host, port)
                if settings["tls"] == "starttls":
                    client.starttls(context=ssl.create_default_context())
                    client.limit_again()
                if settings.get("user"):
                    client.login(str(settings["user"]), secret)
                refused = client.send_message(mail, str(settings["from"]), to)
            return Outcome(ok=True, said="accepted" if not refused else f"accepted, but not for {len(refused)}")
        except smtplib.SMTPException as error:
            return _refused(error, limit)
        except (OSError, ValueError) as error:
            return Outcome(ok=False, said=limit.why(error), hung=limit.hung(error))


def recipients(settings: Mapping[str, Any], payload: Mapping[str, Any]) -> list[str]:
    """Who reads it: the word owner is the owner of the budget, unless they left or are no address."""
    owner = payload.get("owner", "")
    here = is_address(owner) and not payload.get("owner_left")
    named = [owner if item == OWNER else item for item in settings["to"] if item != OWNER or here]
    return list(dict.fromkeys(str(item) for item in named))


def letter(
    settings: Mapping[str, Any], to: list[str], name: str, payload: Mapping[str, Any], text: str
) -> EmailMessage:
    """The message; its id is the same for each attempt, so that a reader's mailbox keeps one."""
    mail = EmailMessage()
    mail["From"] = str(settings["from"])
    mail["To"] = ", ".join(to)
    loud = "" if payload["type"] == "digest" else f"[{payload['severity']}] "
    subject = f"{loud}{payload['title']}"
    mail["Subject"] = "".join(letter if letter.isprintable() else " " for letter in subject)
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{name}@{str(settings['from']).rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text + "\n")
    if payload.get("html"):
        mail.add_alternative(str(payload["html"]), subtype="html")
    return mail


class _Pinned(smtplib.SMTP):
    """Connects where it was judged that it may, whatever the name means by now."""

    def __init__(self, host: str, found: Sequence[str], limit: Limit, *, tls: bool) -> None:
        super().__init__(timeout=limit.seconds)
        self._host = host  # what the certificate must be for, after STARTTLS
        self._found, self._limit, self._tls = found, limit, tls

    def limit_again(self) -> None:
        """The limit is over the socket that STARTTLS made of the first."""
        if self.sock is not None:
            self._limit.over(self.sock)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del timeout  # the limit of the attempt holds
        plain = connect(self._found, port, self._limit)
        if not self._tls:
            return plain
        return self._limit.over(ssl.create_default_context().wrap_socket(plain, server_hostname=host))


def _refused(error: smtplib.SMTPException, limit: Limit) -> Outcome:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({code for code, _ in error.recipients.values()})
        return Outcome(ok=False, said=f"no recipient was taken: {codes}", final=all(code >= 500 for code in codes))
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
        said = f"{error.smtp_code} {type(error).__name__.removeprefix('SMTP')}"
        return Outcome(ok=False, said=said, final=error.smtp_code >= 500)
    said = limit.why(error) if limit.reached else type(error).__name__.removeprefix("SMTP")
    return Outcome(ok=False, said=said, final=isinstance(error, smtplib.SMTPNotSupportedError))
