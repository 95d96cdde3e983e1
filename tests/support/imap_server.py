"""A small IMAP server on loopback with one folder: as RFC 9051 says, except where a test spoils a command."""

from __future__ import annotations

import base64
import re
import shlex
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

USER, PASSWORD = "returns@clinic.example", 'pa"ss\\wörd'


@dataclass
class Imap:
    """A folder and how it is served. messages, seen: by UID, lowest first. spoil: command -> what is answered instead.

    An answer of None hangs up; b"" says nothing until `end` is set.
    """

    port: int = 0
    password: str = PASSWORD
    folder: str = "INBOX"
    validity: int = 1_700_000_000
    messages: dict[int, bytes] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    plain: bool = True
    read_only: bool = False
    spoil: dict[str, bytes | None] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)

    def add(self, raw: bytes) -> int:
        uid = max(self.messages, default=0) + 1
        self.messages[uid] = raw
        return uid

    @property
    def numbered(self) -> list[int]:
        """UIDs in the order of the messages' numbers."""
        return list(self.messages)

    @property
    def unread(self) -> set[int]:
        return self.messages.keys() - self.seen

    def url(self, scheme: str = "imap", password: str | None = None, folder: str = "") -> str:
        user = USER.replace("@", "%40")
        return f"{scheme}://{user}:{PASSWORD if password is None else password}@127.0.0.1:{self.port}{folder}"


@contextmanager
def imap_server(context: ssl.SSLContext | None = None) -> Iterator[Imap]:
    served = Imap()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, EOFError):
                _Session(served, self.rfile, self.wfile).run()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self) -> Any:
            sock, address = super().get_request()
            return (context.wrap_socket(sock, server_side=True) if context else sock), address

        def handle_error(self, *_: object) -> None:
            """A test that hangs up is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_address[1]
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield served
        finally:
            served.end.set()
            server.shutdown()
            serving.join()


class _Session:
    def __init__(self, served: Imap, rfile: Any, wfile: Any) -> None:
        self.served, self.rfile, self.wfile = served, rfile, wfile

    def run(self) -> None:
        self._say("* OK ready")
        while True:
            tag, _, line = self._line().partition(" ")
            words = line.split(" ")
            name = " ".join(words[:2]).upper() if words[0].upper() == "UID" else words[0].upper()
            self.served.commands.append(re.sub(r"^LOGIN .*", "LOGIN", line))
            if name in self.served.spoil:
                self._spoiled(tag, self.served.spoil[name])
                continue
            verdict = getattr(self, "_" + name.replace(" ", "_").lower())(line)
            self._say(f"{tag} {verdict}")
            if name == "LOGOUT":
                raise EOFError

    def _line(self) -> str:
        line = self.rfile.readline()
        if not line:
            raise EOFError
        return str(line.decode("utf-8").rstrip("\r\n"))

    def _say(self, text: str | bytes) -> None:
        self.wfile.write((text.encode() if isinstance(text, str) else text) + b"\r\n")
        self.wfile.flush()

    def _spoiled(self, tag: str, answer: bytes | None) -> None:
        if answer is None:
            raise EOFError
        if not answer:
            self.served.end.wait(30)
            raise EOFError
        self._say(answer.replace(b"TAG", tag.encode()))

    def _capability(self, _: str) -> str:
        self._say("* CAPABILITY IMAP4rev1" + (" AUTH=PLAIN" if self.served.plain else ""))
        return "OK done"

    def _authenticate(self, _: str) -> str:
        self._say("+ ")
        given = base64.b64decode(self._line()).decode("utf-8")
        return "OK done" if given == f"\0{USER}\0{self.served.password}" else f"NO no such user {USER}"

    def _login(self, line: str) -> str:
        return "OK done" if shlex.split(line)[1:] == [USER, self.served.password] else f"NO no such user {USER}"

    def _select(self, line: str) -> str:
        if line.split(" ", 1)[1] != f'"{self.served.folder}"':
            return "NO no such folder"
        self._say(f"* {len(self.served.messages)} EXISTS")
        self._say(f"* OK [UIDVALIDITY {self.served.validity}] valid")
        return "OK [READ-ONLY] done" if self.served.read_only else "OK [READ-WRITE] done"

    _examine = _select

    def _fetch(self, line: str) -> str:
        """By message number; a number that there is none of is refused (RFC 9051 9, seq-number)."""
        first, _, last = line.split(" ")[1].partition(":")
        assert line.endswith("(UID)")
        uids = self.served.numbered
        if not 1 <= int(first) <= int(last) <= len(uids):
            return "BAD no such number"
        self._say("* 1 FETCH (FLAGS ())")  # a server may say so unasked
        for number in range(int(first), int(last) + 1):
            self._say(f"* {number} FETCH (FLAGS (UID) UID {uids[number - 1]})")
        return "OK done"

    def _uid_fetch(self, line: str) -> str:
        uid = int(line.split(" ")[2])
        most = int(line.rpartition("<0.")[2].partition(">")[0])
        body = self.served.messages.get(uid)
        if body is not None:
            if ".PEEK" not in line:
                self.served.seen.add(uid)
            body = body[:most]
            self._say(f"* 1 FETCH (UID {uid} BODY[]<0> {{{len(body)}}}".encode() + b"\r\n" + body + b")")
        return "OK done"

    def _uid_store(self, line: str) -> str:
        assert line.endswith(r"+FLAGS.SILENT (\Seen)")
        self.served.seen.add(int(line.split(" ")[2]))
        return "OK done"

    def _logout(self, _: str) -> str:
        self._say("* BYE")
        return "OK done"
