"""What somebody should see of a CSV file before it is imported: what each column was taken for, and its dates.

And the rows that were not taken, as a file to be mended and imported again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import islice
from typing import Any

from service.actions.csv_rows import CsvFile, RowError, neutralise
from service.actions.csv_values import DateOrder, meaning, needs_order

EXAMPLES = 2
_LOOKED_AT = 200  # rows searched for examples
_SHOWN = 60  # characters of a cell
_DATES = ("treatment_date", "consent_on")
_ORDERS: tuple[DateOrder, ...] = ("dmy", "mdy", "ymd")


@dataclass(frozen=True)
class Column:
    """A column of the file. meaning: our name for it, None if nobody reads it."""

    header: str
    meaning: str | None
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """One way to read the dates that could mean two days. fits: how many of `dates` are possible days so.

    example, day: one such cell and the day it would be, ISO; the day is "" where it would be none.
    """

    order: DateOrder
    fits: int
    dates: int
    example: str
    day: str


def describe(file: CsvFile, today: date) -> dict[str, Any]:
    """Columns and date orders as plain values, for a page."""
    return {
        "columns": [asdict(column) for column in _columns(file)],
        "orders": [asdict(order) for order in _orders(file, today)],
    }


def _columns(file: CsvFile) -> list[Column]:
    rows = file.records()
    header = next(rows).cells
    examples: list[list[str]] = [[] for _ in header]
    for record in islice(rows, _LOOKED_AT):
        for cell, known in zip(record.cells, examples, strict=False):
            if cell.strip() and len(known) < EXAMPLES and cell not in known:
                known.append(cell)
    return [
        Column(_short(name), column, tuple(map(_short, known)))
        for name, column, known in zip(header, file.columns, examples, strict=True)
    ]


def _short(cell: str) -> str:
    """One line of it, without what cannot be shown."""
    line = " ".join("".join(c if c.isprintable() else " " for c in cell[: 2 * _SHOWN]).split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def _orders(file: CsvFile, today: date) -> list[Order]:
    """The orders to choose from; none if no date could mean two days."""
    cells = [cell for cell in _dates(file) if needs_order(cell)]
    if not cells:
        return []
    # The one that shows best what the choice is about.
    example = next(
        (cell for cell in cells if len({meaning(cell, o, today) for o in _ORDERS[:2]} - {None}) > 1), cells[0]
    )
    found = []
    for order in _ORDERS:
        fits = sum(meaning(cell, order, today) is not None for cell in cells)
        day = meaning(example, order, today)
        found.append(Order(order, fits, len(cells), example, day.isoformat() if day else ""))
    return [one for one in found if one.fits] or found


def _dates(file: CsvFile) -> Iterator[str]:
    places = [place for place, column in enumerate(file.columns) if column in _DATES]
    for record in islice(file.records(), 1, None):
        if len(record.cells) == len(file.columns):
            yield from (record.cells[place].strip() for place in places)


def rejected(file: CsvFile, errors: Sequence[RowError]) -> bytes:
    """The rows that were not taken, each with its number and what is wrong: CSV in UTF-8 with its mark.

    What a spreadsheet would take for a formula is neutralised; the two columns in front are ignored when it is
    imported again.
    """
    wrong: dict[int, list[str]] = {}
    for error in errors:
        wrong.setdefault(error.row, []).append(f"{error.column}: {error.problem}" if error.column else error.problem)
    into = io.StringIO(newline="")
    writer = csv.writer(into, delimiter=file.delimiter, lineterminator="\r\n")
    rows = file.records()
    writer.writerow(["row", "what is wrong", *map(neutralise, next(rows).cells)])
    for record in rows:
        if record.row in wrong:
            said = neutralise("; ".join(wrong[record.row]))
            writer.writerow([record.row, said, *(neutralise(cell.replace("\0", "")) for cell in record.cells)])
    return into.getvalue().encode("utf-8-sig", "replace")
