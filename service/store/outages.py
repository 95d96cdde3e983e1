"""Outages: when nothing could be sent, and what that did to the reminders that fell due meanwhile.

An outage concerns every clinic; whom it touched is asked for one clinic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.domain.reminder import OPEN, Reason, State
from service.errors import NotFound
from service.store.engine import Instant
from service.store.tables import Kind, calls, clients, emails, outages
from service.store.watch import insert_into

#: A reminder that goes out within this time after it fell due was not late.
IN_TIME = timedelta(seconds=60)
#: A catch-up note makes up for a step missed at most this long before.
MADE_UP_WITHIN = timedelta(days=21)


@dataclass(frozen=True, slots=True)
class Outage:
    """When nothing could be sent. kind: down (nobody worked) or relay. ended_at None: it goes on."""

    id: int
    began_at: datetime
    ended_at: datetime | None
    kind: str
    cause: str
    note: str | None


_OUTAGE = [outages.c[name] for name in Outage.__dataclass_fields__]


def open_outage(connection: sa.Connection, kind: str, began_at: datetime, cause: str) -> None:
    """Begin an outage, unless one of this kind goes on already."""
    new = insert_into(connection, outages).values(kind=kind, began_at=began_at, cause=cause[:300])
    connection.execute(new.on_conflict_do_nothing())


def close_outage(connection: sa.Connection, kind: str, now: datetime) -> None:
    going_on = (outages.c.kind == kind) & outages.c.ended_at.is_(None)
    connection.execute(sa.update(outages).where(going_on).values(ended_at=now))


def note_past(connection: sa.Connection, kind: str, span: tuple[datetime, datetime], cause: str) -> None:
    """An outage that is over. span: when it began and ended."""
    open_outage(connection, kind, span[0], cause)
    close_outage(connection, kind, span[1])


def current_outage(connection: sa.Connection, kind: str) -> Outage | None:
    going_on = (outages.c.kind == kind) & outages.c.ended_at.is_(None)
    row = connection.execute(sa.select(*_OUTAGE).where(going_on)).one_or_none()
    return Outage(*row) if row else None


def note_outage(connection: sa.Connection, outage_id: int, note: str) -> Outage:
    """Keep what people know about an outage; a new note replaces the old one. Raises NotFound."""
    mine = outages.c.id == outage_id
    row = connection.execute(sa.update(outages).where(mine).values(note=note).returning(*_OUTAGE)).one_or_none()
    if row is None:
        raise NotFound(f"there is no outage {outage_id}", field="outage", next_step="See `aftercare outages`.")
    return Outage(*row)


def sent_since(connection: sa.Connection, since: datetime, now: datetime) -> bool:
    """Whether a mail begun after `since` went out, whoever sent it. One that is dated ahead of `now` proves nothing."""
    begun = emails.c.marked_at > since, emails.c.marked_at <= now
    sent = sa.select(emails.c.id).where(*begun, emails.c.state == State.SENT)
    return connection.execute(sent.limit(1)).first() is not None


@dataclass(frozen=True, slots=True)
class Touched:
    """A reminder that fell due in an outage and did not go out in time.

    fate: late (sent, but late), missed, failed, cancelled, unconfirmed, or open. replaced: missed, and a catch-up note
    makes up for it.
    """

    client_id: int
    email_id: int
    step: str
    due_at: datetime
    state: str
    reason: str | None
    sent_at: datetime | None
    fate: str
    replaced: bool


@dataclass(frozen=True, slots=True)
class Story:
    """An outage, and one clinic's reminders that it touched, by due time."""

    outage: Outage
    touched: list[Touched] = field(default_factory=list)

    @property
    def figures(self) -> Counter[str]:
        """How many by fate; touched: all of them; replaced: those of the missed that a catch-up note makes up for."""
        fates = Counter(one.fate for one in self.touched)
        return fates + Counter(touched=len(self.touched), replaced=sum(one.replaced for one in self.touched))


def stories(connection: sa.Connection, clinic_id: int, now: datetime) -> list[Story]:
    """Every outage in the order they began, with what it did to this clinic's reminders up to `now`."""
    found = connection.execute(sa.select(*_OUTAGE).order_by(outages.c.began_at, outages.c.id))
    told = {row.id: Story(Outage(*row)) for row in found}
    for row in connection.execute(_fell_due(clinic_id, now)):
        story = told[row.outage_id]
        fate = _fate(row, story.outage.ended_at)
        if fate is not None:
            made_up = row.state == State.MISSED and row.note_at is not None
            replaced = made_up and row.note_at < row.useful_until + MADE_UP_WITHIN
            shown = (row.client_id, row.id, row.step, row.due_at, row.state, row.reason, row.sent_at)
            story.touched.append(Touched(*shown, fate, replaced))
    return list(told.values())


class Person(NamedTuple):
    """Whom an outage touched. phone: "" for none. call_id: of the first open call to them, None without one."""

    name: str
    phone: str
    call_id: int | None


def people(connection: sa.Connection, clinic_id: int, client_ids: Collection[int]) -> dict[int, Person]:
    """These clients of one clinic by id."""
    whose = (calls.c.client_id == clients.c.id) & (calls.c.clinic_id == clinic_id)
    is_open = calls.c.state == sa.literal_column("'open'")
    call = sa.select(sa.func.min(calls.c.id)).where(whose, is_open).scalar_subquery()
    mine = (clients.c.clinic_id == clinic_id) & clients.c.id.in_(sorted(set(client_ids)))
    query = sa.select(clients.c.id, clients.c.name, clients.c.phone, call.label("call_id")).where(mine)
    return {row.id: Person(row.name, row.phone, row.call_id) for row in connection.execute(query)}


#: Registered when its hour was over already, a step falls due at once.
_fell_due_at = sa.case((emails.c.planned_at > emails.c.due_at, emails.c.planned_at), else_=emails.c.due_at)


def _fell_due(clinic_id: int, now: datetime) -> sa.Select[*tuple[Any, ...]]:
    note = emails.alias("note")
    is_note = (note.c.client_id == emails.c.client_id) & (note.c.kind == Kind.CATCH_UP) & note.c.replaced_at.is_(None)
    goes = note.c.state.not_in([State.MISSED, State.CANCELLED]) & (note.c.planned_at >= emails.c.useful_until)
    note_at = sa.select(sa.func.min(note.c.planned_at)).where(is_note, goes).scalar_subquery().label("note_at")
    until = sa.func.coalesce(outages.c.ended_at, sa.literal(now, Instant))
    return (
        sa.select(emails, outages.c.id.label("outage_id"), _fell_due_at.label("fell_due_at"), note_at)
        .join(outages, _fell_due_at.between(outages.c.began_at, until))
        .where(emails.c.clinic_id == clinic_id, emails.c.kind == Kind.REMINDER)
        .where(sa.func.coalesce(emails.c.reason, "") != Reason.REGISTERED_LATE)
        .order_by(emails.c.due_at, emails.c.id)
    )


def _fate(row: Any, ended_at: datetime | None) -> str | None:
    """What became of a reminder that fell due in an outage; None: the outage did nothing to it."""
    if row.state == State.SENT:
        after = ended_at is not None and row.sent_at > ended_at
        return "late" if after or row.sent_at > row.fell_due_at + IN_TIME else None
    if row.state in OPEN:
        return "open"
    called_off = row.state == State.CANCELLED and row.ended_at is not None and row.ended_at < row.fell_due_at
    return None if called_off else str(row.state)
