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


def lock_chain(connection: sa.Connection, clinic_id: int) -> None:
    """Until the end of the transaction nobody else adds a line, or two writers would fork the chain.

    The clinic row is locked, not against new rows that only point at it, or two writers that both have added one would
    wait for each other.
    """
    connection.execute(sa.select(clinics.c.id).where(clinics.c.id == clinic_id).with_for_update(key_share=True))


def note(connection: sa.Connection, clinic_id: int, deed: Deed, at: datetime) -> None:
    """Append one line to the clinic's chain, last in its transaction.

    Locks the clinic's chain.
    """
    at = at.astimezone(UTC)
    lock_chain(connection, clinic_id)
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


def is_noted(connection: sa.Connection, clinic_id: int, deed: Deed, since: datetime) -> bool:
    """Whether this actor did this to this subject after an instant."""
    same = [audit.c[name] == getattr(deed, name) for name in ("subject", "actor", "action")]
    query = sa.select(audit.c.id).where(audit.c.clinic_id == clinic_id, *same, audit.c.at > since)
    return connection.execute(query.limit(1)).first() is not None


@dataclass(frozen=True)
class Sought:
    """Which lines of the audit; empty words: all. actor, action: parts of it. subject: the whole, like 'client 7'.

    since, until: instants, the second one not included. before: only lines with a smaller id.
    """

    actor: str = ""
    action: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


def search(connection: sa.Connection, clinic_id: int, sought: Sought, limit: int) -> list[sa.RowMapping]:
    """The clinic's lines that fit, newest first, at most so many."""
    query = sa.select(audit).where(audit.c.clinic_id == clinic_id)
    for name in ("actor", "action"):
        part = getattr(sought, name)
        if part:
            query = query.where(sa.func.lower(audit.c[name]).contains(part.lower(), autoescape=True))
    if sought.subject:
        query = query.where(audit.c.subject == sought.subject)
    if sought.since is not None:
        query = query.where(audit.c.at >= sought.since)
    if sought.until is not None:
        query = query.where(audit.c.at < sought.until)
    if sought.before is not None:
        query = query.where(audit.c.id < sought.before)
    return list(connection.execute(query.order_by(audit.c.id.desc()).limit(limit)).mappings())


def count(connection: sa.Connection, clinic_id: int) -> int:
    """How many lines the clinic's audit has."""
    query = sa.select(sa.func.count()).select_from(audit).where(audit.c.clinic_id == clinic_id)
    return int(connection.execute(query).scalar_one())


def broken_links(connection: sa.Connection, clinic_id: int) -> list[int]:
    """Ids of audit lines whose seal does not fit: changed, or their neighbour is gone."""
    previous, broken = "", []
    for row in connection.execute(sa.select(audit).where(audit.c.clinic_id == clinic_id).order_by(audit.c.id)):
        parts = [previous, str(clinic_id), row.at.isoformat(), row.actor, row.action, row.subject, row.detail]
        if row.previous != previous or row.hash != seal(parts):
            broken.append(row.id)
        previous = row.hash
    return broken
