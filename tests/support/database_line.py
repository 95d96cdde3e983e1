"""A line between a program and PostgreSQL that counts what is asked. At the n-th question it lets the server do it,
keeps the answer to itself, and strikes: what was done is done, and whoever asked never hears of it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import sqlalchemy as sa

#: How the server ends every answer: ReadyForQuery, before one byte for the transaction's state.
_READY = b"Z\x00\x00\x00\x05"
_AT_ONCE = 1 << 20


@dataclass
class DatabaseLine:
    """`with DatabaseLine(url, nth, strike) as line:` connect to line.url. asked: questions so far; struck: the n-th."""

    server: sa.URL
    nth: int
    strike: Callable[[], None]
    asked: int = 0
    struck: bytes = b""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends, self._wake = socket.socketpair()
        self._start(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        for thread in list(self._threads):
            thread.join(10)
        self._listener.close()
        self._ends.close()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        near = self.server.set(host=host, port=port, query={"sslmode": "disable", "gssencmode": "disable"})
        return near.render_as_string(hide_password=False)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="database line")
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while self._ends not in (ready := select.select([self._listener, self._ends], [], [])[0]):
            if ready:
                near, _ = self._listener.accept()
                self._start(lambda near=near: self._carry(near))  # type: ignore[misc]

    def _far(self) -> socket.socket:
        folder = str(self.server.query["host"])
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{folder}/.s.PGSQL.{self.server.port or 5432}")
        return far

    def _carry(self, near: socket.socket) -> None:
        """One connection, to its end or to the blow."""
        # Either side may be gone while something is passed on to it.
        with contextlib.suppress(ConnectionError), near, self._far() as far:
            mine, heard = False, b""
            while self._ends not in (ready := select.select([near, far, self._ends], [], [])[0]):
                for source in ready:
                    try:
                        data = source.recv(_AT_ONCE)
                    except ConnectionError:
                        data = b""
                    if not data and not mine:
                        return
                    if source is near:
                        far.sendall(data)
                        mine = mine or self._is_mine(data)
                    elif not mine:
                        near.sendall(data)
                    else:
                        heard = (heard + data)[-6:]
                        if heard[:5] == _READY or not data:
                            self.strike()
                            return

    def _is_mine(self, question: bytes) -> bool:
        with self._lock:
            self.asked += 1
            if self.asked == self.nth:
                self.struck = question
            return self.asked == self.nth
