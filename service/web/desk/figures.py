"""Figures for the owner and the clinicians: what became of the e-mails, and how soon worried clients were spoken to.

Small numbers are hidden: a page that is shown around must not tell of one person.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, time, timedelta
from statistics import median

from service.domain.schedule import instant, local_day
from service.store import fates
from service.store.fates import Fate
from service.store.figures import Span
from service.web.desk.visit import Answer, Page, Route, Visit

WEEKS = 12
#: Heading of a column and, for the words under the table, what it counts.
_COLUMNS = {
    Fate.ACCEPTED: ("Accepted", "accepted by the next server, no bounce in 72 h"),
    Fate.CAME_BACK: ("Came back", "refused by their mail server, or returned within 72 hours"),
    Fate.MISSED: ("Missed", "its time was over before it could go out"),
    Fate.STOPPED: ("Stopped", "the client wanted no more e-mails"),
    Fate.OTHER: ("Other", "called off for another reason, like a corrected day, or never confirmed"),
    Fate.OPEN: ("Not settled", "it waits, or the 72 hours are not over"),
}
#: Week -> day of the step -> numbers.
_Weeks = dict[date, dict[int, Counter[Fate]]]


def _figures(visit: Visit) -> Answer:
    weeks, answers = _read(visit)
    days = sorted({day for by_day in weeks.values() for day in by_day})
    asked = visit.query.get("day", "")
    chosen = [day for day in days if str(day) == asked] or days
    by_week = {
        monday: sum((by_day.get(day, Counter()) for day in chosen), Counter()) for monday, by_day in weeks.items()
    }
    by_day = {day: sum((one.get(day, Counter()) for one in weeks.values()), Counter()) for day in days}
    said = {
        "columns": _COLUMNS,
        "by_week": by_week,
        "by_day": by_day,
        "days": days,
        "chosen": chosen[0] if chosen != days else None,
        "answers": answers,
        "minutes": _minutes(answers.waits),
        "weeks": WEEKS,
    }
    return Page("figures.html", {**said, "total": sum(by_week.values(), Counter())})


def _read(visit: Visit) -> tuple[_Weeks, fates.Answered]:
    """The weeks from Monday on in the clinic's zone, the running one only until now."""
    today, zone = local_day(visit.now, visit.clinic.zone), visit.clinic.zone
    this_week = today - timedelta(days=today.weekday())
    mondays = [this_week - timedelta(weeks=number) for number in range(WEEKS - 1, -1, -1)]
    begins = [instant(monday, time(), zone) for monday in mondays]
    ends = [*begins[1:], visit.now]
    clinic_id = visit.clinic.id
    with visit.store.read() as connection:
        weeks = {
            monday: fates.fates(connection, clinic_id, Span(since, until), visit.now)
            for monday, since, until in zip(mondays, begins, ends, strict=True)
        }
        return weeks, fates.answered(connection, clinic_id, Span(begins[0], visit.now))


def _minutes(waits: list[timedelta]) -> int | None:
    """The middle one in whole minutes; None without any."""
    return round(median(wait.total_seconds() for wait in waits) / 60) if waits else None


ROUTES = (Route("GET", "/figures", _figures),)
