"""How a command answers: one JSON document or JSON lines for programs, tables and sentences for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import click

from service.errors import AftercareError

Row = Mapping[str, Any]


def utc(at: datetime | None) -> str | None:
    """An instant as JSON: UTC, ISO 8601, Z."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, datetime):
        return utc(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def as_json(document: Any) -> str:
    return json.dumps(document, default=plain, ensure_ascii=False)


def print_document(document: Any) -> None:
    click.echo(as_json(document))


def print_lines(rows: Iterable[Row]) -> None:
    for row in rows:
        click.echo(as_json(dict(row)))


def say(sentence: str) -> None:
    """A message for people: standard error, so that standard output stays data."""
    click.echo(sentence, err=True)


def print_table(rows: Sequence[Row], columns: Mapping[str, str], nothing: str) -> None:
    """Rows as aligned columns (key -> heading) on standard output; `nothing` is said when there are none."""
    if not rows:
        say(nothing)
        return
    cells = [[_cell(row[key]) for key in columns] for row in rows]
    headings = list(columns.values())
    widths = [max(len(line[i]) for line in [headings, *cells]) for i in range(len(headings))]
    for line in [headings, *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%MZ")
    # What a client typed must not move the cursor of somebody's terminal.
    return "".join(character if character.isprintable() else "?" for character in str(value))


def show_error(error: AftercareError) -> None:
    """The error as a document where --json was asked for, else as sentences on standard error."""
    if "--json" in sys.argv:
        print_document(error.as_document())
        return
    place = f"{error.field}: " if error.field and error.field not in error.message else ""
    say(f"{place}{error.message}")
    if error.next_step:
        say(error.next_step)
