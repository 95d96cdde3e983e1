"""Reads what the mail catcher caught, for the inbox page: tolerant of foreign and broken files in the Maildir.

An id is only ever compared with the names that lie there; no path is made of it. Changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from pathlib import Path

from service.errors import NotFound

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]{0,200}")
_HEAD_BYTES = 64 * 1024  # of a message, read for its line in the list
_FILE_BYTES = 20 * 1024 * 1024  # of a message, read to show it


@dataclass(frozen=True, slots=True)
class Caught:
    """One caught message in the list. at: when it was caught, aware UTC. dated: its Date header, aware, or None."""

    id: str
    at: datetime
    to: str
    sender: str
    subject: str
    dated: datetime | None


@dataclass(frozen=True, slots=True)
class CaughtMessage:
    """One message opened. text, html: "" where it has none. headers: decoded, in order. source: the file's bytes."""

    caught: Caught
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]
    source: bytes


def caught(maildir: Path, limit: int | None = None) -> list[Caught]:
    """What lies in the Maildir, newest first; at most `limit`. A file that is no message is shown bare."""
    found = sorted(_files(maildir), key=lambda file: file[:2], reverse=True)
    return [_caught(name, _read(path, _HEAD_BYTES), at) for at, name, path in found[:limit]]


def count_caught(maildir: Path) -> int:
    """How many messages lie there."""
    return sum(1 for _ in _files(maildir))


def read_caught(maildir: Path, caught_id: str) -> CaughtMessage:
    """One message by the id that caught() gave. Raises NotFound. The id is only compared, never made a path."""
    for at, name, path in _files(maildir) if _ID.fullmatch(caught_id) else ():
        if name == caught_id:
            source = _read(path, _FILE_BYTES)
            parsed, html, text = _opened(source)
            headers = tuple((header, _words(value)) for header, value in parsed.items())
            return CaughtMessage(_caught(name, source[:_HEAD_BYTES], at), text, html, headers, source)
    raise NotFound("no caught message has that id", field="id")


def _files(maildir: Path) -> Iterator[tuple[int, str, str]]:
    """Time in ns, id and path of every regular file with a Maildir name."""
    for folder in ("new", "cur"):
        try:
            entries = list(os.scandir(maildir / folder))
        except OSError:
            continue
        for entry in entries:
            name = entry.name.partition(":")[0]
            try:
                if _ID.fullmatch(name) and entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False).st_mtime_ns, name, entry.path
            except OSError:
                continue  # gone since


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(most)
    except OSError:
        return b""


def _caught(name: str, head: bytes, at: int) -> Caught:
    parsed = BytesHeaderParser().parsebytes(head)
    try:
        dated = parsedate_to_datetime(str(parsed["Date"]))
    except (ValueError, TypeError, OverflowError):
        dated = None
    return Caught(
        id=name,
        at=datetime.fromtimestamp(at // 1_000_000_000, UTC),
        to=", ".join(map(_words, parsed.get_all("Delivered-To", []))) or _words(parsed["To"]),
        sender=_words(parsed["From"]),
        subject=_words(parsed["Subject"]),
        dated=dated if dated is not None and dated.tzinfo is not None else None,
    )


def _opened(source: bytes) -> tuple[Message, str, str]:
    """The headers, the first HTML part and the first plain one."""
    try:
        parsed = message_from_bytes(source)
        parts = [part for part in parsed.walk() if not part.is_multipart()]
    except RecursionError:
        parsed, parts = BytesHeaderParser().parsebytes(source[:_HEAD_BYTES]), []
    first = {part.get_content_type(): part for part in reversed(parts)}
    return parsed, _part(first.get("text/html")), _part(first.get("text/plain"))


def _part(part: Message | None) -> str:
    payload = part.get_payload(decode=True) if part is not None else None
    if not isinstance(payload, bytes) or part is None:
        return ""
    try:
        words = payload.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        words = payload.decode("utf-8", "replace")
    return words.replace("\r\n", "\n")


def _words(value: object) -> str:
    """A header as people read it; what cannot be decoded stands as it is."""
    raw = re.sub(r"\s*[\r\n]+\s*", " ", str(value)) if value is not None else ""
    try:
        return str(make_header(decode_header(raw)))
    except (ValueError, LookupError, MessageError):
        return raw
