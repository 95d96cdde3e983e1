"""The outbox: plan, list what is due, claim, end. One row is one e-mail that should go out.

Refuses to know SMTP or rules: it moves rows by what domain/reminder.py decided. `now` is business time; leases run on
the database's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store.calls import open_calls
from service.store.engine import database_clock
from service.store.tables import WAITING, Kind, clients, emails, shared_facts, treatments

Condition = sa.ColumnElement[bool]

# As text: SQLite has no booleans, so a boolean column expression would become `… = 1`, which no partial index serves.
_waiting = sa.text(WAITING)


class ClaimedEmail(NamedTuple):
    """A row this worker holds, with what is needed to write and address it.

    facts and shared_facts together, dated, digest: set if a copy may be out.
    """

    id: int
    clinic_id: int
    client_id: int
    treatment_id: int | None
    kind: str
    protocol: str | None
    step: str | None
    day: int | None
    language: str
    due_at: datetime
    useful_until: datetime
    planned_at: datetime
    attempts: int
    doubt_retries: int
    doubt_since: datetime | None
    message_id: str | None
    text_id: int | None
    facts: str | None
    shared_id: str | None
    shared_facts: str | None
    dated: str | None
    digest: str | None
    claimed_at: datetime
    client_name: str
    address: str
    treated_on: date | None
    token: str

    @property
    def in_doubt(self) -> bool:
        return self.doubt_since is not None


_CLAIMED_COLUMNS = (
    emails.c.id,
    emails.c.clinic_id,
    emails.c.client_id,
    emails.c.treatment_id,
    emails.c.kind,
    emails.c.protocol,
    emails.c.step,
    emails.c.day,
    emails.c.language,
    emails.c.due_at,
    emails.c.useful_until,
    emails.c.planned_at,
    emails.c.attempts,
    emails.c.doubt_retries,
    emails.c.doubt_since,
    emails.c.message_id,
    emails.c.text_id,
    emails.c.facts,
    emails.c.shared_id,
    shared_facts.c.facts.label("shared_facts"),
    emails.c.dated,
    emails.c.digest,
    emails.c.claimed_at,
    clients.c.name,
    clients.c.email,
    treatments.c.treated_on,
    emails.c.lease_token,
)
_WITH_CLIENT = (
    emails.join(clients, clients.c.id == emails.c.client_id)
    .outerjoin(treatments, treatments.c.id == emails.c.treatment_id)
    .outerjoin(shared_facts, shared_facts.c.id == emails.c.shared_id)
)


def add(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert outbox rows; the unique index refuses a second row for a treatment's step (P6)."""
    if rows:
        connection.execute(sa.insert(emails), rows)


def due_ids(connection: sa.Connection, now: datetime, limit: int) -> list[int]:
    """Ids of what may go out at `now`, the soonest end of shelf life first."""
    due = (
        sa.select(emails.c.id)
        .where(_waiting, emails.c.not_before <= now, emails.c.useful_until > now)
        .order_by(emails.c.useful_until, emails.c.id)
        .limit(limit)
    )
    return list(connection.execute(due).scalars())


def next_due(connection: sa.Connection) -> tuple[datetime, int] | None:
    """When the next e-mail of any clinic may go out, and its clinic's id."""
    soonest = sa.select(emails.c.not_before, emails.c.clinic_id).where(_waiting).order_by(emails.c.not_before).limit(1)
    row = connection.execute(soonest).first()
    return (row.not_before, row.clinic_id) if row else None


@dataclass(frozen=True)
class Lease:
    """Whose claim it is: the worker's name, a token fresh for each claim, and how many seconds it lasts."""

    worker: str
    token: str
    seconds: int


def claim(connection: sa.Connection, ids: Sequence[int], lease: Lease, now: datetime) -> list[ClaimedEmail]:
    """Take those of `ids` that are still waiting and that nobody else is taking, soonest deadline first."""
    free = (
        sa.select(emails.c.id)
        .where(emails.c.id.in_(ids), _waiting, emails.c.not_before <= now, emails.c.useful_until > now)
        .with_for_update(skip_locked=True)
        .cte("free")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    taken = (
        sa.update(emails)
        .where(emails.c.id.in_(sa.select(free.c.id)))
        .values(
            state=State.CLAIMED,
            worker=lease.worker,
            lease_token=lease.token,
            lease_until=database_clock(lease.seconds),
            claimed_at=now,
        )
        .returning(emails.c.id)
    )
    held = list(connection.execute(taken).scalars())
    if not held:
        return []
    rows = connection.execute(
        sa.select(*_CLAIMED_COLUMNS)
        .select_from(_WITH_CLIENT)
        .where(emails.c.id.in_(held))
        .order_by(emails.c.useful_until, emails.c.id)
    ).all()
    return [ClaimedEmail._make(row) for row in rows]


def release(connection: sa.Connection, ids: Sequence[int], token: str) -> None:
    """Give back unsent claims on a clean stop: planned, or in doubt if an earlier copy may be out."""
    mine = emails.c.id.in_(ids) & (emails.c.lease_token == token) & (emails.c.state == State.CLAIMED)
    connection.execute(sa.update(emails).where(mine).values(state=_before_claim(), **NO_LEASE))


NO_LEASE = dict.fromkeys(("lease_token", "lease_until", "worker"), sa.null())


def _before_claim() -> sa.ColumnElement[str]:
    return sa.case((emails.c.doubt_since.is_(None), str(State.PLANNED)), else_=str(State.IN_DOUBT))


def expire(connection: sa.Connection, now: datetime, most: int | None = None) -> dict[str, int]:
    """End what is past its shelf life: missed, or unconfirmed if a copy may be out. Opens a call for each reminder.

    A held row keeps the reason it was held for. Returns the number of rows by new state, `most` in all.
    """
    late = (_waiting & (emails.c.not_before <= now)) | (emails.c.state == sa.literal_column("'held'"))
    # Rows that somebody is changing now come with the next tick: waiting for them could be waiting for each other.
    free = (
        sa.select(emails.c.id).where(late, emails.c.useful_until <= now).limit(most).with_for_update(skip_locked=True)
    )
    which = emails.c.id.in_(sa.select(free.cte("free").prefix_with("MATERIALIZED", dialect="postgresql").c.id))
    return end(connection, which, State.MISSED, Reason.TOO_LATE, now)


def after_marks(connection: sa.Connection, whose: Condition, now: datetime) -> datetime:
    """`now`, or the newest mark of these rows if that is later: a wish that waited for a mark came after it.

    Call under the clients' lock: no mark can come in between.
    """
    newest = connection.execute(sa.select(sa.func.max(emails.c.marked_at)).where(whose)).scalar_one()
    return now if newest is None else max(now, newest)


def end_open(connection: sa.Connection, whose: Condition, reason: Reason, now: datetime) -> dict[str, int]:
    """Cancel what is still open of `whose`: stop, cancel, supersede, erase. A row being sent now is let go."""
    open_now = emails.c.state.in_([State.PLANNED, State.CLAIMED, State.IN_DOUBT, State.HELD])
    return end(connection, whose & open_now, State.CANCELLED, reason, now)


def end(connection: sa.Connection, which: Condition, state: State, reason: Reason, now: datetime) -> dict[str, int]:
    """Move rows to `state` (or unconfirmed where a copy may be out) and open the calls that makes necessary."""
    keep_reason = emails.c.state == State.HELD if state is State.MISSED else sa.false()
    doubtful = emails.c.doubt_since.is_not(None)
    ended = connection.execute(
        sa.update(emails)
        .where(which)
        .values(
            state=sa.case((doubtful, str(State.UNCONFIRMED)), else_=str(state)),
            reason=sa.case((keep_reason, emails.c.reason), else_=str(reason)),
            ended_at=now,
            **NO_LEASE,
        )
        .returning(emails.c.id, emails.c.clinic_id, emails.c.client_id, emails.c.kind, emails.c.state)
    ).all()
    open_calls(
        connection,
        [
            {"clinic_id": row.clinic_id, "client_id": row.client_id, "email_id": row.id, "reason": row.state}
            for row in ended
            if row.kind == Kind.REMINDER and row.state in (State.MISSED, State.UNCONFIRMED)
        ],
        now,
    )
    counts: dict[str, int] = {}
    for row in ended:
        counts[row.state] = counts.get(row.state, 0) + 1
    return counts
