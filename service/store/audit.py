"""Who did what, when: append-only, each row sealed with the hash of the one before it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from service.store.tables import audit, clinics


@dataclass(frozen=True)
class Deed:
    """One thing done. subject: like 'client 7'. detail: facts a reviewer needs; never a name or an address."""

    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


def note(connection: sa.Connection, clinic_id: int, deed: Deed, at: datetime) -> None:
    """Append one line to the clinic's chain, last in its transaction.

    The clinic row is locked, or two writers would fork the chain; not against new rows that only point at it, or two
    writers that both have added one would wait for each other.
    """
    at = at.astimezone(UTC)
    connection.execute(sa.select(clinics.c.id).where(clinics.c.id == clinic_id).with_for_update(key_share=True))
    previous = connection.execute(
        sa.select(audit.c.hash).where(audit.c.clinic_id == clinic_id).order_by(audit.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    detail = json.dumps(deed.detail, sort_keys=True, default=str)
    row = [previous or "", str(clinic_id), at.isoformat(), deed.actor, deed.action, deed.subject, detail]
    connection.execute(
        sa.insert(audit),
        {
            "clinic_id": clinic_id,
            "at": at,
            "actor": deed.actor,
            "action": deed.action,
            "subject": deed.subject,
            "detail": detail,
            "previous": previous or "",
            "hash": seal(row),
        },
    )


def seal(parts: list[str]) -> str:
    """The hash over one line and the hash before it; the separator cannot stand in JSON or an address."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def broken_links(connection: sa.Connection, clinic_id: int) -> list[int]:
    """Ids of audit lines whose seal does not fit: changed, or their neighbour is gone."""
    previous, broken = "", []
    for row in connection.execute(sa.select(audit).where(audit.c.clinic_id == clinic_id).order_by(audit.c.id)):
        parts = [previous, str(clinic_id), row.at.isoformat(), row.actor, row.action, row.subject, row.detail]
        if row.previous != previous or row.hash != seal(parts):
            broken.append(row.id)
        previous = row.hash
    return broken
