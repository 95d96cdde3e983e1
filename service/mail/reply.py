"""A relay's replies: from bytes to a code, and to words that may be kept.

Refuses what is not SMTP (RFC 5321 4.2) and what would fill the memory. Keeps no e-mail address: replies like to
repeat the client's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LINE_LIMIT = 2048  # bytes; RFC 5321 4.5.3.1.5 asks for 512
LINES_LIMIT = 100
TEXT_LIMIT = 500  # characters
_LOOK_AT = 1000  # characters of a long reply that are cleaned at all

_ADDRESS = re.compile(r'<?(?:"[^"]*"|[^\s<>"@,;()\[\]]+)(?:@|%40)(?:\[[^\]\s]*\]|[\w.-]+)>?')
#: Local parts that are also words of replies: hiding "user" in "user unknown" would hide the meaning.
_PLAIN_WORDS = re.compile(
    r"account|address|admin|client|denied|does|exist|host|info|invalid|mail|mailbox|message|not|postmaster|recipient"
    r"|rejected|relay|sender|server|such|the|unknown|user",
    re.IGNORECASE,
)


class Reply(NamedTuple):
    """One complete reply. code: 200 to 599. lines: its words, without codes, undecoded."""

    code: int
    lines: list[bytes]

    def text(self, recipient: str = "") -> str:
        """The words fit to be kept, as `cleaned` makes them."""
        if len(self.lines) == 1:
            return cleaned(self.lines[0].decode("utf-8", "replace"), recipient)
        decoded = [line.decode("utf-8", "replace") for line in self.lines]
        enhanced = decoded[0].partition(" ")[0] + " "
        return cleaned(" ".join([decoded[0], *(line.removeprefix(enhanced) for line in decoded[1:])]), recipient)


def cleaned(text: str, recipient: str = "") -> str:
    """One line of at most 500 printable characters; every address, and the local part of `recipient`, is <address>."""
    if len(text) > _LOOK_AT:
        text = text[:_LOOK_AT].rpartition(" ")[0]
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    if "@" in text or "%40" in text:
        text = _ADDRESS.sub("<address>", text)
    local = recipient.rpartition("@")[0]
    if len(local) > 2 and local.lower() in text.lower() and not _PLAIN_WORDS.fullmatch(local):
        text = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "<address>", text, flags=re.IGNORECASE)
    return " ".join(text.split())[:TEXT_LIMIT]


class ReplyReader:
    """Cuts what arrives into replies. broken: what came last is not SMTP; the replies before it still count."""

    def __init__(self) -> None:
        self.broken = False
        self._rest = b""
        self._lines: list[bytes] = []
        self._code = b""

    @property
    def between_replies(self) -> bool:
        """No unfinished reply lies here."""
        return not self._rest and not self._lines

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes, in their order."""
        replies: list[Reply] = []
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if not self._fits(line):
                self.broken = True
                return replies
            self._lines.append(line[4:].strip())
            if line[3:4] != b"-":
                replies.append(Reply(int(self._code), self._lines))
                self._lines = []
        self.broken = len(self._rest) > LINE_LIMIT
        return replies

    def _fits(self, line: bytes) -> bool:
        """A line of a reply (RFC 5321 4.2): three digits, then a space, a hyphen or nothing; one code throughout."""
        code = line[:3]
        if self._lines:
            if code != self._code or len(self._lines) >= LINES_LIMIT:
                return False
        elif not (code.isdigit() and len(code) == 3 and b"200" <= code <= b"599"):
            return False
        self._code = code
        return line[3:4] in {b" ", b"-", b"\r", b""} and len(line) <= LINE_LIMIT
