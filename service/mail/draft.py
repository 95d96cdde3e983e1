"""The bodies of many alike messages, encoded once: what is left open is one client's own.

Refuses text that no mail can carry. Keeps static pieces of texts in memory, never a client's value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from service.errors import AftercareError
from service.mail.encoding import quoted_printable
from service.mail.program import Piece, Program, Slot, slot_value


class NotComposed(AftercareError):
    """A header value or the last check refused this message. field: the header, or "message". Names no person."""

    code = "not_composed"

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}", field=where)


@dataclass(frozen=True, slots=True)
class Draft:
    """A program whose shared slots are filled and encoded once; the slots left are one client's own."""

    subject: tuple[Piece, ...]
    text: tuple[bytes | Slot, ...]
    html: tuple[bytes | Slot, ...]


def draft(program: Program, shared: Mapping[str, str]) -> Draft:
    """Encode all that many messages have in common. shared: values by slot; the other slots stay open."""
    subject = tuple(shared.get(p.name, p) if isinstance(p, Slot) else p for p in program.subject)
    return Draft(subject, _encoded(program.text, shared), _encoded(program.html, shared))


def _encoded(pieces: Sequence[Piece], shared: Mapping[str, str]) -> tuple[bytes | Slot, ...]:
    """Every piece begins on a line of its own, so pieces never meet inside a line."""
    out: list[bytes | Slot] = []
    for piece in pieces:
        if isinstance(piece, Slot) and piece.name not in shared:
            out.append(piece)
            continue
        chunk = _static(piece) if isinstance(piece, str) else whole_lines(_encode(slot_value(piece, shared)))
        if out and isinstance(out[-1], bytes):
            out[-1] += chunk
        else:
            out.append(chunk)
    return tuple(out)


@lru_cache(maxsize=8192)
def _static(piece: str) -> bytes:
    return whole_lines(quoted_printable(piece))


def whole_lines(chunk: bytes) -> bytes:
    """The chunk, read once more as a stranger would: whole lines of at most 76, CRLF only, none begins with a dot."""
    lines = chunk.splitlines()
    if b"\r\n".join([*lines, b""]) != chunk:
        raise NotComposed("message", "a bare CR or LF, or half a line")
    if max(map(len, lines), default=0) > 76:
        raise NotComposed("message", "a body line longer than 76")
    if chunk.startswith(b".") or b"\n." in chunk:
        raise NotComposed("message", "a line that begins with a dot")
    return chunk


def _encode(value: str) -> bytes:
    try:
        return quoted_printable(value)
    except UnicodeEncodeError:
        raise NotComposed("message", "half a character (a lone surrogate) in the text") from None


def fill_draft(pieces: Sequence[bytes | Slot], values: Mapping[str, str]) -> bytes:
    """One part, its open slots filled. Nobody's values outlive the call."""
    body = b"".join(
        [piece if isinstance(piece, bytes) else whole_lines(_encode(slot_value(piece, values))) for piece in pieces]
    )
    if not body.endswith(b"=\r\n"):
        return body
    # A part may not end in a soft break (RFC 2045 6.7 rule 5), nor in a bare space or tab (rule 3).
    body = body[:-3]
    if body.endswith((b" ", b"\t")):
        return body[:-1] + b"=\r\n" + (b"=20" if body.endswith(b" ") else b"=09")
    return body
