"""What one cell of an imported file means: a date in the chosen order, a time, a treatment; and cells made safe again.

Refuses to guess: a date that could mean two days is an error until the order is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from functools import lru_cache
from typing import Literal

from service.domain.strict_table import read_clock_time
from service.errors import BadInput

DateOrder = Literal["dmy", "mdy", "ymd"]
FIRST_YEAR = 1900

_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_PARTS = re.compile(r"([0-9]{1,4})([./-]) ?([0-9]{1,2})\2 ?([0-9]{1,4})")
_TIME = re.compile(r"([0-9]{1,2}:[0-9]{2})(?::00)?")
#: What a spreadsheet would run, behind the apostrophes that an export put before it (OWASP, CSV injection).
_FORMULA = re.compile(r"'*(?:[\t\r\n]|[\s\u200b\ufeff]*[=+@\uff1d\uff0b\uff0d\uff20\u2212-])")


def neutralise(value: str) -> str:
    """The cell for an export: an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{value}" if _FORMULA.match(value) else value


def plain(value: str) -> str:
    """The cell as it was before `neutralise`."""
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def read_date(field: str, value: str, order: DateOrder | None, today: date) -> date:
    """A date up to `today` (the clinic's), ISO or in the chosen order. Raises BadInput for `field`."""
    found = _parse_date(value, order)
    if isinstance(found, str):
        raise BadInput(found, field=field, next_step="Write it like 2026-04-03.")
    if found > today:
        raise BadInput(
            f"{found.isoformat()} lies in the future", field=field, next_step="Import it once it has happened."
        )
    return found


@lru_cache(maxsize=4096)
def _parse_date(value: str, order: DateOrder | None) -> date | str:
    """The date, or what is wrong: a file names the same few days again and again."""
    shown = repr(value[:40])
    iso = _ISO.fullmatch(value)
    parts = _PARTS.fullmatch(value)
    if iso:
        year, month, day = iso.groups()
    elif not parts:
        return f"{shown} is not a date"
    elif order is None:
        is_open = sum(int(part) <= 12 for part in parts.group(1, 3, 4)) > 1
        may = "may mean two dates" if is_open else "is not written like 2026-04-03"
        return f"{shown} {may}: choose the date order (dmy, mdy or ymd; --date-order)"
    else:
        numbers = dict(zip(order, parts.group(1, 3, 4), strict=True))
        year, month, day = numbers["y"], numbers["m"], numbers["d"]
        if max(map(len, numbers.values())) <= 2:
            return f"{shown} has a year of two digits"
        if len(year) != 4 or len(day) > 2:
            return f"{shown} does not fit the date order {order}"
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        return f"{shown} is a day that does not exist" + (f" in the date order {order}" if not iso else "")
    return found if found.year >= FIRST_YEAR else f"{shown} lies before {FIRST_YEAR}"


def needs_order(value: str) -> bool:
    """Whether a cell is a date that could mean two days."""
    return not _ISO.fullmatch(value) and _PARTS.fullmatch(value) is not None


def meaning(value: str, order: DateOrder, today: date) -> date | None:
    """The day that a cell names in that order; None if it is none there, or still to come."""
    found = _parse_date(value, order)
    return found if not isinstance(found, str) and found <= today else None


def read_time(field: str, value: str) -> time:
    """A local time of day HH:MM. Raises BadInput for `field`."""
    found = _TIME.fullmatch(value)
    parsed = read_clock_time(found.group(1).zfill(5)) if found else None
    if parsed is None:
        raise BadInput(f"{value[:40]!r} is not a time", field=field, next_step="Write it like 14:30.")
    return parsed


class Treatments:
    """Finds a protocol key by key or title, whatever the case. titles: key -> title. for_all: key for every row."""

    def __init__(self, titles: Mapping[str, str], for_all: str | None) -> None:
        if for_all is not None and for_all not in titles:
            raise BadInput(f"{for_all[:60]!r} is no protocol", field="protocol", next_step=_choices(titles))
        self._titles = titles
        self._for_all = for_all
        self._keys = {_fold(title): key for key, title in titles.items()} | {_fold(key): key for key in titles}

    def find(self, value: str) -> str:
        """The protocol key. A cell that names another protocol than the one for all rows is refused, not overruled."""
        key = self._keys.get(_fold(value))
        if self._for_all is None:
            if key is None:
                problem = f"{value[:60]!r} is no treatment known here" if value.strip() else "The treatment is empty"
                raise BadInput(problem, field="treatment", next_step=_choices(self._titles))
            return key
        if key not in (None, self._for_all):
            raise BadInput(
                f"The row says {key}, the import is for {self._for_all}",
                field="treatment",
                next_step="Correct the row, or leave out the protocol for all rows.",
            )
        return self._for_all


def _choices(titles: Mapping[str, str]) -> str:
    return f"Choose one of: {', '.join(sorted(titles))}."


@lru_cache(maxsize=1024)
def _fold(value: str) -> str:
    return " ".join(value.casefold().split())
