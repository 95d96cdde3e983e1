"""The built-in mail catcher of trial mode and the demo: a real SMTP server on loopback that delivers into a Maildir.

It never opens a connection outwards. A 250 is given only once the message is safe on disk; trouble of its own is
answered with 4yz, never blamed on the message. Reading what was caught: caught.py.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from service.domain.replies import CAUGHT

SIZE_LIMIT = 10 * 1024 * 1024  # bytes of one message


class Catcher:
    """`async with Catcher(maildir) as catcher:` listens on catcher.host, catcher.port in the running event loop.

    The Maildir is made (0700) where there is none. Leaving ends open conversations and frees the port.
    """

    host = "127.0.0.1"

    def __init__(self, maildir: Path) -> None:
        self.port = 0
        self._maildir = maildir
        self._session = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._open: set[_Conversation] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        for folder in ("tmp", "new", "cur"):
            (self._maildir / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._maildir.chmod(0o700)
        # aiosmtpd logs addresses at INFO and whole messages at DEBUG.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Conversation(self, self._open), self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*(conversation.end() for conversation in list(self._open)))
        await self._server.wait_closed()

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Announces PIPELINING: commands are read one by one from one buffer, so early ones wait their turn."""
        session.host_name = hostname
        return [responses[0], "250-PIPELINING", *responses[1:]]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Stores the message, then answers."""
        content = envelope.content
        assert isinstance(content, bytes)
        number = next(self._numbers)
        name = f"{self._session}.{number:09d}.caught"
        try:
            await asyncio.to_thread(_store, self._maildir, name, [*_trace(envelope), content])
        except OSError:
            return "452 4.3.1 The message could not be stored"
        return f"250 2.0.0 {CAUGHT}{name}"

    async def handle_exception(self, error: Exception) -> str:
        """A bug here is no verdict on the message (the library's own answer would be 500)."""
        logging.getLogger(__name__).error("the mail catcher failed: %s", type(error).__name__)
        return "451 4.3.0 The catcher failed"


class _Conversation(SMTP):
    """One connection, known to its catcher so that it can be ended."""

    def __init__(self, catcher: Catcher, known: set[_Conversation]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(catcher, data_size_limit=SIZE_LIMIT, hostname="localhost", ident="mail catcher", loop=loop)
        self._known = known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._known.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._known.discard(self)

    async def end(self) -> None:
        if self.transport is not None:
            self.transport.close()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.wait([self._handler_coroutine])


def _trace(envelope: Envelope) -> list[bytes]:
    """What the envelope said, as a delivering server writes it (RFC 5321 4.4): the only lines that are added."""
    lines = [
        f"Return-Path: <{(envelope.mail_from or '').strip('<>')}>",
        *(f"Delivered-To: {to}" for to in envelope.rcpt_tos),
    ]
    return [re.sub(r"[^ -~]", "?", line).encode("ascii") + b"\r\n" for line in lines]


def _store(maildir: Path, name: str, chunks: list[bytes]) -> None:
    """Writes to tmp -> fsync -> new -> fsync of the folder: after this a power cut loses nothing. Raises OSError."""
    draft = maildir / "tmp" / name
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(maildir / "new" / name)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(maildir / "new", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
