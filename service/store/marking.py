"""Just before a message: the last look at everything that could forbid it, and the mark that it may be out.

Both run inside one short transaction that many conversations share. Nothing here talks to a relay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from service.domain.reminder import State
from service.store.engine import database_clock
from service.store.outbox import lock_clients
from service.store.tables import clients, emails, suppressions, treatments


@dataclass(frozen=True, slots=True)
class LastLook:
    """A claimed row and its world in the transaction of the mark."""

    id: int
    state: str
    token: str | None
    kind: str
    due_at: datetime
    useful_until: datetime
    doubt_since: datetime | None
    address: str
    stopped_at: datetime | None
    paused_at: datetime | None
    erased_at: datetime | None
    consented: bool
    cancelled_at: datetime | None
    suppressed: bool


_SUPPRESSED = (
    sa.select(sa.literal(1))
    .where(
        suppressions.c.clinic_id == clients.c.clinic_id,
        suppressions.c.email_folded == clients.c.email_folded,
        suppressions.c.lifted_at.is_(None),
    )
    .exists()
)
# Built once, like every statement that each commit runs: building one costs more than running it.
_LAST_LOOK: sa.Select[*tuple[Any, ...]] = (
    sa.select(
        emails.c.id,
        emails.c.state,
        emails.c.lease_token,
        emails.c.kind,
        emails.c.due_at,
        emails.c.useful_until,
        emails.c.doubt_since,
        clients.c.email,
        clients.c.stopped_at,
        clients.c.paused_at,
        clients.c.erased_at,
        clients.c.consent_on.is_not(None),
        treatments.c.cancelled_at,
        _SUPPRESSED,
    )
    .select_from(emails.join(clients, clients.c.id == emails.c.client_id))
    .outerjoin(treatments, treatments.c.id == emails.c.treatment_id)
    .where(emails.c.id.in_(sa.bindparam("b_ids", expanding=True)))
    .with_for_update(of=emails)
)


def last_look(connection: sa.Connection, wanted: Sequence[tuple[int, int]]) -> dict[int, LastLook]:
    """Lock the clients and rows of `wanted` (client id, e-mail id) and read what the mark must still agree with."""
    lock_clients(connection, (client_id for client_id, _ in wanted))
    ids = [email_id for _, email_id in wanted]
    return {row[0]: LastLook(*row) for row in connection.execute(_LAST_LOOK, {"b_ids": ids})}


_MARK = (
    sa.update(emails)
    .where(emails.c.id == sa.bindparam("b_id"))
    .values(
        state=State.SENDING,
        marked_at=sa.bindparam("b_marked_at"),
        message_id=sa.bindparam("b_message_id"),
        text_id=sa.bindparam("b_text_id"),
        text_version=sa.bindparam("b_text_version"),
        frame_version=sa.bindparam("b_frame_version"),
        facts=sa.bindparam("b_facts"),
        dated=sa.bindparam("b_dated"),
        digest=sa.bindparam("b_digest"),
        # Marking a row that is in doubt uses up one of its repeats, whatever becomes of it.
        doubt_retries=emails.c.doubt_retries + sa.case((emails.c.doubt_since.is_(None), 0), else_=1),
    )
)


def mark(connection: sa.Connection, rows: Sequence[dict[str, Any]], lease_seconds: int) -> None:
    """Write the marks. Call only for rows that `last_look` found claimed with their token in this transaction.

    The lease begins anew: the row may have waited long for its turn, and must not lapse while it is being said.
    """
    if rows:
        connection.execute(_mark(lease_seconds), rows)


@lru_cache(maxsize=8)
def _mark(lease_seconds: int) -> sa.Update:
    return _MARK.values(lease_until=database_clock(lease_seconds))
