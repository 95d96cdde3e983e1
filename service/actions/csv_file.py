"""A CSV file as records of text: size, encoding, line ends, delimiter and quotes decided here, never guessed silently.

One broken quotation mark costs its own row, not the rest of the file. Knows nothing of what the cells mean.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from service.errors import BadInput, Unavailable

MOST_BYTES = 10 * 1024 * 1024
MOST_ROWS = 50_000
DELIMITERS = (",", ";", "\t")
ENCODINGS = {"utf8": "utf-8", "utf16": "utf-16", "windows1252": "windows-1252", "cp1252": "windows-1252"}
MOST_LINES_READ_AGAIN = 4 * MOST_ROWS
SAVE_AS = "Save the table as CSV UTF-8 and import that file."

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_UTF_32_BOMS = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_OTHER_FILES = (
    (b"PK\x03\x04", "a spreadsheet or zip file"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet file"),
    (b"%PDF", "a PDF file"),
)


@dataclass(frozen=True)
class Record:
    """One record. row: as a spreadsheet counts, the first line of the file being 1. fault: why there are no cells."""

    row: int
    cells: list[str]
    fault: str = ""


def cannot_read(problem: str, next_step: str) -> NoReturn:
    """The file as a whole cannot be imported: nothing of it is."""
    raise Unavailable(problem, field="file", next_step=next_step)


def load(source: bytes | Path) -> bytes:
    """The bytes of the file, at most 10 MB."""
    if isinstance(source, bytes):
        data = source
    else:
        try:
            with source.open("rb") as handle:
                data = handle.read(MOST_BYTES + 1)
        except OSError as error:
            cannot_read(f"The file cannot be opened: {error.strerror}", "Check its name and that you may read it.")
    if len(data) > MOST_BYTES:
        cannot_read(f"The file is larger than {MOST_BYTES // 2**20} MB", "Split it and import the parts.")
    return data


def decode(data: bytes, chosen: str | None) -> tuple[str, str]:
    """The text and the name of its encoding. A byte order mark decides; else UTF-8, or what was chosen."""
    encoding = _encoding(data, chosen)
    if not data.strip(b"\xef\xbb\xbf\xff\xfe\x00\t\r\n "):
        cannot_read("The file is empty", "Export the table again; its first line must name the columns.")
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        _cannot_decode(data, encoding, error.start)
    return text, encoding


def _encoding(data: bytes, chosen: str | None) -> str:
    wanted = ENCODINGS.get(re.sub("[-_ ]", "", chosen.lower())) if chosen is not None else None
    if chosen is not None and wanted is None:
        raise BadInput(
            f"{chosen[:40]!r} is not an encoding known here",
            field="encoding",
            next_step="Use utf-8, utf-16 or windows-1252.",
        )
    marked = next((encoding for mark, encoding in _BOMS if data.startswith(mark)), None)
    if data.startswith(_UTF_32_BOMS):
        cannot_read("The file is in UTF-32", SAVE_AS)
    if marked and wanted and marked != wanted:
        cannot_read(f"The file says that it is {marked}, not {wanted}", "Leave out the encoding.")
    if not marked:
        _refuse_binary(data)
        if wanted == "utf-16":
            cannot_read("A UTF-16 file must begin with a byte order mark, and this one has none", SAVE_AS)
    return marked or wanted or "utf-8"


def _refuse_binary(data: bytes) -> None:
    """A NUL in one row is that row's fault; NULs in the first line, or everywhere, mean that this is no text."""
    for start, name in _OTHER_FILES:
        if data.startswith(start):
            cannot_read(f"This is {name}, not a CSV file", SAVE_AS)
    first_line = data[:4096].split(b"\n", 1)[0].split(b"\r", 1)[0]
    nuls = data.count(0)
    if nuls > len(data) // 3:
        cannot_read("This is a binary file, or UTF-16 without its byte order mark", SAVE_AS)
    if 0 in first_line or nuls > len(data) // 10:
        cannot_read("This is a binary file, not CSV", SAVE_AS)


def _cannot_decode(data: bytes, encoding: str, at: int) -> NoReturn:
    if encoding == "utf-16":
        cannot_read("The file is damaged: it is not complete UTF-16", SAVE_AS)
    before = data[:at].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    other = "windows-1252" if encoding == "utf-8" else "utf-8"
    cannot_read(
        f"Line {before.count(10) + 1} is not {encoding} (byte {data[at]:#04x})",
        f"{SAVE_AS} If you know that it is {other}, choose the encoding {other} (--encoding).",
    )


class _Lines:
    """Hands lines to the CSV reader and can take back those of a record that turned out broken."""

    def __init__(self, text: str) -> None:
        self._source = io.StringIO(text, newline="")
        self._again: deque[str] = deque()
        self._budget = MOST_LINES_READ_AGAIN
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source)
        self.taken.append(line)
        return line

    def retreat(self) -> None:
        """Everything taken since the record began, but for its first line, comes again; not without end."""
        self._budget -= len(self.taken) - 1
        if self._budget < 0:
            cannot_read("The quotation marks in the file do not match", SAVE_AS)
        self._again.extendleft(reversed(self.taken[1:]))


def records(text: str, delimiter: str) -> Iterator[Record]:
    """The records that are not blank. A row with a misplaced quotation mark or an endless field has a fault.

    Raises Unavailable where mending would take a time that grows with the square of the file.
    """
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    row = 0
    while True:
        lines.taken.clear()
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.retreat()
            yield Record(row, [], _fault(str(error)))
            continue
        if any(map(str.strip, cells)):
            yield Record(row, cells)


def _fault(words: str) -> str:
    if "field limit" in words:
        return f"A field is longer than {csv.field_size_limit():,} characters; is a quotation mark missing?"
    if "end of data" in words:
        return "A quotation mark is opened here and never closed"
    return "A quotation mark stands where none can: double those inside a field"
