"""What a conversation carries: one message for one recipient, checked and made ready for the wire.

Refuses what a relay could read as another command or another message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAILBOX = re.compile(r"[^\x00-\x20\x7f-\x9f<>]+")
_SENDER = re.compile(rf"(?:{_MAILBOX.pattern})?")


@dataclass(frozen=True)
class Parcel:
    """One message for one recipient. message: 7-bit, complete CRLF lines. stuffed: its writer has
    made sure of CRLF line ends and that no line needs its dot doubled.

    mail_from may be empty: nobody wants the bounces.
    """

    mail_from: str
    rcpt_to: str
    message: bytes
    stuffed: bool = False

    def check(self) -> None:
        """ValueError for what our own code must never hand over: it could be read as other commands or messages."""
        if not (_MAILBOX.fullmatch(self.rcpt_to) and _SENDER.fullmatch(self.mail_from)):
            raise ValueError("an envelope address is empty or has a space, bracket or control character")
        if not self.message.isascii() or not self.message.endswith(b"\r\n"):
            raise ValueError("a message is 7-bit bytes and ends with CRLF")
        if self.stuffed:
            return
        ends = self.message.count(b"\r\n")
        if self.message.count(b"\r") != ends or self.message.count(b"\n") != ends:
            raise ValueError("a message has CRLF line ends only")

    def content(self) -> bytes:
        """The message as it travels: dots doubled where a line begins with one, and the final dot."""
        if self.stuffed:
            return self.message + b".\r\n"
        first = b"." if self.message.startswith(b".") else b""
        return first + self.message.replace(b"\n.", b"\n..") + b".\r\n"
