"""How the demo says days, notes and lists: plain words, 80 columns, the same in every locale."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

WIDTH = 79
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def spoken_day(day: date) -> str:
    """Like "Sat 21 Nov"."""
    return f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"


def spoken(at: datetime, zone: ZoneInfo) -> str:
    """Like "Sat 21 Nov, 10:00", in that zone."""
    local = at.astimezone(zone)
    return f"{spoken_day(local.date())}, {local:%H:%M}"


def day_of(step: str) -> int:
    """The day in a step's key: day-03 -> 3, catch-up-05 -> 5."""
    return int(step.rpartition("-")[2])


def listed(things: Sequence[str]) -> str:
    """Like "a, b and c"; "none" for nothing."""
    if len(things) < 2:
        return things[0] if things else "none"
    return f"{', '.join(things[:-1])} and {things[-1]}"


def hours(span: timedelta) -> str:
    """In whole hours, at least one: "1 hour", "23 hours"."""
    number = max(1, round(span / timedelta(hours=1)))
    return f"{number} hour{'' if number == 1 else 's'}"


def paragraph(first: str, sentence: str) -> str:
    """A sentence after a hanging first word, wrapped at 80 columns."""
    return textwrap.fill(
        sentence,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
