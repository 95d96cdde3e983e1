"""Versions of the words, per clinic, protocol, name and language; an approved one is never changed, only followed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from service.errors import NotAllowed, NotFound
from service.store.tables import texts


@dataclass(frozen=True, slots=True)
class TextVersion:
    """One version of one text, without its source."""

    id: int
    clinic_id: int
    protocol: str
    name: str
    language: str
    version: int
    sha256: str
    created_at: datetime
    created_by: str
    approved_at: datetime | None
    approved_by: str | None
    review_by: date | None
    withdrawn_at: datetime | None


_COLUMNS = [texts.c[name] for name in TextVersion.__dataclass_fields__]


def versions(connection: sa.Connection, clinic_ids: Iterable[int]) -> list[TextVersion]:
    """Every version of these clinics' texts, newest first within each text."""
    query = (
        sa.select(*_COLUMNS)
        .where(texts.c.clinic_id.in_(sorted(clinic_ids)))
        .order_by(texts.c.clinic_id, texts.c.protocol, texts.c.name, texts.c.language, texts.c.version.desc())
    )
    return [TextVersion(*row) for row in connection.execute(query)]


def source(connection: sa.Connection, text_id: int) -> str:
    found: str = connection.execute(sa.select(texts.c.source).where(texts.c.id == text_id)).scalar_one()
    return found


def get(connection: sa.Connection, clinic_id: int, text_id: int) -> TextVersion:
    """One version by its id. Raises NotFound if this clinic has none."""
    query = sa.select(*_COLUMNS).where(texts.c.clinic_id == clinic_id, texts.c.id == text_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no text {text_id}", field="text", next_step="See `aftercare texts list`.")
    return TextVersion(*row)


def find(connection: sa.Connection, clinic_id: int, which: dict[str, str], version: int | None = None) -> TextVersion:
    """The newest version of a text, or the one asked for. which: protocol, name, language."""
    query = sa.select(*_COLUMNS).where(texts.c.clinic_id == clinic_id, *(texts.c[k] == v for k, v in which.items()))
    if version is not None:
        query = query.where(texts.c.version == version)
    row = connection.execute(query.order_by(texts.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no text {which['protocol']}/{which['name']} in {which['language']}"
            + (f" version {version}" if version is not None else ""),
            field="text",
            next_step="See `aftercare texts list`.",
        )
    return TextVersion(*row)


def add(connection: sa.Connection, values: dict[str, Any]) -> int:
    """Save a new version, numbered after the newest. values: all but version; returns its id.

    Raises NotAllowed if somebody else saves a version of the same text at this moment.
    """
    key = ("clinic_id", "protocol", "name", "language")
    newest = connection.execute(
        sa.select(sa.func.max(texts.c.version)).where(*(texts.c[name] == values[name] for name in key))
    ).scalar_one()
    added = sa.insert(texts).values(**values, version=(newest or 0) + 1).returning(texts.c.id)
    try:
        new_id: int = connection.execute(added).scalar_one()
    except sa.exc.IntegrityError as error:
        raise NotAllowed(
            f"somebody else has just saved a version of {values['protocol']}/{values['name']}",
            field="text",
            next_step="Look at theirs first, then save yours again.",
        ) from error
    return new_id


def approve(connection: sa.Connection, text_id: int, by: str, review_by: date, now: datetime) -> None:
    connection.execute(
        sa.update(texts).where(texts.c.id == text_id).values(approved_at=now, approved_by=by, review_by=review_by)
    )
