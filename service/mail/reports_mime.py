"""Takes a returned message apart within bounds: headers, parts, text. Strangers write these, and nothing is believed.

Not the standard library's parser: that one recurses as deep as a message likes and reads all its parts. Work here is
linear in the size. Raises Unreadable, and nothing else, for what is beyond the bounds.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape

MOST_BYTES = 10 * 1024 * 1024
MOST_PARTS = 100
MOST_DEPTH = 10
MOST_HEADER_LINES = 2000
MOST_HEADER_BYTES = 256 * 1024
#: So much of a text is looked at: what a report says stands at its beginning.
MOST_TEXT = 64 * 1024
MESSAGES = ("message/rfc822", "message/global")
_LONGEST_VALUE = 10_000
_LONGEST_TYPE = 1000

_PARAMETER = re.compile(r';\s*([A-Za-z0-9_-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
_ENCODED_WORD = re.compile(
    r"=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z0-9-]{0,20})?\?([BbQq])\?([^?]{0,1000})\?=(?:\s+(?==\?))?"
)
# Any other codec of Python's is slow, warns, or is none for text.
_CHARSET = re.compile(
    r"utf-?8|(?:us-)?ascii|latin-?1|iso-?8859-\d{1,2}|(?:windows|cp)-?12\d\d|koi8-[ru]|gb(?:2312|k|18030)|big5"
    r"|euc-(?:jp|kr)|shift_jis|iso-2022-(?:jp|kr)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>]*>")
_BREAKS = re.compile(r"<\s{0,9}(?:br|/p|/div|/tr|/h[1-6])\b[^<>]*>", re.IGNORECASE)
_UNSEEN = re.compile(r"<(style|script|head)\b", re.IGNORECASE)


class Unreadable(Exception):
    """Beyond the bounds. Its text says which."""


@dataclass
class _Budget:
    parts: int = MOST_PARTS

    def take(self, depth: int) -> None:
        self.parts -= 1
        if self.parts < 0:
            raise Unreadable(f"more than {MOST_PARTS} parts")
        if depth > MOST_DEPTH:
            raise Unreadable(f"nested deeper than {MOST_DEPTH}")


@dataclass(frozen=True)
class Part:
    """One part. headers: (name in small letters, unfolded value) in their order. body: as it came, still encoded."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    depth: int
    budget: _Budget = field(repr=False)

    def all(self, *names: str) -> list[str]:
        """Every value of these headers."""
        return [value for name, value in self.headers if name in names]

    def get(self, name: str) -> str:
        """The first value of a header, "" if there is none."""
        return next((value for known, value in self.headers if known == name), "")

    @property
    def type(self) -> str:
        return self.get("content-type")[:_LONGEST_TYPE].partition(";")[0].strip().lower() or "text/plain"

    def parameter(self, name: str) -> str:
        """A parameter of the Content-Type, "" if there is none."""
        for found in _PARAMETER.finditer(self.get("content-type")[:_LONGEST_TYPE]):
            if found[1].lower() == name:
                return found[2] if found[2] is not None else found[3]
        return ""

    def content(self) -> bytes:
        """The body without its transfer encoding; what cannot be decoded as it is."""
        encoding = self.get("content-transfer-encoding").strip().lower()
        try:
            if encoding == "base64":
                return binascii.a2b_base64(self.body)
        except binascii.Error:
            return self.body
        return quopri.decodestring(self.body) if encoding == "quoted-printable" else self.body

    def text(self) -> str:
        """The content as text, at most MOST_TEXT of it, with LF line ends."""
        start = Part(self.headers, self.body[: 4 * MOST_TEXT], self.depth, self.budget)
        return decoded(start.content()[:MOST_TEXT], self.parameter("charset"))

    @cached_property
    def children(self) -> tuple[Part, ...]:
        """The parts of a multipart, the message inside a message/rfc822; none of anything else."""
        if self.type in MESSAGES:
            return (_part(self.content(), self.depth + 1, self.budget),)
        mark = self.parameter("boundary").encode("utf-8", "replace")
        if not self.type.startswith("multipart/") or not mark:
            return ()
        return tuple(_part(piece, self.depth + 1, self.budget) for piece in _pieces(self.body, mark))


def read_message(raw: bytes) -> Part:
    """The whole message as its outermost part. Raises Unreadable."""
    if len(raw) > MOST_BYTES:
        raise Unreadable(f"larger than {MOST_BYTES // 1024 // 1024} MB")
    return _part(raw, 0, _Budget())


def _part(raw: bytes, depth: int, budget: _Budget) -> Part:
    budget.take(depth)
    head, body = _split(raw)
    return Part(tuple(fields(head)), body, depth, budget)


def _split(raw: bytes) -> tuple[bytes, bytes]:
    if raw[:1] == b"\n" or raw[:2] == b"\r\n":
        return b"", raw.partition(b"\n")[2]
    ends = [at for at in (raw.find(b"\n\n"), raw.find(b"\n\r\n")) if at >= 0]
    if not ends:
        return raw, b""
    return raw[: min(ends) + 1], raw[min(ends) + 1 :].partition(b"\n")[2]


def fields(block: bytes) -> Iterator[tuple[str, str]]:
    """Header lines as (name in small letters, unfolded value). What is no header line is passed over."""
    if len(block) > MOST_HEADER_BYTES or block.count(b"\n") > MOST_HEADER_LINES:
        raise Unreadable("headers that are too long")
    name, pieces = "", [""]
    for line in block.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        if line[:1] in (" ", "\t"):
            pieces.append(line.strip())
            continue
        if name:
            yield name, " ".join(pieces).strip()[:_LONGEST_VALUE]
        before, colon, after = line.partition(":")
        name = before.strip().lower() if colon and " " not in before.strip() else ""
        pieces = [after.strip()]
    if name:
        yield name, " ".join(pieces).strip()[:_LONGEST_VALUE]


def _pieces(body: bytes, mark: bytes) -> Iterator[bytes]:
    """What stands between the boundary lines; without a last one, to the end."""
    text, line = b"\n" + body, b"\n--" + mark
    start, at = -1, text.find(line)
    while at >= 0:
        end = text.find(b"\n", at + len(line))
        end = len(text) if end < 0 else end
        rest = text[at + len(line) : end].strip()
        if rest in (b"", b"--"):
            if start >= 0:
                yield text[start:at]
            if rest:
                return
            start = end + 1
        at = text.find(line, end)
    if 0 <= start < len(text):
        yield text[start:]


def decoded(content: bytes, charset: str = "") -> str:
    """Bytes as text; a charset that is none of the usual ones counts as UTF-8."""
    name = charset.strip() if _CHARSET.fullmatch(charset.strip()) else "utf-8"
    try:
        text = content.decode(name, "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def header_words(value: str) -> str:
    """A header's words with its encoded words (RFC 2047) read."""

    def word(found: re.Match[str]) -> str:
        data = found[3].encode("ascii", "replace")
        try:
            plain = binascii.a2b_base64(data) if found[2] in "Bb" else quopri.decodestring(data, header=True)
        except binascii.Error:
            return found[0]
        return decoded(plain, found[1])

    return _ENCODED_WORD.sub(word, value)


def walk(part: Part) -> Iterator[Part]:
    """A part and all inside it but other messages, outermost first."""
    yield part
    if part.type.startswith("multipart/"):
        for child in part.children:
            yield from walk(child)


def text_of(parts: Sequence[Part]) -> str:
    """What a person reads first: the first plain text, else the first HTML without its tags, else ""."""
    shown = [part for part in parts if not part.get("content-disposition").lower().startswith("attachment")]
    for part in shown:
        if part.type == "text/plain" and (text := part.text().strip()):
            return text
    return next((_without_tags(part.text()) for part in shown if part.type == "text/html"), "")


def _without_tags(html: str) -> str:
    pieces, at = [], 0
    for found in _UNSEEN.finditer(html):
        if found.start() < at:
            continue
        pieces.append(html[at : found.start()])
        end = html.lower().find(f"</{found[1].lower()}", found.end()) if len(pieces) < 20 else -1
        at = len(html) if end < 0 else end
    pieces.append(html[at:])
    return unescape(_TAG.sub("", _BREAKS.sub("\n", "".join(pieces)))).strip()
