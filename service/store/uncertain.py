"""E-mails of a restored backup that may have gone out since the copy: find them, and write down the answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store.ledger import Outcome, record
from service.store.outbox import end
from service.store.tables import audit, emails

#: Rows that one statement changes.
CHUNK = 1000
#: The audit's words for a restore.
RESTORED = "restored from a backup"
#: So many of the newest e-mails show whether a log, or a secret key, is the right one.
KNOWN = 1000

_uncertain = (emails.c.state == sa.literal_column("'held'")) & (emails.c.reason == Reason.RESTORED)


class Uncertain(NamedTuple):
    """One e-mail nobody knows of whether it went out. message_id: None if it had none yet at the copy."""

    id: int
    clinic_id: int
    client_id: int
    kind: str
    protocol: str | None
    step: str | None
    due_at: datetime
    useful_until: datetime
    planned_at: datetime
    not_before: datetime
    marked_at: datetime | None
    message_id: str | None
    attempts: int


def listed(connection: sa.Connection) -> list[Uncertain]:
    """All of them, of all clinics, by due time."""
    query = sa.select(*(emails.c[name] for name in Uncertain._fields)).where(_uncertain)
    return [Uncertain._make(row) for row in connection.execute(query.order_by(emails.c.due_at, emails.c.id)).all()]


def known(connection: sa.Connection) -> list[tuple[int, datetime, str]]:
    """(id, planned at, Message-ID) of the e-mails that were marked last, the newest first."""
    query = (
        sa.select(emails.c.id, emails.c.planned_at, emails.c.message_id)
        .where(emails.c.message_id.is_not(None), emails.c.marked_at.is_not(None))
        .order_by(emails.c.marked_at.desc())
        .limit(KNOWN)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def restored_from(connection: sa.Connection) -> datetime | None:
    """When the copy was taken that the last restore brought back."""
    query = sa.select(audit.c.detail).where(audit.c.action == RESTORED).order_by(audit.c.id.desc()).limit(1)
    detail = connection.execute(query).scalar_one_or_none()
    return datetime.fromisoformat(json.loads(detail)["taken_at"]) if detail else None


@dataclass(frozen=True)
class Proof:
    """Who says that it went out, why, and when that became known."""

    actor: str
    words: str
    now: datetime


def went_out(connection: sa.Connection, rows: Sequence[tuple[Uncertain, str]], proof: Proof) -> None:
    """Record rows as sent. rows: each with its Message-ID. What is unknown of the mark is its earliest moment."""
    outcomes = [
        Outcome(
            id=row.id,
            clinic_id=row.clinic_id,
            client_id=row.client_id,
            kind=row.kind,
            token=State.SENT,
            worker=proof.actor[:64],
            claimed_at=row.not_before,
            marked_at=row.marked_at or row.not_before,
            ended_at=proof.now,
            state=State.SENT,
            reason=None,
            not_before=None,
            attempts=row.attempts,
            thaw=False,
            outcome=State.SENT,
            reply=proof.words,
        )
        for row, _ in rows
    ]
    record(connection, outcomes)
    for row, message_id in rows:
        values = {"marked_at": row.marked_at or row.not_before, "message_id": message_id}
        connection.execute(sa.update(emails).where(emails.c.id == row.id).values(values))


def went_not_out(connection: sa.Connection, ids: Sequence[int], doubt_cap: int, now: datetime) -> Counter[str]:
    """Plan rows again; past its shelf life a row is missed and becomes a call. Returns the rows by new state.

    A row that was in doubt at the copy stays so: it is repeated with the same bytes, or, with its repeats used up,
    unconfirmed.
    """
    counts: Counter[str] = Counter()
    for start in range(0, len(ids), CHUNK):
        some = emails.c.id.in_(ids[start : start + CHUNK])
        freed = sa.update(emails).where(some, _uncertain).values(state=State.PLANNED, reason=None)
        planned = connection.execute(freed).rowcount
        free = some & (emails.c.state == State.PLANNED)
        used_up = emails.c.doubt_since.is_not(None) & (emails.c.doubt_retries >= doubt_cap)
        ended = Counter(end(connection, free & (emails.c.useful_until <= now), State.MISSED, Reason.TOO_LATE, now))
        ended.update(end(connection, free & used_up, State.UNCONFIRMED, Reason.REPLY_LOST, now))
        counts.update(ended)
        counts[State.PLANNED] += planned - ended.total()
    return counts
