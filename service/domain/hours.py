"""Opening hours of a clinic: 'mon-fri 09:00-18:00; sat 10:00-14:00' read, written back, and said in a sentence.

Times are local wall-clock times of the clinic. Refuses to guess: overlapping, backward or unclear parts are errors
that name the part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import groupby
from typing import NoReturn

from service.errors import BadInput

EXAMPLE = "mon-fri 09:00-18:00; sat 10:00-14:00"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_PART = re.compile(r"([^0-9;]*?[^0-9;\s])\s+([0-9].*|closed)", re.DOTALL)
_RANGE = re.compile(r"([0-9]{1,2}):([0-5][0-9])\s*(?:-|to)\s*([0-9]{1,2}):([0-5][0-9])")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_DAY = 24 * 60

#: Minutes since local midnight, opening and closing; closing may be 1440.
Range = tuple[int, int]


@dataclass(frozen=True)
class DayGroup:
    """Neighbouring weekdays with the same hours. first, last: 0 Monday to 6 Sunday."""

    first: int
    last: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class OpeningHours:
    """days: seven tuples of ranges from Monday, each in order and apart; an empty one is a closed day."""

    days: tuple[tuple[Range, ...], ...]

    def ranges_on(self, day: date) -> tuple[Range, ...]:
        return self.days[day.weekday()]

    def is_open_on(self, day: date) -> bool:
        """Whether the clinic opens at all on that local date."""
        return bool(self.ranges_on(day))

    def is_open_at(self, at: datetime) -> bool:
        """Whether the clinic is open at that moment of its own wall clock."""
        minute = at.hour * 60 + at.minute
        return any(opens <= minute < closes for opens, closes in self.ranges_on(at.date()))

    def opens_on(self, day: date) -> time | None:
        """The local time of the first opening on that date; None on a closed day."""
        ranges = self.ranges_on(day)
        return time(*divmod(ranges[0][0], 60)) if ranges else None

    def sentence_parts(self) -> tuple[DayGroup, ...]:
        """The open days, Monday first, as few groups as neighbours allow: what a renderer of any language needs."""
        groups = []
        for ranges, run in groupby(range(7), key=self.days.__getitem__):
            weekdays = list(run)
            if ranges:
                groups.append(DayGroup(weekdays[0], weekdays[-1], ranges))
        return tuple(groups)

    def __str__(self) -> str:
        """The form parse_hours reads back to an equal value."""
        return "; ".join(
            f"{_short_days(group)} {', '.join(f'{_clock(a)}-{_clock(b)}' for a, b in group.ranges)}"
            for group in self.sentence_parts()
        )


def parse_hours(raw: str) -> OpeningHours:
    """Raises BadInput (field "hours") that quotes the part at fault and shows an example."""
    text = unicodedata.normalize("NFKC", raw[:1000]).translate(_DASHES).casefold()
    named: dict[int, list[Range]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        weekdays, ranges = _read_part(part)
        for weekday in weekdays:
            if weekday in named and not (ranges and named[weekday]):
                _refuse(part, f"says something else about {WEEKDAYS[weekday]} than a part before it")
            named.setdefault(weekday, []).extend(ranges)
    if not any(named.values()):
        _refuse(raw, "names no open day")
    return OpeningHours(tuple(_in_order(weekday, named.get(weekday, [])) for weekday in range(7)))


def _refuse(part: str, problem: str) -> NoReturn:
    raise BadInput(f"Opening hours: {part[:60]!r} {problem}", field="hours", next_step=f"Write them like '{EXAMPLE}'.")


def _read_part(part: str) -> tuple[list[int], list[Range]]:
    found = _PART.fullmatch(part)
    if not found:
        _refuse(part, "is not days followed by times")
    days, times = found.groups()
    weekdays = [weekday for piece in days.split(",") for weekday in _read_days(piece.strip(), part)]
    if len(set(weekdays)) < len(weekdays):
        _refuse(part, "names a day twice")
    return weekdays, [] if times == "closed" else [_read_range(piece.strip(), part) for piece in times.split(",")]


def _read_days(piece: str, part: str) -> Iterator[int]:
    """One weekday, or a span of them that may run over the end of the week."""
    ends = [_read_weekday(word, part) for word in re.split(r"\s*-\s*|\s+to\s+", piece)]
    if len(ends) > 2:
        _refuse(part, "has more than two ends in a span of days")
    first, last = ends[0], ends[-1]
    yield from (weekday % 7 for weekday in range(first, last + (7 if last < first else 0) + 1))


def _read_weekday(word: str, part: str) -> int:
    for weekday, name in enumerate(WEEKDAYS):
        if len(word) >= 3 and name.casefold().startswith(word):
            return weekday
    _refuse(part, f"has no weekday in {word[:20]!r}")


def _read_range(piece: str, part: str) -> Range:
    found = _RANGE.fullmatch(piece)
    if not found:
        _refuse(part, f"has no time span HH:MM-HH:MM in {piece[:20]!r}")
    hour, minute, until_hour, until_minute = map(int, found.groups())
    opens, closes = hour * 60 + minute, until_hour * 60 + until_minute
    if closes > _DAY or opens >= _DAY:
        _refuse(part, "has a time after 24:00")
    if closes <= opens:
        _refuse(part, f"closes before it opens in {piece!r}; hours past midnight belong to the next day")
    return opens, closes


def _in_order(weekday: int, ranges: list[Range]) -> tuple[Range, ...]:
    """Sorted; ranges that touch are one. Overlapping ones are a mistake in one of them."""
    joined: list[Range] = []
    for opens, closes in sorted(ranges):
        if joined and opens < joined[-1][1]:
            _refuse(f"{_clock(opens)}-{_clock(closes)}", f"overlaps other hours of {WEEKDAYS[weekday]}")
        if joined and opens == joined[-1][1]:
            joined[-1] = (joined[-1][0], closes)
        else:
            joined.append((opens, closes))
    return tuple(joined)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _short_days(group: DayGroup) -> str:
    first, last = WEEKDAYS[group.first][:3].lower(), WEEKDAYS[group.last][:3].lower()
    return first if first == last else f"{first}-{last}"
