"""Conversations with the mail relay: aiosmtplib connects, secures and logs in; then one parcel after another.

Refuses to go on without the security that was asked for, to give a password away in clear, and to send a message
before its mark. Says what was heard as a value (domain/replies.py); what that means is decided there.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Self, cast

import aiosmtplib

from service.domain.replies import CONNECTION_LOST, NOT_SMTP, TIMED_OUT, Heard, Stage
from service.mail.conversation import GO_AHEAD, Dialogue, Limits
from service.mail.parcel import Parcel
from service.mail.relay_address import RelayAddress, reach, tls_context
from service.mail.reply import cleaned

__all__ = ["Conversation", "NotOpened", "Parcel", "RelayAddress"]

#: One log-in a connection: several methods tried in turn would count as several wrong passwords.
_LOG_IN_METHODS = ("plain", "login", "cram-md5")


class NotOpened(Exception):
    """No conversation: connecting, the greeting, TLS or the log-in failed."""

    def __init__(self, heard: Heard) -> None:
        super().__init__(f"{heard.stage}: {heard.code or ''} {heard.failure or heard.text}")
        self.heard = heard


class Conversation:
    """One connection to the relay; carries one message after another while `usable`."""

    def __init__(self, dialogue: Dialogue, extensions: dict[str, str]) -> None:
        self._dialogue = dialogue
        self._busy = False
        self._utf8 = "smtputf8" in extensions
        size = extensions.get("size", "")
        self._largest = int(size) if size.isdecimal() else 0

    @classmethod
    async def open(cls, address: RelayAddress) -> Self:
        """Connect, secure, log in. Raises NotOpened with what was heard."""
        if address.username is not None and not address.may_log_in:
            raise NotOpened(Heard(Stage.AUTH, 538, "5.7.11 a password is not sent in clear to another machine"))
        client = await _Handshake.through(address)
        limits = Limits(address.reply_timeout, address.dot_timeout, address.session_timeout)
        extensions = client.esmtp_extensions
        dialogue = Dialogue(client.hand_over(), limits, pipelining="pipelining" in extensions)
        return cls(dialogue, extensions)

    @property
    def usable(self) -> bool:
        """May be used for another message."""
        return self._dialogue.usable

    async def send(self, parcel: Parcel, mark: Callable[[], Awaitable[bool]]) -> Heard:
        """Send one parcel and give what decided its fate.

        mark is awaited once, after the relay's 354 and before the first byte of the message; unless it gives True
        the connection is dropped without a dot. Raises ValueError for a malformed parcel, whatever mark raises, and
        CancelledError (what was under way is then dropped; after the mark its fate is in doubt).
        """
        parcel.check()
        if beyond := self._beyond(parcel):
            return beyond
        if self._busy:
            raise RuntimeError("one conversation carries one message at a time")
        self._busy = True
        try:
            return await self._carry(parcel, mark)
        except BaseException:
            self._dialogue.drop()
            raise
        finally:
            self._busy = False

    async def close(self) -> None:
        """Say QUIT where that is polite and end the connection within seconds. Never raises."""
        await self._dialogue.close()

    async def _carry(self, parcel: Parcel, mark: Callable[[], Awaitable[bool]]) -> Heard:
        option = "" if parcel.mail_from.isascii() and parcel.rcpt_to.isascii() else " SMTPUTF8"
        answer = self._dialogue.envelope(
            f"MAIL FROM:<{parcel.mail_from}>{option}\r\n".encode(),
            f"RCPT TO:<{parcel.rcpt_to}>\r\n".encode(),
            parcel.rcpt_to,
        )
        content = parcel.content()  # while the relay reads the envelope
        heard = await answer
        if heard is not GO_AHEAD:
            return heard
        if not await mark():
            self._dialogue.drop()
            return Heard(Stage.MARK, failure="withheld")
        return await self._dialogue.message(content)

    def _beyond(self, parcel: Parcel) -> Heard | None:
        """What the relay has said in advance that it cannot take, in the codes it would use."""
        if 0 < self._largest < len(parcel.message):
            return Heard(Stage.MAIL, 552, "5.3.4 the relay takes only smaller messages")
        if not self._utf8 and not parcel.mail_from.isascii():
            return Heard(Stage.MAIL, 553, "5.6.7 the relay takes no address with such letters")
        if not self._utf8 and not parcel.rcpt_to.isascii():
            return Heard(Stage.RCPT, 553, "5.6.7 the relay takes no address with such letters")
        return None


class _Handshake(aiosmtplib.SMTP):
    """aiosmtplib up to the point where mail can be sent. Never opportunistic: each step is asked for by name."""

    stage = Stage.CONNECT

    @classmethod
    async def through(cls, address: RelayAddress) -> Self:
        """All steps in order. Raises NotOpened; leaves nothing open then."""
        client = cls(
            hostname=address.host,
            local_hostname=address.local_hostname,
            timeout=address.reply_timeout,
            use_tls=address.tls == "implicit",
            start_tls=False,  # done below as a step of its own, so that each trouble has its stage
        )
        try:
            async with asyncio.timeout(address.session_timeout):
                await client._steps(address)
        except BaseException as problem:
            client.close()
            if client.sock is not None:
                client.sock.close()
            if isinstance(problem, aiosmtplib.SMTPException | OSError | UnicodeError):
                raise NotOpened(_heard(client.stage, problem)) from problem
            raise
        return client

    def close(self) -> None:
        """Drop at once: a polite TLS farewell to a relay in trouble could take half a minute."""
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()
        super().close()

    async def _steps(self, address: RelayAddress) -> None:
        if address.tls != "none":
            try:
                self.tls_context = await asyncio.to_thread(tls_context, address.ca_file)
            except OSError as problem:
                trouble = Heard(Stage.TLS, failure="the certificate authority's file cannot be read")
                raise NotOpened(trouble) from problem
        self.sock = await reach(address)
        await self._greet()
        if address.tls == "starttls":
            self.stage = Stage.TLS
            if not self.supports_extension("starttls"):
                raise NotOpened(Heard(Stage.TLS, failure="STARTTLS is not offered"))
            await self.starttls()
            self.stage = Stage.GREETING
            await self.ehlo()
        if address.username is not None:
            self.stage = Stage.AUTH
            await self._log_in(address.username, address.password or "")

    async def _greet(self) -> None:
        """The connection (with implicit TLS its handshake), the greeting, EHLO."""
        self.stage = Stage.TLS if self.use_tls else Stage.GREETING
        try:
            await self.connect()
        except aiosmtplib.SMTPException as problem:
            # Only what came after the handshake is an error of SMTP itself.
            if isinstance(problem, aiosmtplib.SMTPResponseException) or isinstance(
                problem.__cause__, aiosmtplib.SMTPException
            ):
                self.stage = Stage.GREETING
            raise
        self.stage = Stage.GREETING
        await self.ehlo()

    async def _log_in(self, username: str, password: str) -> None:
        offered = [method for method in _LOG_IN_METHODS if method in self.server_auth_methods]
        match offered[:1]:
            case ["plain"]:
                await self.auth_plain(username, password)
            case ["login"]:
                await self.auth_login(username, password)
            case ["cram-md5"]:
                await self.auth_crammd5(username, password)
            case _:
                raise NotOpened(Heard(Stage.AUTH, 504, "5.5.4 the relay offers no way to log in that we know"))

    def hand_over(self) -> asyncio.Transport:
        """The transport, no longer ours. Raises NotOpened if the relay said more than it was asked."""
        transport, protocol = self.transport, self.protocol
        if transport is None or protocol is None:
            raise NotOpened(Heard(Stage.GREETING, failure=CONNECTION_LOST))
        if protocol._buffer:  # noqa: SLF001 - bytes nobody asked for would answer our next command
            encrypted = transport.get_extra_info("sslcontext") is not None
            self.close()
            raise NotOpened(Heard(Stage.TLS if encrypted else Stage.GREETING, failure=NOT_SMTP))
        self.transport = self.protocol = None
        return cast(asyncio.Transport, transport)


def _heard(stage: Stage, problem: BaseException) -> Heard:
    """What a failed handshake says, as a value."""
    insecure = next((fault for fault in (problem, problem.__cause__) if isinstance(fault, ssl.SSLError)), None)
    if insecure is not None:
        reason = getattr(insecure, "verify_message", "") or insecure.reason or "handshake failed"
        return Heard(Stage.TLS, failure=cleaned(f"TLS: {reason}"))
    if isinstance(problem, aiosmtplib.SMTPResponseException):
        text = cleaned(problem.message)
        return Heard(stage, problem.code, text) if 200 <= problem.code <= 599 else Heard(stage, failure=NOT_SMTP)
    if isinstance(problem, TimeoutError):
        return Heard(stage, failure=TIMED_OUT)
    if isinstance(problem, ConnectionError) and stage is not Stage.CONNECT:
        return Heard(stage, failure=CONNECTION_LOST)
    number = getattr(problem, "errno", None) or 0
    return Heard(stage, failure=cleaned(os.strerror(number) if number > 0 else str(problem)))
