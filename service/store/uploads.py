"""Files that somebody uploaded and has not decided about: kept for an hour, seen by nobody else."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.errors import NotFound
from service.store.tables import uploads

#: Files of one person at once: each may be 10 MB in the database that the e-mails wait in.
MOST = 3


class Owner(NamedTuple):
    """Whose upload it is: a staff member's of a clinic."""

    clinic_id: int
    staff_id: int


def _mine(owner: Owner, upload_id: int) -> sa.ColumnElement[bool]:
    whose = (uploads.c.clinic_id == owner.clinic_id) & (uploads.c.staff_id == owner.staff_id)
    return whose & (uploads.c.id == upload_id)


def add(connection: sa.Connection, owner: Owner, values: dict[str, Any]) -> int:
    """Keep a file; of the same person's older ones only the newest, unless they are being imported."""
    mine = (uploads.c.clinic_id == owner.clinic_id) & (uploads.c.staff_id == owner.staff_id)
    older = sa.select(uploads.c.id).where(mine).order_by(uploads.c.id.desc()).offset(MOST - 1)
    gone = list(connection.execute(older).scalars())
    idle = uploads.c.begun_at.is_(None) | uploads.c.done_at.is_not(None)
    connection.execute(sa.delete(uploads).where(uploads.c.id.in_(gone), idle))
    added = sa.insert(uploads).values(**owner._asdict(), **values).returning(uploads.c.id)
    new_id: int = connection.execute(added).scalar_one()
    return new_id


def get(connection: sa.Connection, owner: Owner, upload_id: int, now: datetime) -> sa.RowMapping:
    """One upload. Raises NotFound for somebody else's, and for one whose hour is over."""
    query = sa.select(uploads).where(_mine(owner, upload_id), uploads.c.until > now)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound("This file is no longer here", field="file", next_step="Choose it again under Import.")
    return row


def change(connection: sa.Connection, upload_id: int, values: dict[str, Any]) -> None:
    connection.execute(sa.update(uploads).where(uploads.c.id == upload_id).values(**values))


def begin(connection: sa.Connection, upload_id: int, before: datetime, now: datetime) -> bool:
    """Whether it is ours to import: nobody has begun, or whoever did has not been heard of since `before`."""
    free = uploads.c.begun_at.is_(None) | (uploads.c.begun_at < before)
    which = (uploads.c.id == upload_id) & uploads.c.done_at.is_(None) & free
    return connection.execute(sa.update(uploads).where(which).values(begun_at=now)).rowcount == 1


def drop(connection: sa.Connection, owner: Owner, upload_id: int) -> None:
    connection.execute(sa.delete(uploads).where(_mine(owner, upload_id)))


def forget_old(connection: sa.Connection, now: datetime) -> None:
    """Delete those whose hour is over."""
    connection.execute(sa.delete(uploads).where(uploads.c.until <= now))
