"""A plan as the desk reads it: day, time, and what becomes of each e-mail, in words. For plans to come and for rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from service.domain.hours import WEEKDAYS
from service.domain.plain import reason
from service.domain.reminder import Reason, State
from service.domain.schedule import Entry, local_day
from service.web.desk.visit import Visit
from service.web.desk.words import moment, state_words

_WEEKEND = 5


class Line(NamedTuple):
    """One e-mail of a plan. kind: of the badge. note: a sentence, or nothing."""

    day: int
    due_at: datetime
    words: str
    kind: str
    note: str


def foreseen_lines(visit: Visit, steps: Iterable[Entry], *, call: bool = False) -> list[Line]:
    """What is not saved yet. call: somebody is to phone about what comes too late."""
    return [_line(visit, (one.day, one.due_at, one.useful_until, one.state, one.reason), call) for one in steps]


def stored_lines(visit: Visit, rows: Iterable[Any]) -> list[Line]:
    """Read back from the rows."""
    names = ("day", "due_at", "useful_until", "state", "reason")
    return [_line(visit, tuple(row[name] for name in names), False) for row in rows]


def _line(visit: Visit, step: tuple[Any, ...], call: bool) -> Line:
    day, due_at, useful_until, state, why = step
    if state == State.PLANNED:
        note = _closed(visit, max(due_at, visit.now))
        if due_at <= visit.now:
            note = f"It comes late, and is still right until {moment(visit, useful_until)}. {note}".strip()
            return Line(day, due_at, "goes out now", "wait", note)
        return Line(day, due_at, "will go out", "wait", note)
    if state == State.MISSED and why == Reason.REGISTERED_LATE:
        return Line(day, due_at, "too late: will not go out", "act" if call else "past", "It would no longer be right.")
    words, kind = state_words(state)
    return Line(day, due_at, words, kind, f"{reason(why).capitalize()}." if why else "")


def _closed(visit: Visit, at: datetime) -> str:
    """What an e-mail does on a day on which nobody is there."""
    day = local_day(at, visit.clinic.zone)
    if not visit.clinic.is_closed_on(day):
        return ""
    which = "the weekend number" if day.weekday() >= _WEEKEND else "the number for closed days"
    return f"{WEEKDAYS[day.weekday()]} is outside opening hours: the e-mail carries {which}."
