"""How many mails may go out: the relay's limit a minute over all workers, and a clinic's limit a day.

The minute runs on the database's clock, the day on business time. Both are counted inside the transaction of the mark.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.domain.reminder import State
from service.store.engine import database_clock
from service.store.tables import LEASED, clinics, emails, paces

#: Longer than the minute: a mail marked first may reach the relay a few seconds after it was counted.
WINDOW = 65
_LOCK = 7_214_001  # an arbitrary number that nothing else locks
DAY = timedelta(hours=24)


def _used(connection: sa.Connection) -> int:
    counted = sa.select(sa.func.count()).select_from(paces).where(paces.c.at > database_clock(-WINDOW))
    return int(connection.execute(counted).scalar_one())


def room(connection: sa.Connection, per_minute: int) -> int:
    """How many rows may be claimed now: what the minute has left, less what is claimed and not yet marked."""
    # In the words of the index of leases first: by the state alone the whole outbox would be read.
    unmarked = sa.and_(sa.text(LEASED), emails.c.state == sa.literal_column("'claimed'"))
    claimed = sa.select(sa.func.count()).select_from(emails).where(unmarked)
    return max(0, per_minute - _used(connection) - int(connection.execute(claimed).scalar_one()))


def take(connection: sa.Connection, wanted: int, per_minute: int) -> int:
    """Count up to `wanted` mails into this minute; returns how many of them may go."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    connection.execute(sa.delete(paces).where(paces.c.at <= database_clock(-WINDOW)))
    granted = min(wanted, max(0, per_minute - _used(connection)))
    for _ in range(granted):
        connection.execute(sa.insert(paces).values(at=database_clock()))
    return granted


def left_today(connection: sa.Connection, caps: dict[int, int], now: datetime) -> dict[int, int]:
    """Mails that each clinic may still send in the 24 hours that end now. caps: clinic id -> its limit."""
    if not caps:
        return {}
    # Workers count one after the other, clinic by clinic.
    connection.execute(
        sa.select(clinics.c.id).where(clinics.c.id.in_(caps)).order_by(clinics.c.id).with_for_update(key_share=True)
    )
    counted = (
        sa.select(emails.c.clinic_id, sa.func.count())
        .where(emails.c.marked_at > now - DAY, emails.c.clinic_id.in_(caps), emails.c.state != State.PLANNED)
        .group_by(emails.c.clinic_id)
    )
    used: dict[int, int] = {row[0]: row[1] for row in connection.execute(counted)}
    return {clinic_id: max(0, cap - used.get(clinic_id, 0)) for clinic_id, cap in caps.items()}


def at_their_cap(connection: sa.Connection, now: datetime) -> Collection[int]:
    """Clinics that have used up their day."""
    capped = sa.select(clinics.c.id, clinics.c.daily_cap).where(clinics.c.daily_cap.is_not(None))
    caps: dict[int, int] = {row[0]: row[1] for row in connection.execute(capped)}
    left = left_today(connection, caps, now)
    return sorted(clinic_id for clinic_id, number in left.items() if not number)
