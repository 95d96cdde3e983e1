"""What a lost worker left: rows whose lease is over, or whose worker is known to be gone, are freed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.reminder import Reason, State, doubt_wait, lapsed
from service.store.engine import database_clock
from service.store.ledger import Outcome, record
from service.store.locking import lock_clients
from service.store.tables import LEASED, emails

# As text: SQLite has no booleans, and a boolean expression becomes `… = 1`, which no partial index serves.
_leased = sa.text(LEASED)


def rescue(connection: sa.Connection, lost: Sequence[str], doubt_cap: int, now: datetime) -> dict[str, int]:
    """Free the rows whose lease is over, or whose worker is known to be gone. Returns the rows by new state.

    lost: names of workers whose file lock is free (SQLite); on PostgreSQL only the lease counts.
    """
    gone = emails.c.lease_until <= database_clock()
    if lost:
        gone |= emails.c.worker.in_(lost)
    lock_clients(connection, connection.execute(sa.select(emails.c.client_id).where(_leased, gone)).scalars())
    # In the order of the lease's index: ordered by id, SQLite reads the whole table in that order instead.
    rows = connection.execute(
        sa.select(emails).where(_leased, gone).order_by(emails.c.lease_until).with_for_update(skip_locked=True)
    ).all()
    outcomes = [_lapsed(row, doubt_cap, now) for row in rows]
    record(connection, outcomes)
    return Counter(str(outcome.state) for outcome in outcomes)


def _lapsed(row: Any, doubt_cap: int, now: datetime) -> Outcome:
    was = State(row.state)
    marked = was is State.SENDING
    wait = now + doubt_wait(row.id) if marked else row.not_before
    return Outcome(
        id=row.id,
        clinic_id=row.clinic_id,
        client_id=row.client_id,
        kind=row.kind,
        token=row.lease_token,
        worker=row.worker,
        claimed_at=row.claimed_at,
        marked_at=row.marked_at,
        ended_at=now,
        state=lapsed(was, in_doubt=row.doubt_since is not None, doubt_retries=row.doubt_retries, doubt_cap=doubt_cap),
        reason=Reason.WORKER_LOST,
        not_before=min(wait, row.useful_until),
        attempts=row.attempts + (1 if marked else 0),
        thaw=False,
        outcome=Reason.WORKER_LOST,
        stage="message" if marked else None,
    )


def holders(connection: sa.Connection) -> list[str]:
    """Names of the workers that hold rows now."""
    return list(connection.execute(sa.select(emails.c.worker).where(_leased).distinct()).scalars())
