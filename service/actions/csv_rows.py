"""An imported CSV file, row by row: a good row of typed values, or the row's faults by column.

Decides about each row alone, without a database; what is new or `unchanged` is for actions/importing.py to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from service.actions.addresses import check_address
from service.actions.csv_file import DELIMITERS, MOST_ROWS, Record, cannot_read, decode, load, records
from service.actions.csv_values import DateOrder, Treatments, neutralise, plain, read_date, read_time
from service.domain.persons import clean_language, clean_line, clean_name, clean_phone
from service.errors import BadInput

__all__ = ["BadRow", "CsvFile", "CsvOptions", "GoodRow", "RowError", "neutralise", "read_rows"]

NEEDED = ("name", "email", "treatment", "treatment_date")
MOST_COLUMNS = 200
OPTIONAL = ("treatment_time", "phone", "language", "consent_on", "client_ref")
CLIENT_REF_LIMIT = 100

_HEADERS = {name.replace("_", ""): name for name in NEEDED + OPTIONAL}
_NOT_IN_HEADERS = re.compile(r"[\s_\ufeff-]+")
_language = lru_cache(maxsize=256)(clean_language)
_time = lru_cache(maxsize=2048)(partial(read_time, "treatment_time"))
_T = TypeVar("_T")


@dataclass(frozen=True)
class CsvOptions:
    """today: the clinic's local date. titles: protocol key -> title. protocol: the key for all rows.

    date_order: for dates that are not ISO. encoding: utf-8, utf-16 or windows-1252; None: decided from the file.
    """

    today: date
    titles: Mapping[str, str]
    date_order: DateOrder | None = None
    protocol: str | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class RowError:
    """One fault. row: as a spreadsheet counts (see GoodRow). column: our name of it; None: the row as a whole."""

    row: int
    column: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not imported, with every fault found in it."""

    row: int
    errors: tuple[RowError, ...]


@dataclass(frozen=True, slots=True)
class GoodRow:
    """One client and treatment. row: as a spreadsheet counts: the header is row 1, the first client row 2.

    Blank lines count, line breaks inside quotes do not. protocol: its key. treated_on, treated_at: clinic local.
    """

    row: int
    name: str
    email: str
    protocol: str
    treated_on: date
    treated_at: time | None
    phone: str | None
    language: str | None
    consent_on: date | None
    client_ref: str | None


@dataclass(frozen=True)
class CsvFile:
    """A file whose header could be read. Iterating reads the rows, one at a time, from the start each time.

    encoding, delimiter: as decided. columns: our name, or None, for each cell. ignored: headers nobody reads.
    """

    encoding: str
    delimiter: str
    columns: tuple[str | None, ...]
    ignored: tuple[str, ...]
    _text: str
    _options: CsvOptions

    def __iter__(self) -> Iterator[GoodRow | BadRow]:
        treatments = Treatments(self._options.titles, self._options.protocol)
        rows = records(self._text, self.delimiter)
        next(rows)
        for record in rows:
            yield _Reading(record, self.columns).row(treatments, self._options)

    def records(self) -> Iterator[Record]:
        """The file as it is, the header first."""
        return records(self._text, self.delimiter)


def read_rows(source: bytes | Path, options: CsvOptions) -> CsvFile:
    """Raises Unavailable (field "file") if the file as a whole cannot be read, BadInput for a wrong option."""
    text, encoding = decode(load(source), options.encoding)
    Treatments(options.titles, options.protocol)
    delimiter, header = _header(text)
    columns = tuple(_HEADERS.get(_fold_header(cell)) for cell in header)
    _check_columns(columns, header, options)
    # Read through once for the quotes and the bound, so that no fault of the whole file comes after its first row.
    if sum(1 for _ in islice(records(text, delimiter), MOST_ROWS + 2)) > MOST_ROWS + 1:
        cannot_read(f"The file has more than {MOST_ROWS:,} rows", "Split it and import the parts.")
    ignored = tuple(
        _shown(cell) or f"column {number}"
        for number, (cell, column) in enumerate(zip(header, columns, strict=True), 1)
        if column is None
    )
    return CsvFile(encoding, delimiter, columns, ignored, text, options)


def _fold_header(cell: str) -> str:
    return _NOT_IN_HEADERS.sub("", cell).casefold()


def _shown(cell: str) -> str:
    return "".join(c if c.isprintable() else " " for c in cell[:60]).strip()


def _header(text: str) -> tuple[str, list[str]]:
    """The delimiter under which the first record names most of our columns, and that record."""
    first = {delimiter: next(records(text, delimiter)) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: sum(_fold_header(c) in _HEADERS for c in first[delimiter].cells))
    record = first[best]
    if len(record.cells) > MOST_COLUMNS:
        cannot_read(
            f"The first line has {len(record.cells):,} columns, {MOST_COLUMNS} at most can be read",
            "Export the table again with the columns that are needed.",
        )
    if record.fault:
        cannot_read(f"The first line cannot be read: {record.fault}", "Export the table again.")
    if not any(_fold_header(cell) in _HEADERS for cell in record.cells):
        cannot_read(
            "The first line does not name the columns",
            f"Begin the file with a line like: {','.join(NEEDED)}. Between columns stands , ; or a tab.",
        )
    return best, record.cells


def _check_columns(columns: Sequence[str | None], header: Sequence[str], options: CsvOptions) -> None:
    folded = [_fold_header(cell) for cell in header]
    number = Counter(folded)
    twice = sorted({_shown(cell) for cell, name in zip(header, folded, strict=True) if name and number[name] > 1})
    if twice:
        cannot_read(f"The header names a column twice: {', '.join(twice)}", "Rename or remove one of them.")
    needed = [name for name in NEEDED if name != "treatment" or options.protocol is None]
    missing = [name for name in needed if name not in columns]
    if missing:
        hint = " Or choose one protocol for all rows." if "treatment" in missing else ""
        cannot_read(f"The header lacks {', '.join(missing)}", f"Add the missing columns.{hint}")


class _Reading:
    """One record being read: the cells by column, and the faults found so far."""

    def __init__(self, record: Record, columns: Sequence[str | None]) -> None:
        self._number = record.row
        self._cells: dict[str | None, str] = {}
        self._errors: list[RowError] = []
        if record.fault:
            self._fault(None, record.fault)
        elif len(record.cells) != len(columns):
            self._fault(None, f"The row has {len(record.cells)} fields, the header has {len(columns)}")
        elif any("\0" in cell for cell in record.cells):
            self._fault(None, "The row contains a NUL character")
        else:
            self._cells = dict(zip(columns, map(plain, record.cells), strict=True))

    def _fault(self, column: str | None, problem: str) -> None:
        self._errors.append(RowError(self._number, column, problem))

    def _read(self, column: str, reader: Callable[[str], _T]) -> _T | None:
        try:
            return reader(self._cells.get(column, ""))
        except BadInput as error:
            self._fault(column, f"{error.message}. {error.next_step}")
            return None

    def _read_if_filled(self, column: str, reader: Callable[[str], _T]) -> _T | None:
        filled = self._cells.get(column)
        return self._read(column, reader) if filled and not filled.isspace() else None

    def row(self, treatments: Treatments, options: CsvOptions) -> GoodRow | BadRow:
        if self._errors:
            return BadRow(self._number, tuple(self._errors))

        def day(column: str) -> Callable[[str], date]:
            return lambda value: read_date(column, value.strip(), options.date_order, options.today)

        name = self._read("name", clean_name)
        email = self._read("email", check_address)
        protocol = self._read("treatment", treatments.find)
        treated_on = self._read("treatment_date", day("treatment_date"))
        treated_at = self._read_if_filled("treatment_time", lambda value: _time(value.strip()))
        phone = self._read_if_filled("phone", clean_phone)
        language = self._read_if_filled("language", _language)
        consent_on = self._read_if_filled("consent_on", day("consent_on"))
        client_ref = self._read_if_filled("client_ref", _clean_ref)
        if self._errors or name is None or email is None or protocol is None or treated_on is None:
            return BadRow(self._number, tuple(self._errors))
        return GoodRow(
            self._number, name, email, protocol, treated_on, treated_at, phone, language, consent_on, client_ref
        )


def _clean_ref(value: str) -> str:
    return clean_line("client_ref", value, CLIENT_REF_LIMIT)
