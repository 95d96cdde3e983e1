"""The promises that a query can test, over the live database: each with the ids that break it.

Reads only. A promise that the database itself enforces is asked again: constraints can be dropped by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.domain.reminder import FINAL, OPEN, Reason, State
from service.store import audit
from service.store.tables import Kind, attempts, calls, clients, clinics, emails, treatments

SHOWN = 20
#: A row may wait this long for the next round before somebody should look at the daemon.
WAITS_AT_MOST = timedelta(minutes=10)
MISSED_CALL_DAYS = 10


@dataclass(frozen=True)
class Finding:
    """One promise asked. ids: those that break it, at most SHOWN. grave: red if broken, else yellow."""

    name: str
    promise: str
    ids: Sequence[int]
    next_step: str
    grave: bool = True


Question = Callable[[sa.Connection, datetime], Sequence[int]]


def _ids(query: sa.Select[int]) -> Question:
    return lambda connection, _: connection.execute(query.limit(SHOWN)).scalars().all()


def _sent_outside_its_window() -> sa.Select[int]:
    marked = emails.c.marked_at.is_not(None)
    outside = (emails.c.marked_at < emails.c.due_at) | (emails.c.marked_at >= emails.c.useful_until)
    return sa.select(emails.c.id).where(emails.c.state == State.SENT, marked, outside)


def _sent_against_a_wish() -> sa.Select[int]:
    against = sa.or_(
        emails.c.marked_at > clients.c.stopped_at,
        emails.c.marked_at > clients.c.erased_at,
        emails.c.marked_at > treatments.c.cancelled_at,
    )
    return (
        sa.select(emails.c.id)
        .select_from(emails.join(clients, clients.c.id == emails.c.client_id))
        .outerjoin(treatments, treatments.c.id == emails.c.treatment_id)
        .where(emails.c.state == State.SENT, against)
    )


def _too_many_copies() -> sa.Select[int]:
    sent = sa.select(attempts.c.email_id).where(attempts.c.outcome == State.SENT).group_by(attempts.c.email_id)
    return sa.select(emails.c.id).where(
        sa.or_(emails.c.doubt_retries > 1, emails.c.id.in_(sent.having(sa.func.count() > 2)))
    )


def _doubt_not_listed() -> sa.Select[int]:
    return sa.select(emails.c.id).where(emails.c.doubt_retries > 0, emails.c.doubt_since.is_(None))


def _without_a_call(connection: sa.Connection, _: datetime) -> Sequence[int]:
    lost = emails.c.state.in_([State.FAILED, State.MISSED, State.UNCONFIRMED])
    called = sa.select(calls.c.email_id).where(calls.c.email_id == emails.c.id).exists()
    late = emails.c.reason == Reason.REGISTERED_LATE  # one call a client, and only for a fresh treatment
    query = sa.select(emails.c.id).where(
        emails.c.kind == Kind.REMINDER, lost, sa.not_(sa.func.coalesce(late, sa.false()))
    )
    return connection.execute(query.where(~called).limit(SHOWN)).scalars().all()


def _no_known_state() -> sa.Select[int]:
    return sa.select(emails.c.id).where(emails.c.state.not_in([*OPEN, *FINAL]))


def _two_for_one_step() -> sa.Select[int]:
    counted = (emails.c.state != State.CANCELLED) & emails.c.replaced_at.is_(None) & emails.c.treatment_id.is_not(None)
    return (
        sa.select(sa.func.max(emails.c.id))
        .where(counted)
        .group_by(emails.c.treatment_id, emails.c.step)
        .having(sa.func.count() > 1)
    )


def _contradicting() -> sa.Select[int]:
    """Open e-mails of a treatment although a newer one of the same area stands."""
    newer = treatments.alias("newer")
    replaced = (
        sa.select(sa.literal(1))
        .where(
            newer.c.client_id == treatments.c.client_id,
            newer.c.area == treatments.c.area,
            newer.c.cancelled_at.is_(None),
            sa.or_(
                newer.c.treated_on > treatments.c.treated_on,
                sa.and_(newer.c.treated_on == treatments.c.treated_on, newer.c.id > treatments.c.id),
            ),
        )
        .exists()
    )
    open_ = emails.c.state.in_([State.PLANNED, State.CLAIMED, State.HELD])
    return (
        sa.select(emails.c.id)
        .select_from(emails.join(treatments, treatments.c.id == emails.c.treatment_id))
        .where(open_, replaced)
    )


def _across_clinics() -> sa.Select[int]:
    foreign = (emails.c.clinic_id != clients.c.clinic_id) | (treatments.c.clinic_id != emails.c.clinic_id)
    return (
        sa.select(emails.c.id)
        .select_from(emails.join(clients, clients.c.id == emails.c.client_id))
        .outerjoin(treatments, treatments.c.id == emails.c.treatment_id)
        .where(foreign)
    )


def _sent_without_evidence() -> sa.Select[int]:
    evidence = sa.select(sa.literal(1)).where(attempts.c.email_id == emails.c.id, attempts.c.outcome == State.SENT)
    return sa.select(emails.c.id).where(emails.c.state == State.SENT, ~evidence.exists())


def _overdue(connection: sa.Connection, now: datetime) -> Sequence[int]:
    waiting = emails.c.state.in_([State.PLANNED, State.IN_DOUBT]) & (emails.c.not_before < now - WAITS_AT_MOST)
    return connection.execute(sa.select(emails.c.id).where(waiting).limit(SHOWN)).scalars().all()


def _broken_audit(connection: sa.Connection, _: datetime) -> Sequence[int]:
    every = connection.execute(sa.select(clinics.c.id)).scalars().all()
    return [line for clinic_id in every for line in audit.broken_links(connection, clinic_id)][:SHOWN]


_LOOK = "Look at them with `aftercare attempts --email ID` and tell whoever changed the database by hand."
PROMISES: tuple[tuple[str, str, Question, str], ...] = (
    ("P1 window", "Sent only between its hour and the end of its shelf life", _ids(_sent_outside_its_window()), _LOOK),
    ("P1 wishes", "Nothing sent after a stop, an erasure or a cancellation", _ids(_sent_against_a_wish()), _LOOK),
    ("P2 copies", "At most one repeat of an e-mail in doubt", _ids(_too_many_copies()), _LOOK),
    ("P2 listed", "Every repeat is listed as in doubt", _ids(_doubt_not_listed()), _LOOK),
    ("P3 states", "Every e-mail is in one of the known states", _ids(_no_known_state()), _LOOK),
    ("P3 calls", "Every failed, missed or unconfirmed reminder has a call", _without_a_call, "Phone these clients."),
    ("P3 evidence", "Every sent e-mail has the relay's answer on record", _ids(_sent_without_evidence()), _LOOK),
    ("P6 once", "One e-mail for each step of a treatment", _ids(_two_for_one_step()), _LOOK),
    ("P7 one voice", "Nothing open of a treatment that a newer one replaced", _ids(_contradicting()), _LOOK),
    ("P9 clinics", "No e-mail mixes two clinics", _ids(_across_clinics()), _LOOK),
    ("audit", "The audit's chain is unbroken", _broken_audit, "Compare with a backup: lines were changed."),
)
ON_TIME = ("on time", "Nothing waits longer than 10 minutes", _overdue, "Is a worker running? See its log.")


def ask_all(connection: sa.Connection, now: datetime) -> list[Finding]:
    """Every promise with the ids that break it now; the last, on time, is a warning only."""
    return [
        Finding(name, promise, question(connection, now), next_step, grave=question is not _overdue)
        for name, promise, question, next_step in (*PROMISES, ON_TIME)
    ]
