"""Short ways to hold a conversation with the scripted relay and to see what came of it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import pytest
import trustme

from service.domain.replies import CONNECTION_LOST, NOT_SMTP, TIMED_OUT, Heard
from service.mail.parcel import Parcel
from service.mail.relay import Conversation, NotOpened, RelayAddress
from tests.support.scripted_relay import Action, Drip, Drop, Garbage, Hang, Reset, ScriptedRelay

T = TypeVar("T")
MESSAGE = b"Message-ID: <1@clinic.test>\r\nSubject: Today\r\n\r\nAll is well.\r\n.leading dot\r\n..two\r\n"
PARCEL = Parcel("bounce-1@clinic.test", "jane.doe@client.test", MESSAGE)
SHORT = 0.4
FAULTS: list[tuple[Action, str]] = [
    (Drop(), CONNECTION_LOST),
    (Reset(), CONNECTION_LOST),
    (Hang(), TIMED_OUT),
    (Drip(0.05), TIMED_OUT),
    (Garbage(), NOT_SMTP),
    (Garbage(b"250 " + b"x" * 8_000_000 + b"\r\n"), NOT_SMTP),
    (Garbage(b"250-again\r\n" * 200), NOT_SMTP),
    (Garbage(b"250-one\r\n550 other\r\n"), NOT_SMTP),
    (Garbage(b"999 nonsense\r\n"), NOT_SMTP),
    (Garbage(b"25\r\n"), NOT_SMTP),
    (Garbage(b"250 a line without an end" + b"x" * 5_000), NOT_SMTP),
]
EITHER_WAY = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "one by one"])


class Marks:
    """The mark of a test: counts its calls and answers as told."""

    def __init__(self, answer: bool = True, then: Callable[[], Awaitable[None]] | None = None) -> None:
        self.calls = 0
        self._answer = answer
        self._then = then

    async def __call__(self) -> bool:
        self.calls += 1
        if self._then:
            await self._then()
        return self._answer


def address_of(relay: ScriptedRelay, tls: Literal["starttls", "implicit", "none"] = "none") -> RelayAddress:
    return RelayAddress("127.0.0.1", relay.port, tls=tls, local_hostname="desk.clinic.test")


def hasty(address: RelayAddress) -> RelayAddress:
    return replace(address, connect_timeout=SHORT, reply_timeout=SHORT, dot_timeout=SHORT)


def hasty_once_connected(address: RelayAddress) -> RelayAddress:
    """For faults that come later: a busy machine may take its time to connect."""
    return replace(address, reply_timeout=SHORT, dot_timeout=SHORT)


async def talk(
    address: RelayAddress, *parcels: Parcel, mark: Callable[[], Awaitable[bool]] | None = None
) -> list[Heard]:
    """What is heard about each parcel over one conversation, as long as it is usable."""
    heard = []
    conversation = await Conversation.open(address)
    try:
        for parcel in parcels:
            if conversation.usable:
                heard += [await conversation.send(parcel, mark or Marks())]
    finally:
        await conversation.close()
    return heard


async def usable_after(address: RelayAddress, parcel: Parcel = PARCEL) -> tuple[Heard, bool]:
    conversation = await Conversation.open(address)
    try:
        heard = await conversation.send(parcel, Marks())
        return heard, conversation.usable
    finally:
        await conversation.close()


async def ended(conversation: Conversation) -> None:
    """Return when the relay has ended this conversation; a connection's end has no event to wait for."""
    async with asyncio.timeout(5):
        while conversation.usable:  # noqa: ASYNC110
            await asyncio.sleep(0)


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def not_opened(address: RelayAddress) -> Heard:
    with pytest.raises(NotOpened) as refused:
        run(talk(address))
    return refused.value.heard


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


HOW = pytest.mark.parametrize("how", ["starttls", "implicit"])
How = Literal["starttls", "implicit"]


def secured(relay: ScriptedRelay, how: How, ca_file: Path | None) -> RelayAddress:
    return replace(address_of(relay, how), ca_file=ca_file)
