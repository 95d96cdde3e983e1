"""Dates as people at the desk say them, in the clinic's zone: "Sat 21 Nov, 10:00 (tomorrow)"."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from service.domain.schedule import instant as instant_of

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NEAR = {-1: "yesterday", 0: "today", 1: "tomorrow"}


def day_words(day: date, today: date) -> str:
    """Like "Sat 21 Nov"; with the year unless it is this year's."""
    words = f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"
    return words if day.year == today.year else f"{words} {day.year}"


def near(day: date, today: date) -> str:
    """One of "today", "tomorrow", "yesterday", or nothing."""
    return _NEAR.get((day - today).days, "")


def moment_words(instant: datetime, zone: ZoneInfo, now: datetime) -> str:
    """An instant as it is said at the desk."""
    local, today = instant.astimezone(zone), now.astimezone(zone).date()
    close = near(local.date(), today)
    return f"{day_words(local.date(), today)}, {local:%H:%M}" + (f" ({close})" if close else "")


def exact(instant: datetime) -> str:
    """The instant for machines and titles: ISO 8601 in UTC."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def typed_day(raw: str) -> date | None:
    """A day as a date field sends it, YYYY-MM-DD; None for anything else and for years that nobody means."""
    try:
        found = date.fromisoformat(raw) if len(raw) == 10 else None
    except ValueError:
        return None
    return found if found is not None and 1900 <= found.year < 2200 else None


def midnight(on: date, zone: ZoneInfo, later: int = 0) -> datetime:
    """The instant at which a local day begins, or the one so many days later."""
    return instant_of(on + timedelta(days=later), time(), zone)
