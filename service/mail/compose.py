"""Rendered words and addresses become the bytes of one message: own skeleton, checked headers, quoted-printable.

The same head, program and values always give the same bytes: no clock, no random source. Refuses (NotComposed)
whatever could add a header, a recipient or a part; the finished bytes are read again before they leave (check).
Encoded text is remembered for static pieces and clinics only, never for a client's values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256

from service.mail.draft import Draft, NotComposed, draft, fill_draft
from service.mail.encoding import display_name, header_text
from service.mail.program import Program, fill


@dataclass(frozen=True, slots=True)
class Head:
    """What stands around the words.

    date: aware, with the clinic's offset. message_id: with <>. stop_mailto: a mailto: URL. stop_url: an https URL.
    """

    sender_name: str
    from_address: str
    to_address: str
    reply_to: str
    date: datetime
    message_id: str
    language: str
    stop_mailto: str | None = None
    stop_url: str | None = None


_NAMES = (
    *("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type"),
    *("Auto-Submitted", "X-Auto-Response-Suppress", "Content-Language"),
)
_TEXT_PART = (b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: quoted-printable", b"")
_HTML_PART = (b"Content-Type: text/html; charset=utf-8", *_TEXT_PART[1:])

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENCODED_WORD = re.compile(r"=\?.*\?=")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_HOST}")
_MESSAGE_ID = re.compile(rf"(?=.{{5,250}}\Z)<{_ATOM}(?:\.{_ATOM})*@{_HOST}>")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}")
# Printable ASCII without what would end or split a List-Unsubscribe entry (RFC 2369).
_STOP_URL = re.compile(r"https://[A-Za-z0-9](?:(?![<>\",\\ ])[!-~]){0,400}")
_STOP_MAILTO = re.compile(r"mailto:(?:(?![<>\",\\ ])[!-~]){3,400}")


def compose(head: Head, words: Program | Draft, values: Mapping[str, str]) -> bytes:
    """The message, CRLF line ends, 7-bit. Raises NotComposed; KeyError for a slot without a value (a bug)."""
    if isinstance(words, Program):
        words = draft(words, {})
    boundary = _boundary(_matching("Message-ID", _MESSAGE_ID, head.message_id))
    block = _header_block(head, fill(words.subject, values), boundary)
    mark = b"--" + boundary.encode("ascii")
    text, html = fill_draft(words.text, values), fill_draft(words.html, values)
    lines = (block, mark, *_TEXT_PART, text, mark, *_HTML_PART, html, mark + b"--", b"")
    message = b"\r\n".join(lines)
    check(message, head)
    return message


def check(message: bytes, head: Head) -> None:
    """The last gate: reads finished bytes as a stranger would. Raises NotComposed unless they are what we meant.

    Exactly our headers in our order, one To, 7-bit, two parts and nothing beside them. The lines of the parts were
    read when each piece was encoded (draft.whole_lines).
    """
    if not message.isascii() or b"\0" in message:
        raise NotComposed("message", "not 7-bit")
    block, _, body = message.partition(b"\r\n\r\n")
    found = _unfolded(block.decode("ascii"))
    if [name for name, _ in found] != _expected_names(head):
        raise NotComposed("message", "not exactly our headers, each once, in our order")
    said = dict(found)
    exact = {"To": head.to_address, "Message-ID": head.message_id, "Reply-To": head.reply_to}
    for name, value in exact.items():
        if said[name] != value:
            raise NotComposed(name, "reads differently in the finished message")
    if not (said["From"].endswith(f" <{head.from_address}>") or said["From"] == head.from_address):
        raise NotComposed("From", "reads differently in the finished message")
    mark = b"--" + _boundary(head.message_id).encode("ascii")
    _check_parts(body, mark, message.count(mark))


def _check_parts(body: bytes, mark: bytes, marks: int) -> None:
    """Two parts with our own two lines each, between three boundaries, and nothing before or after them."""
    first, second = (b"\r\n".join([mark, *part, b""]) for part in (_TEXT_PART, _HTML_PART))
    if marks != 3 or not body.startswith(first) or not body.endswith(b"\r\n" + mark + b"--\r\n"):
        raise NotComposed("message", "the boundary does not stand exactly three times, first and last among them")
    if b"\r\n" + second not in body:  # once: of the three, the first and the last stand elsewhere
        raise NotComposed("message", "a part does not begin with our two lines")


def _unfolded(block: str) -> list[tuple[str, str]]:
    """Header lines as names and values; what is no header comes back under a name that nobody expects."""
    if not block.replace("\r\n", "").isprintable() or " \r\n" in block or block.endswith(" "):
        raise NotComposed("message", "a header line with a control character, or ending in a space")
    if max(map(len, block.split("\r\n"))) > 998:
        raise NotComposed("message", "a header line longer than 998")
    lines = [line.partition(":") for line in block.replace("\r\n ", " ").split("\r\n")]
    return [(name, value.lstrip(" ")) for name, _, value in lines]


def _expected_names(head: Head) -> list[str]:
    stops = ["List-Unsubscribe"] * bool(head.stop_url or head.stop_mailto)
    return [*_NAMES, *stops, *["List-Unsubscribe-Post"] * bool(head.stop_url)]


def _header_block(head: Head, subject: str, boundary: str) -> bytes:
    """All header lines, each checked for itself first: what is refused here is refused with the header's name."""
    if not subject.strip():
        raise NotComposed("Subject", "is empty")
    sender, reply_to, language = _standing(head.sender_name, head.from_address, head.reply_to, head.language)
    lines = [
        sender,
        f"To: {_matching('To', _ADDRESS, head.to_address)}",
        f"Subject: {header_text(_plain('Subject', subject), used=len('Subject: '))}",
        _date_line(head.date),
        f"Message-ID: {head.message_id}",
        reply_to,
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"',
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        language,
        *_stop_lines(head),
    ]
    return "\r\n".join([*lines, ""]).encode("ascii")


@lru_cache(maxsize=256)
def _standing(name: str, from_address: str, reply_to: str, language: str) -> tuple[str, str, str]:
    """The lines that all e-mails of a clinic share: From, Reply-To, Content-Language."""
    sender = display_name(_plain("From", name))
    return (
        _from_line(sender, _matching("From", _ADDRESS, from_address)),
        f"Reply-To: {_matching('Reply-To', _ADDRESS, reply_to)}",
        f"Content-Language: {_matching('Content-Language', _LANGUAGE, language)}",
    )


def _date_line(date: datetime) -> str:
    offset = date.utcoffset()
    if offset is None:
        raise NotComposed("Date", "has no zone")
    return _dated(date.replace(tzinfo=None), offset)


@lru_cache(maxsize=256)
def _dated(local: datetime, offset: timedelta) -> str:
    """Thousands of e-mails share a second. By its offset too: one instant reads differently in another zone."""
    return f"Date: {format_datetime(local.replace(tzinfo=timezone(offset)))}"


def _from_line(sender: str, address: str) -> str:
    """The address on a line of its own where both do not fit into 76."""
    if not sender:
        return f"From: {address}"
    line = f"From: {sender} <{address}>"
    return line if len(line.rpartition("\r\n")[2]) <= 76 else f"From: {sender}\r\n <{address}>"


def _stop_lines(head: Head) -> list[str]:
    """One line each, https first (RFC 8058): folding breaks some signatures."""
    ways = []
    if head.stop_url is not None:
        ways.append(_matching("List-Unsubscribe", _STOP_URL, head.stop_url))
    if head.stop_mailto is not None:
        ways.append(_matching("List-Unsubscribe", _STOP_MAILTO, head.stop_mailto))
    if not ways:
        return []
    lines = ["List-Unsubscribe: " + ", ".join(f"<{way}>" for way in ways)]
    return [*lines, "List-Unsubscribe-Post: List-Unsubscribe=One-Click"] if head.stop_url else lines


def _plain(where: str, value: str) -> str:
    """A value of free words. CVE-2024-6923: an encoded word in a name can unfold into headers, so none is let in."""
    if _FORBIDDEN.search(value):
        raise NotComposed(where, "holds a control character or a line break")
    if _ENCODED_WORD.search(value):
        raise NotComposed(where, "holds an encoded word (=?…?=)")
    return value


def _matching(where: str, pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(_plain(where, value)):
        raise NotComposed(where, "is not of the form this header needs")
    return value


def _boundary(message_id: str) -> str:
    """No quoted-printable text can hold it: there, "=" is followed by a hexadecimal digit or the line's end."""
    return "=_" + sha256(message_id.encode("utf-8", "replace")).hexdigest()[:32]
