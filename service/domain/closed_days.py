"""The dates on which a clinic is closed beside its weekly hours: '2026-12-25' or '2026-12-24..2027-01-01', one a line.

Local dates of the clinic. Refuses to guess: what is no date of the calendar, or runs backward, is named.
"""

from __future__ import annotations

import re
from datetime import date
from typing import NoReturn

from service.errors import BadInput

EXAMPLE = "2026-12-25 or 2026-12-24..2027-01-01"
#: Longer than any clinic is away, and short enough for one look.
MOST_DAYS, MOST_SPANS = 366, 100
_YEARS = range(1900, 2200)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: The first and the last day of a span.
Span = tuple[date, date]


def parse_closed_days(raw: str) -> tuple[Span, ...]:
    """Spans by their first day; lines, spaces and commas part them. Raises BadInput that quotes the part at fault."""
    parts = re.sub(r"\s*\.\.\s*", "..", raw[:10_000]).replace(",", " ").split()
    if len(parts) > MOST_SPANS:
        _refuse(f"more than {MOST_SPANS} dates or spans of dates", "Take out those that are over.")
    return tuple(sorted({_read(part) for part in parts}))


def written(spans: tuple[Span, ...]) -> str:
    """The form parse_closed_days reads back: one a line."""
    return "\n".join(str(first) if first == last else f"{first}..{last}" for first, last in spans)


def is_closed(spans: tuple[Span, ...], day: date) -> bool:
    return any(first <= day <= last for first, last in spans)


def _read(part: str) -> Span:
    begins, _, ends = part.partition("..")
    first = _day(begins, part)
    last = _day(ends, part) if ".." in part else first
    if last < first:
        _refuse(f"{part[:40]!r} ends before it begins", "Write the earlier date first.")
    if (last - first).days >= MOST_DAYS:
        _refuse(f"{part[:40]!r} is longer than a year", "Look at the years.")
    return first, last


def _day(raw: str, part: str) -> date:
    try:
        found = date.fromisoformat(raw) if _DATE.fullmatch(raw) else None
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        _refuse(f"{part[:40]!r} is not a date", f"Write {EXAMPLE}, one a line.")
    return found


def _refuse(problem: str, fix: str) -> NoReturn:
    raise BadInput(f"Closed days: {problem}", field="closed_days", next_step=fix)
