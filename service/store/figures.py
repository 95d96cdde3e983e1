"""What one clinic's outbox did in a span of time and what it will do, in numbers, for the morning digest.

Reads only, once a day and clinic; a span of due times is found by the index on due_at. What the metrics
ask every few seconds stands in gauges.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store.calls import UNDONE
from service.store.later import later
from service.store.outages import IN_TIME
from service.store.tables import WAITING, Kind, calls, emails, outages

#: Ids that a report names at most.
SHOWN = 20
_CHUNK = 1000
_NOTES = (Kind.REMINDER, Kind.CATCH_UP)
_GOING = (State.PLANNED, State.CLAIMED, State.SENDING, State.IN_DOUBT)
_maybe_out = emails.c.state.in_([State.SENDING, State.IN_DOUBT, State.UNCONFIRMED, State.SENT])
# As text, like the condition of the partial index.
_waiting = sa.text(WAITING)
_open_call = calls.c.state == sa.literal_column("'open'")
#: Registered when its hour was over already, a step falls due at once. not_before is no measure: every try moves it.
fell_due_at = sa.case((emails.c.planned_at > emails.c.due_at, emails.c.planned_at), else_=emails.c.due_at)


@dataclass(frozen=True, slots=True)
class Span:
    """Instants from `since` on and before `until`."""

    since: datetime
    until: datetime


class FellDue(NamedTuple):
    """Reminders whose due_at lies in a span, by what became of them; `due` is the sum of the seven states after it.

    on_time: sent within a minute of falling due. waiting: planned, claimed, being sent or in doubt.
    registered_late: of the missed, those whose time was over when they were registered. came_back: of those sent.
    """

    due: int
    on_time: int
    late: int
    missed: int
    cancelled: int
    failed: int
    unconfirmed: int
    held: int
    waiting: int
    registered_late: int
    came_back: int


def fell_due(connection: sa.Connection, clinic_id: int, span: Span) -> FellDue:
    """How one clinic's reminders of a span stand now."""
    state, sent = emails.c.state, emails.c.state == State.SENT
    on_time = emails.c.sent_at <= later(fell_due_at, IN_TIME)
    which = [
        sent & on_time,
        sent & ~on_time,
        *(state == one for one in (State.MISSED, State.CANCELLED, State.FAILED, State.UNCONFIRMED, State.HELD)),
        state.in_(_GOING),
        (state == State.MISSED) & (emails.c.reason == Reason.REGISTERED_LATE),
        sent & emails.c.bounced_at.is_not(None),
    ]
    query = sa.select(sa.func.count(), *(sa.func.count().filter(one) for one in which))
    return FellDue._make(connection.execute(query.where(*_due_in(clinic_id, span))).one())


def _due_in(clinic_id: int, span: Span) -> tuple[sa.ColumnElement[bool], ...]:
    of_clinic = emails.c.clinic_id == clinic_id
    return of_clinic, emails.c.due_at >= span.since, emails.c.due_at < span.until, emails.c.kind == Kind.REMINDER


class Missed(NamedTuple):
    """A reminder past its shelf life. call: the state of its call, UNDONE if there is nobody to call, None without one.

    note_sent, note_going: whether a catch-up note for its client went out after it, or is on its way.
    """

    id: int
    treatment_id: int
    protocol: str
    step: str
    call: str | None
    note_sent: bool
    note_going: bool


def missed(connection: sa.Connection, clinic_id: int, span: Span) -> list[Missed]:
    """One clinic's reminders of a span that expired; not those whose time was over when they were registered."""
    note = emails.alias("note")
    its = (note.c.client_id == emails.c.client_id) & (note.c.kind == Kind.CATCH_UP) & note.c.replaced_at.is_(None)
    its &= note.c.planned_at >= emails.c.useful_until
    sent = sa.select(sa.literal(1)).where(its, note.c.state == State.SENT).exists()
    going = sa.select(sa.literal(1)).where(its, note.c.state.in_(_GOING)).exists()
    row = (emails.c.id, emails.c.treatment_id, emails.c.protocol, emails.c.step)
    call = sa.case((calls.c.outcome == UNDONE, UNDONE), else_=calls.c.state)
    in_time = sa.func.coalesce(emails.c.reason, "") != Reason.REGISTERED_LATE
    query = (
        sa.select(*row, call, sent, going)
        .select_from(emails.outerjoin(calls, calls.c.email_id == emails.c.id))
        .where(*_due_in(clinic_id, span), emails.c.state == State.MISSED, in_time)
        .order_by(emails.c.id)
    )
    return [Missed._make(found) for found in connection.execute(query)]


class OpenCall(NamedTuple):
    """A call to make. The last four are its e-mail's, None where it has none: the treatment, its step, its state."""

    reason: str
    due_at: datetime
    email_id: int | None
    treatment_id: int | None
    protocol: str | None
    step: str | None
    state: str | None


def open_calls(connection: sa.Connection, clinic_id: int) -> list[OpenCall]:
    """One clinic's open calls by deadline."""
    row = (emails.c.treatment_id, emails.c.protocol, emails.c.step, emails.c.state)
    query = (
        sa.select(calls.c.reason, calls.c.due_at, calls.c.email_id, *row)
        .select_from(calls.outerjoin(emails, emails.c.id == calls.c.email_id))
        .where(_open_call, calls.c.clinic_id == clinic_id)
        .order_by(calls.c.due_at, calls.c.id)
    )
    return [OpenCall._make(found) for found in connection.execute(query)]


def steps_on_their_way(
    connection: sa.Connection, treatment_ids: Sequence[int], before: datetime
) -> dict[tuple[int, str], datetime]:
    """(treatment, step) -> due_at of its reminders that are planned for before an instant, or being sent now."""
    found: dict[tuple[int, str], datetime] = {}
    for some in _chunks(sorted(set(treatment_ids))):
        query = sa.select(emails.c.treatment_id, emails.c.step, emails.c.due_at).where(
            emails.c.treatment_id.in_(some),
            emails.c.kind == Kind.REMINDER,
            emails.c.state.in_(_GOING),
            emails.c.due_at < before,
        )
        found |= {(row.treatment_id, row.step): row.due_at for row in connection.execute(query)}
    return found


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    yield from (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def to_go(connection: sa.Connection, clinic_id: int, now: datetime, before: datetime) -> tuple[int, datetime | None]:
    """How many of one clinic's reminders and catch-up notes may still go out before an instant, and the first hour."""
    query = sa.select(sa.func.count(), sa.func.min(emails.c.not_before)).where(
        _waiting,
        emails.c.not_before < before,
        emails.c.useful_until > now,
        emails.c.clinic_id == clinic_id,
        emails.c.kind.in_(_NOTES),
    )
    number, first = connection.execute(query).one()
    return number, first


def out_of_date(connection: sa.Connection, clinic_id: int, since: datetime) -> list[int]:
    """Ids of what was handed over since an instant before its hour or after its shelf life; at most SHOWN."""
    outside = (emails.c.marked_at < emails.c.due_at) | (emails.c.marked_at >= emails.c.useful_until)
    return _handed_over(connection, clinic_id, since, outside)


def twice(connection: sa.Connection, clinic_id: int, since: datetime) -> list[int]:
    """Ids of what may have reached its client twice since an instant: repeated in doubt, or a step that has two."""
    other = emails.alias("other")
    same = (other.c.treatment_id == emails.c.treatment_id) & (other.c.step == emails.c.step)
    also_out = same & (other.c.id != emails.c.id) & (other.c.marked_at >= since) & (other.c.state == State.SENT)
    two = sa.select(sa.literal(1)).where(also_out).exists()
    return _handed_over(connection, clinic_id, since, (emails.c.doubt_retries > 0) | two)


def _handed_over(
    connection: sa.Connection, clinic_id: int, since: datetime, wrong: sa.ColumnElement[bool]
) -> list[int]:
    query = sa.select(emails.c.id).where(emails.c.marked_at >= since, emails.c.clinic_id == clinic_id, _maybe_out)
    # By the index's order: asked for the lowest ids, SQLite would read the table from its beginning.
    return sorted(connection.execute(query.where(wrong).order_by(emails.c.marked_at).limit(SHOWN)).scalars())


class Gap(NamedTuple):
    """A time in which nothing could be sent. ended_at None: it goes on."""

    kind: str
    began_at: datetime
    ended_at: datetime | None


def gaps(connection: sa.Connection, span: Span) -> list[Gap]:
    """The outages that touch a span, by their beginning."""
    touches = (outages.c.ended_at.is_(None) | (outages.c.ended_at > span.since)) & (outages.c.began_at < span.until)
    row = (outages.c.kind, outages.c.began_at, outages.c.ended_at)
    return [Gap._make(found) for found in connection.execute(sa.select(*row).where(touches).order_by(row[1]))]
