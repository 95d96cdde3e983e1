"""Reads a parsed TOML table strictly: every key is asked for once, what is left over is a mistake.

Every refusal names the file, the key and the fix.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from datetime import time
from typing import NoReturn

from service.errors import BadProtocol

_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z")


def read_clock_time(value: str) -> time | None:
    """'HH:MM' (00:00 to 23:59) as a local wall-clock time, None if it is not one."""
    return time.fromisoformat(value) if _CLOCK_TIME.match(value) else None


class Table:
    """One table of a TOML document. where: the dotted way to it, for messages."""

    def __init__(self, content: dict[str, object], file: str, where: str = "") -> None:
        self._content = content
        self._file = file
        self._where = where
        self._asked: set[str] = set()

    def refuse(self, key: str, problem: str, fix: str) -> NoReturn:
        """Raise BadProtocol for `key` of this table."""
        place = ".".join(part for part in (self._where, key) if part)
        raise BadProtocol(f"{self._file}: {place}: {problem}", field=place, next_step=fix)

    def names(self) -> tuple[str, ...]:
        """The keys of this table, in order."""
        return tuple(self._content)

    def _get(self, key: str) -> object | None:
        self._asked.add(key)
        return self._content.get(key)

    def optional_text(self, key: str) -> str | None:
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, f"{value!r} is not a text", f'Write {key} = "…".')
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.optional_text(key) or default
        if value is None:
            self.refuse(key, "is missing", f'Add {key} = "…".')
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._get(key)
        if value is None:
            self.refuse(key, "is missing", f"Add {key} = a whole number from {low} to {high}.")
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(key, f"{value!r} is not a whole number from {low} to {high}", f"Write {key} = {low} to {high}.")
        return value

    def optional_clock_time(self, key: str) -> time | None:
        value = self._get(key)
        if value is None:
            return None
        parsed = read_clock_time(value) if isinstance(value, str) else None
        if parsed is None:
            self.refuse(key, f"{value!r} is not a time", f'Write {key} = "HH:MM", like "10:00".')
        return parsed

    def clock_time(self, key: str) -> time:
        value = self.optional_clock_time(key)
        if value is None:
            self.refuse(key, "is missing", f'Add {key} = "HH:MM".')
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.text(key)
        if value not in choices:
            self.refuse(key, f"{value!r} is not one of {', '.join(choices)}", "Choose one of them.")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            self.refuse(key, "is not a list of texts", f'Write {key} = ["…", "…"].')
        return tuple(value)

    def words(self, key: str) -> dict[str, tuple[str, ...]]:
        """A table of language -> list of word stems, in small letters."""
        row = self.table(key)
        languages = {language: row.strings(language) for language in row.names()}
        return {language: tuple(word.casefold() for word in words) for language, words in languages.items()}

    def optional_table(self, key: str) -> Table | None:
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(key, "is not a table", f"Write it as [{key}] with its keys below.")
        return Table(value, self._file, f"{self._where}.{key}" if self._where else key)

    def table(self, key: str) -> Table:
        value = self.optional_table(key)
        if value is None:
            self.refuse(key, "is missing", f"Add a [{key}] table.")
        return value

    def tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """The named tables below `key`: [key.name]."""
        row = self.optional_table(key)
        if row is None:
            return
        for name in row.names():
            yield name, row.table(name)

    def rows(self, key: str) -> tuple[Table, ...]:
        """The rows of an array of tables: [[key]]."""
        value = self._get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(key, "is not a list of tables", f"Write each row as [[{key}]].")
        place = f"{self._where}.{key}" if self._where else key
        return tuple(Table(item, self._file, f"{place}[{number}]") for number, item in enumerate(value, 1))

    def finish(self) -> None:
        """Refuse what nobody asked for: a typo must not be silently ignored."""
        for key in self._content:
            if key not in self._asked:
                close = difflib.get_close_matches(key, sorted(self._asked), n=1)
                known = f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(sorted(self._asked))}."
                self.refuse(key, "is not a key of this table", known)
