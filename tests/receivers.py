"""Receivers: real servers on this machine that take what alerts send, well or badly."""

from __future__ import annotations

import json
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.0/8"


@dataclass
class Inbox:
    """What came; `answer` decides by the number of the request what is answered: a status, or how to misbehave."""

    answer: Callable[[int], int | str] = lambda _: 200
    url: str = ""
    got: list[tuple[int | str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """What was answered with 200."""
        return [(headers, body) for status, headers, body in self.got if status == 200]


@contextmanager
def web_inbox(
    answer: Callable[[int], int | str] = lambda _: 200, tls: tuple[Path, Path] | None = None
) -> Iterator[Inbox]:
    """A webhook's server."""
    inbox = Inbox(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
            with inbox.lock:
                status = inbox.answer(len(inbox.got))
                inbox.got.append((status, headers, said))
            if status == "drip":
                self._drip()
            elif status == "hang":
                time.sleep(30)
            elif status == "close":
                self.close_connection = True
            else:
                self.send_response(int(status))
                if 300 <= int(status) < 400:
                    self.send_header("location", "http://169.254.169.254/latest/meta-data/")
                if status == 429:
                    self.send_header("retry-after", "120")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        def _drip(self) -> None:
            try:
                for letter in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100:
                    self.wfile.write(bytes([letter]))
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            return

    with _server(ThreadingHTTPServer(("127.0.0.1", 0), Handler), tls) as port:
        inbox.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}/hook/secret-path"
        yield inbox


@dataclass
class Mailbox:
    """An SMTP server's: letters as they came, and who logged in; `refuse` answers RCPT with that code."""

    port: int = 0
    letters: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    secret: list[bool] = field(default_factory=list)
    refuse: list[int] = field(default_factory=list)


@contextmanager
def mail_inbox(tls: tuple[Path, Path] | None = None, *, at_once: bool = False) -> Iterator[Mailbox]:
    """An SMTP server: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, QUIT; TLS `at_once`, or after STARTTLS."""
    mailbox = Mailbox()
    context = _context(tls) if tls and not at_once else None

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")
            self.wfile.flush()

        def handle(self) -> None:
            try:
                self.talk()
            except OSError:  # whoever called does not trust the certificate, or hung up
                return
            finally:
                self.request.close()

        def talk(self) -> None:
            safe = at_once
            self.say("220 test")
            while line := self.rfile.readline().decode().strip():
                word = line.split()[0].upper()
                if word == "EHLO":
                    more = ["250-AUTH PLAIN"] if safe or context is None else ["250-STARTTLS"]
                    self.say("\r\n".join(["250-test", *more, "250 SIZE 1000000"]))
                elif word == "STARTTLS" and context is not None:
                    self.say("220 go on")
                    self.request = context.wrap_socket(self.request, server_side=True)
                    self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb")
                    safe = True
                elif word == "AUTH":
                    mailbox.logins.append(line.split()[-1])
                    self.say("235 welcome")
                elif word == "RCPT" and mailbox.refuse:
                    self.say(f"{mailbox.refuse.pop(0)} no")
                elif word == "DATA":
                    self.say("354 go on")
                    text = b""
                    while (row := self.rfile.readline()) != b".\r\n":
                        text += row
                    mailbox.letters.append(text.decode())
                    mailbox.secret.append(safe)
                    self.say("250 taken")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with _server(Server(("127.0.0.1", 0), Handler), tls if at_once else None) as port:
        mailbox.port = port
        yield mailbox


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    files = folder / "cert.pem", folder / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext"
    command = [
        "openssl",
        *words.split(),
        "subjectAltName=DNS:localhost",
        "-out",
        str(files[0]),
        "-keyout",
        str(files[1]),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return files


def _context(tls: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    return context


@contextmanager
def _server(server: socketserver.TCPServer, tls: tuple[Path, Path] | None) -> Iterator[int]:
    if tls:
        server.socket = _context(tls).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
