"""What compiling a text leaves to do for each message: static pieces and slots, in order.

Everything slow (Markdown, Jinja) happened once; filling is a join.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import escape


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one value. html: the value is escaped there (text and quoted attributes alike)."""

    name: str
    html: bool


Piece = str | Slot


@dataclass(frozen=True, slots=True)
class Program:
    """Subject, text part and HTML part of one e-mail as pieces. Lines end in a newline alone."""

    subject: tuple[Piece, ...]
    text: tuple[Piece, ...]
    html: tuple[Piece, ...]


def slot_value(slot: Slot, values: Mapping[str, str]) -> str:
    """The value as it stands at that place. Raises KeyError for a slot without a value."""
    value = values[slot.name]
    return str(escape(value)) if slot.html else value


def fill(pieces: Sequence[Piece], values: Mapping[str, str]) -> str:
    """The finished string of one part."""
    return "".join(piece if isinstance(piece, str) else slot_value(piece, values) for piece in pieces)
