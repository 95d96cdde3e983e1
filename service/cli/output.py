"""How a command answers: one JSON document or JSON lines for programs, tables and sentences for people."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import click

from service.errors import AftercareError

Row = Mapping[str, Any]
#: A last column that wraps keeps at least this much room.
NARROWEST = 24


def example(*lines: str) -> str:
    """The end of a --help page: commands to copy, each on a line of its own."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def utc(at: datetime | None) -> str | None:
    """An instant as JSON: UTC, ISO 8601, Z."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, datetime):
        return utc(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def as_json(document: Any) -> str:
    """One line. On a terminal or pipe that is not UTF-8 every other letter is escaped, so that it stays JSON."""
    unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return json.dumps(document, default=plain, ensure_ascii=not unicode)


def print_document(document: Any) -> None:
    click.echo(as_json(document))


def print_lines(rows: Iterable[Row]) -> None:
    for row in rows:
        click.echo(as_json(dict(row)))


def say(sentence: str) -> None:
    """A message for people: standard error, so that standard output stays data."""
    click.echo("\n".join(harmless(line) for line in sentence.split("\n")), err=True)


def print_table(rows: Sequence[Row], columns: Mapping[str, str], nothing: str) -> None:
    """Rows as aligned columns (key -> heading) on standard output; `nothing` is said when there are none.

    On a terminal the last column wraps to its width; elsewhere a row is one line.
    """
    if not rows:
        say(nothing)
        return
    cells = [[_cell(row[key]) for key in columns] for row in rows]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in layout([list(columns.values()), *cells], room):
        click.echo(line)


def layout(cells: Sequence[Sequence[str]], room: int | None) -> list[str]:
    """Cells as aligned lines. room: columns of a terminal, None for as many as it takes."""
    widths = [max(_width(line[i]) for line in cells) for i in range(len(cells[0]))]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    last = None if room is None or before + widths[-1] <= room else max(room - before, NARROWEST)
    lines = []
    for row in cells:
        head = "".join(cell + " " * (width - _width(cell) + 2) for cell, width in zip(row[:-1], widths, strict=False))
        parts = [row[-1]] if last is None else textwrap.wrap(row[-1], last) or [""]
        lines.append((head + parts[0]).rstrip())
        lines += [" " * before + part for part in parts[1:]]
    return lines


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _cell(value: Any) -> str:
    return "" if value is None else harmless(str(value))


def harmless(text: str) -> str:
    """What a client typed must not move the cursor of somebody's terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def show_error(error: AftercareError, *, as_json: bool) -> None:
    """The error as a document where --json was asked for, else as sentences on standard error."""
    if as_json:
        print_document(error.as_document())
        return
    place = f"{error.field}: " if error.field and error.field not in error.message else ""
    say(f"{place}{error.message}")
    if error.next_step:
        say(error.next_step)
