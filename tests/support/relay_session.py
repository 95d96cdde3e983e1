"""One conversation from the relay's side: SMTP as usual, except where the script says otherwise."""

from __future__ import annotations

import asyncio
import base64
import ssl
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from socket import SO_LINGER, SOL_SOCKET
from typing import Protocol

from tests.support.relay_script import (
    AcceptAndDrop,
    Accepted,
    Action,
    Delay,
    Drip,
    Drop,
    Each,
    Garbage,
    Hang,
    Read,
    Reply,
    Reset,
    Security,
)


class Relay(Protocol):
    """What a session needs of the relay it belongs to."""

    @property
    def tls(self) -> Security | None: ...
    @property
    def auth(self) -> Mapping[str, str] | None: ...
    @property
    def auth_methods(self) -> tuple[str, ...]: ...
    @property
    def pipelining(self) -> bool: ...
    @property
    def size(self) -> int | None: ...
    @property
    def smtputf8(self) -> bool: ...
    @property
    def commands(self) -> list[str]: ...
    @property
    def cut_off(self) -> list[bytes]: ...
    def decide(self, stage: str, argument: str) -> Action | None: ...
    def accept(self, message: Accepted) -> None: ...


class GoneError(Exception):
    """The conversation is over."""


class Session:
    """One connection, from the greeting to its end."""

    def __init__(self, relay: Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._relay = relay
        self._reader = reader
        self._writer = writer
        self._number = number
        self._buffer = b""
        self._secure = relay.tls is not None and relay.tls.implicit
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        try:
            await self._answer("connect", "", Reply(220, "relay.test ESMTP"))
            while True:
                await self._command(await self._line())
        except (GoneError, OSError, ssl.SSLError, ConnectionError):
            pass
        finally:
            self._writer.transport.abort()

    async def _command(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        verb = verb.lower()
        self._relay.commands.append("AUTH" if verb == "auth" else line)
        handler = getattr(self, f"_hear_{verb}", None)
        if handler is None:
            await self._write(Reply(500, "5.5.2 what?").encode())
        else:
            await handler(argument)

    async def _hear_ehlo(self, argument: str) -> None:
        await self._answer("ehlo", argument, Reply(250, ("relay.test", *self._extensions())))

    async def _hear_mail(self, argument: str) -> None:
        if await self._answer("mail", _mailbox(argument), Reply(250, "2.1.0 ok")):
            self._sender = _mailbox(argument)

    async def _hear_rset(self, _argument: str) -> None:
        if await self._answer("rset", "", Reply(250, "2.0.0 ok")):
            self._forget()

    async def _hear_quit(self, _argument: str) -> None:
        await self._answer("quit", "", Reply(221, "2.0.0 bye"))
        raise GoneError

    def _extensions(self) -> Iterable[str]:
        relay = self._relay
        if relay.tls and relay.tls.offered and not self._secure:
            yield "STARTTLS"
        if relay.pipelining:
            yield "PIPELINING"
        if relay.size is not None:
            yield f"SIZE {relay.size}"
        if relay.smtputf8:
            yield "8BITMIME"
            yield "SMTPUTF8"
        if relay.auth is not None and relay.auth_methods:
            yield "AUTH " + " ".join(relay.auth_methods)
        yield "ENHANCEDSTATUSCODES"

    async def _hear_starttls(self, _argument: str) -> None:
        if not await self._answer("starttls", "", Reply(220, "2.0.0 go ahead")):
            return
        if self._relay.tls is None:
            raise GoneError
        await self._writer.start_tls(self._relay.tls.context)
        self._secure, self._buffer = True, b""
        self._forget()

    async def _hear_auth(self, argument: str) -> None:
        method, _, first = argument.partition(" ")
        if method.upper() == "PLAIN":
            _, name, password = base64.b64decode(first).decode().split("\0")
        else:
            name = base64.b64decode(first).decode()
            await self._write(b"334 UGFzc3dvcmQ6\r\n")
            password = base64.b64decode(await self._line()).decode()
        right = (self._relay.auth or {}).get(name) == password
        await self._answer("auth", name, Reply(235, "2.7.0 welcome") if right else Reply(535, "5.7.8 wrong"))

    async def _hear_rcpt(self, argument: str) -> None:
        mailbox = _mailbox(argument)
        usual = Reply(250, "2.1.5 ok") if self._sender is not None else Reply(503, "5.5.1 MAIL first")
        if await self._answer("rcpt", mailbox, usual):
            self._recipients.append(mailbox)

    async def _hear_data(self, _argument: str) -> None:
        usual = Reply(354, "go on") if self._recipients else Reply(554, "5.5.1 no valid recipients")
        if not await self._answer("data", "", usual):
            return
        await self._answer("body", "", None)
        data = await self._until_dot()
        self._relay.commands.append(".")
        message_id = str(BytesHeaderParser().parsebytes(data)["Message-ID"] or "")
        message = Accepted(
            datetime.now(UTC), self._sender or "", tuple(self._recipients), message_id, data, self._number
        )
        self._forget()
        await self._answer("dot", message_id, Reply(250, "2.0.0 queued"), message)

    def _forget(self) -> None:
        self._sender, self._recipients = None, []

    async def _answer(self, stage: str, argument: str, usual: Reply | None, message: Accepted | None = None) -> bool:
        """Do what the script says, or the usual. True if the answer was positive."""
        return await self._do(self._relay.decide(stage, argument), usual, message)

    async def _do(self, action: Action | None, usual: Reply | None, message: Accepted | None) -> bool:  # noqa: C901, PLR0912 - one case an action
        match action:
            case None | Reply():
                reply = action or usual
                return reply is None or await self._reply(reply, message, reply.encode(), 0)
            case Delay(seconds, then):
                await asyncio.sleep(seconds)
                return await self._do(then, usual, message)
            case Drip(seconds, instead):
                reply = instead or usual or Reply(250)
                return await self._reply(reply, message, reply.encode(), seconds)
            case Drop():
                raise GoneError
            case Reset():
                self._writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                raise GoneError
            case Hang(reading):
                while reading:
                    await self._more()
                await asyncio.Event().wait()
            case Read(count):
                while len(self._buffer) < count:
                    await self._more()
            case Garbage(data):
                await self._write(data)
            case AcceptAndDrop(keep):
                if keep and message:
                    self._relay.accept(message)
                raise GoneError
            case Each(actions):
                for one in actions:
                    positive = await self._do(one, usual, message)
                return positive
        return False

    async def _reply(self, reply: Reply, message: Accepted | None, data: bytes, pause: float) -> bool:
        if message and 200 <= reply.code < 300:
            self._relay.accept(message)
        if not pause:
            await self._write(data)
        else:
            for byte in data:
                await asyncio.sleep(pause)
                await self._write(bytes([byte]))
        return reply.code < 400

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            await self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("utf-8", "replace")

    async def _until_dot(self) -> bytes:
        """The message with its final CRLF, dots restored."""
        self._buffer = b"\r\n" + self._buffer
        try:
            while b"\r\n.\r\n" not in self._buffer:
                await self._more()
        except BaseException:
            self._relay.cut_off.append(self._buffer[2:])
            raise
        text, _, self._buffer = self._buffer.partition(b"\r\n.\r\n")
        return (text + b"\r\n").replace(b"\r\n..", b"\r\n.")[2:]

    async def _more(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise GoneError
        self._buffer += data


def _mailbox(argument: str) -> str:
    return argument.partition("<")[2].rpartition(">")[0]
