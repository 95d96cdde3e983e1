"""Whom we still owe a catch-up note: a step was missed for our own reasons and nothing has made up for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store.tables import Kind, calls, clients, emails, treatments

#: On their way, or perhaps there already: such a step covers a catch-up note. A held one may never go.
_GOING = (State.PLANNED, State.CLAIMED, State.SENDING, State.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Owed:
    """A treatment with a step missed for our own reasons that nobody has made up for yet."""

    clinic_id: int
    client_id: int
    treatment_id: int
    protocol: str
    treated_on: date
    language: str
    missed_due_at: datetime
    next_due: datetime | None


def owed_catch_ups(
    connection: sa.Connection, now: datetime, within: timedelta, whose: Sequence[int] | None = None
) -> list[Owed]:
    """Treatments whose missed step has an open call and no later e-mail, planned or gone, that makes up for it.

    Found through the open calls, which are few; a person who has called has done what the note would do. Newest
    treatment first: an outage owes a client one note, whatever was missed. whose: of these clients alone.
    """
    found_by = (
        emails.c.clinic_id,
        emails.c.client_id,
        emails.c.treatment_id,
        treatments.c.protocol,
        treatments.c.treated_on,
        clients.c.language,
    )
    # Not "restored": that one may have reached the client before the restore.
    our_fault = emails.c.reason.in_([Reason.TOO_LATE, Reason.UNAPPROVED, Reason.RENDER_ERROR])
    rows = connection.execute(
        sa.select(*found_by, sa.func.max(emails.c.due_at), _next_due())
        .select_from(calls.join(emails, emails.c.id == calls.c.email_id))
        .join(treatments, treatments.c.id == emails.c.treatment_id)
        .join(clients, clients.c.id == emails.c.client_id)
        .where(
            calls.c.state == sa.literal_column("'open'"),
            emails.c.state == State.MISSED,
            our_fault,
            emails.c.useful_until > now - within,
            emails.c.replaced_at.is_(None),
            treatments.c.cancelled_at.is_(None),
            clients.c.stopped_at.is_(None) & clients.c.paused_at.is_(None) & clients.c.erased_at.is_(None),
            ~_made_up(),
            sa.true() if whose is None else emails.c.client_id.in_(whose),
        )
        .group_by(*found_by)
        .order_by(treatments.c.treated_on.desc(), emails.c.treatment_id.desc())
    )
    return [Owed(*row) for row in rows]


_newer = emails.alias("newer")
# The client adds nothing but its index.
_of_the_client = _newer.c.client_id == emails.c.client_id
_of_the_treatment = _of_the_client & (_newer.c.treatment_id == emails.c.treatment_id)


def _made_up() -> sa.Exists:
    note = (_newer.c.kind == Kind.CATCH_UP) & (_newer.c.planned_at >= emails.c.useful_until)
    note &= _newer.c.state.not_in([State.MISSED, State.CANCELLED])
    step = (_newer.c.kind == Kind.REMINDER) & (_newer.c.state == State.SENT) & (_newer.c.due_at > emails.c.due_at)
    made_up = _of_the_client & _newer.c.replaced_at.is_(None) & sa.or_(note, step & _of_the_treatment)
    return sa.select(sa.literal(1)).where(made_up).exists()


def _next_due() -> sa.ScalarSelect[datetime | None]:
    going = _newer.c.state.in_(_GOING)
    return sa.select(sa.func.min(_newer.c.due_at)).where(_of_the_treatment, going).scalar_subquery()


def has_step(connection: sa.Connection, treatment_id: int, step: str) -> bool:
    """Whether a row stands for this step of a treatment: one that is neither cancelled nor replaced (P6)."""
    stands = (emails.c.state != sa.literal_column("'cancelled'")) & emails.c.replaced_at.is_(None)
    query = sa.select(emails.c.id).where(emails.c.treatment_id == treatment_id, emails.c.step == step, stands)
    return connection.execute(query).first() is not None
