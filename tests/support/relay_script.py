"""What a scripted relay can be told to do, the scripts that tell it, and what it puts into its log.

A script gives one action for a stage, its argument and a count.
Stages: connect ehlo starttls auth mail rcpt data body dot rset quit; `body` comes between the 354 and reading on.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Reply:
    """Answer. text: one line, or several; what it holds is sent as it is, CRLF inside too."""

    code: int
    text: str | tuple[str, ...] = "scripted"

    def encode(self) -> bytes:
        lines = (self.text,) if isinstance(self.text, str) else self.text
        marks = ["-"] * (len(lines) - 1) + [" "]
        return "".join(f"{self.code}{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True)).encode()


@dataclass(frozen=True)
class Delay:
    """Wait, then do as `then` says (None: as usual)."""

    seconds: float
    then: Action | None = None


@dataclass(frozen=True)
class Drip:
    """The usual answer, or `reply`, with a pause before each byte."""

    seconds: float
    reply: Reply | None = None


@dataclass(frozen=True)
class Drop:
    """Close the connection (FIN)."""


@dataclass(frozen=True)
class Reset:
    """Tear the connection down (RST)."""


@dataclass(frozen=True)
class Hang:
    """Say nothing until the other side is gone; reading False: read nothing either, until the relay is stopped."""

    reading: bool = True


@dataclass(frozen=True)
class Read:
    """Read at least so many bytes of what comes, before what is next in Each."""

    count: int


@dataclass(frozen=True)
class Garbage:
    """Write these bytes instead of a reply and go on."""

    data: bytes = b"\x00\xff\x00 this is no SMTP\r\n"


@dataclass(frozen=True)
class AcceptAndDrop:
    """After the dot: the message is accepted (keep) or forgotten, and the connection ends without a reply."""

    keep: bool = True


@dataclass(frozen=True)
class Each:
    """Several actions in turn: a reply and then a drop, say."""

    actions: tuple[Action, ...]


Action = Reply | Delay | Drip | Drop | Reset | Hang | Read | Garbage | AcceptAndDrop | Each
#: (stage, argument, count) -> what to do, None: as usual. count: how often this relay came to this stage, from 1.
Script = Callable[[str, str, int], Action | None]


def at(stage: str, action: Action, only: int | None = None) -> Script:
    """Always this action at this stage, or only the n-th time."""
    return lambda now, _, count: action if now == stage and only in {None, count} else None


def every(nth: int, stage: str, action: Action) -> Script:
    return lambda now, _, count: action if now == stage and count % nth == 0 else None


def recipients(answers: Mapping[str, Action]) -> Script:
    """Per-recipient answers to RCPT."""
    return lambda now, argument, _: answers.get(argument) if now == "rcpt" else None


def greylisting() -> Script:
    """Every recipient is refused once."""
    seen: set[str] = set()

    def script(stage: str, argument: str, _count: int) -> Action | None:
        if stage != "rcpt" or argument in seen:
            return None
        seen.add(argument)
        return Reply(451, "4.7.1 greylisted, come back later")

    return script


def first_of(*scripts: Script) -> Script:
    """The first script that has an answer decides. Every script is asked no further than that."""
    return lambda stage, argument, count: next((act for one in scripts if (act := one(stage, argument, count))), None)


@dataclass(frozen=True)
class Accepted:
    """One accepted message: data without dot-stuffing and final dot; connection counted from 1."""

    at: datetime
    mail_from: str
    rcpt_to: tuple[str, ...]
    message_id: str
    data: bytes
    connection: int

    def as_line(self) -> str:
        row = {**vars(self), "at": self.at.isoformat(), "data": self.data.decode("latin-1")}
        return json.dumps(row) + "\n"


@dataclass(frozen=True)
class Security:
    """How the relay offers TLS. offered False: STARTTLS is stripped from the EHLO reply."""

    context: ssl.SSLContext
    implicit: bool = False
    offered: bool = True
