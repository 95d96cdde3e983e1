"""What became of one clinic's reminders and check-ins in a span of time, counted for the page of figures. Reads only.

No opens, no clicks: nothing of the kind is known here.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from service.domain.reminder import OPEN, Reason, State
from service.store.calls import RED_WITHIN
from service.store.check_ins import CORRECTED_WITHIN
from service.store.figures import Span
from service.store.later import later
from service.store.tables import Kind, calls, check_ins, emails

#: What has not come back for so long counts as accepted.
SETTLED_AFTER = timedelta(hours=72)


class Fate(StrEnum):
    """Each reminder has exactly one."""

    ACCEPTED = "accepted"  # by the next server, no bounce in SETTLED_AFTER
    CAME_BACK = "came back"  # refused, or bounced in SETTLED_AFTER
    MISSED = "missed"
    STOPPED = "stopped"  # the client wants no more
    OTHER = "other"  # called off for another reason, or never confirmed
    OPEN = "open"  # not handed over yet, or SETTLED_AFTER is not over


def fates(connection: sa.Connection, clinic_id: int, span: Span, now: datetime) -> dict[int, Counter[Fate]]:
    """Day of the step -> its reminders that fell due in the span, by what is known of them now."""
    state, sent_at, bounced_at = emails.c.state, emails.c.sent_at, emails.c.bounced_at
    soon = sent_at.is_(None) | (bounced_at <= later(sent_at, SETTLED_AFTER))
    fate = sa.case(
        ((state == State.FAILED) | (bounced_at.is_not(None) & soon), Fate.CAME_BACK),
        ((state == State.SENT) & (sent_at <= now - SETTLED_AFTER), Fate.ACCEPTED),
        (state == State.MISSED, Fate.MISSED),
        ((state == State.CANCELLED) & (emails.c.reason == Reason.STOPPED), Fate.STOPPED),
        (state.in_([State.SENT, *OPEN]), Fate.OPEN),
        else_=Fate.OTHER,
    )
    mine = (emails.c.clinic_id == clinic_id) & (emails.c.kind == Kind.REMINDER)
    in_span = (emails.c.due_at >= span.since) & (emails.c.due_at < span.until)
    query = sa.select(emails.c.day, fate.label("fate"), sa.func.count()).where(mine, in_span).group_by("day", "fate")
    found: dict[int, Counter[Fate]] = {}
    for day, name, number in connection.execute(query):
        found.setdefault(day, Counter())[Fate(name)] += number
    return found


class Answered(NamedTuple):
    """Check-ins of a span. red: those that want a call today or sooner. An answer that was corrected does not count.

    waits: of each red one whose call has its outcome, the time between the two.
    """

    all: int
    red: int
    waits: list[timedelta]


def answered(connection: sa.Connection, clinic_id: int, span: Span) -> Answered:
    """What one clinic's clients answered in a span, and how soon somebody spoke to those who worried."""
    newer = check_ins.alias("newer")
    after = (newer.c.treatment_id == check_ins.c.treatment_id) & (newer.c.id > check_ins.c.id)
    after &= newer.c.answered_at <= later(check_ins.c.answered_at, CORRECTED_WITHIN)
    corrected = sa.select(newer.c.id).where(after).exists()
    in_span = (check_ins.c.answered_at >= span.since) & (check_ins.c.answered_at < span.until)
    ended_at = sa.case((calls.c.outcome.is_not(None), calls.c.closed_at))
    query = (
        sa.select(check_ins.c.level, check_ins.c.answered_at, ended_at.label("ended_at"))
        .select_from(check_ins.outerjoin(calls, calls.c.id == check_ins.c.call_id))
        .where(check_ins.c.clinic_id == clinic_id, in_span, ~corrected)
    )
    rows = connection.execute(query).all()
    red = [row for row in rows if row.level in RED_WITHIN]
    waits = [row.ended_at - row.answered_at for row in red if row.ended_at is not None]
    return Answered(len(rows), len(red), waits)
