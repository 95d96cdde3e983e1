"""What the desk's lists show of the outbox: a page at a time, each found by an index however many rows there are."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from service.store.outbox_tables import WAITING, WRONG
from service.store.tables import clients, emails

# As text, like the conditions of the partial indexes.
_waiting, _wrong = sa.text(WAITING), sa.text(f"({WRONG})")
_held = sa.text("state = 'held'")
_SHOWN = (
    *("id", "client_id", "treatment_id", "kind", "protocol", "step", "day", "state", "reason", "due_at"),
    *("useful_until", "not_before", "sent_at", "ended_at", "bounced_at", "bounce_class", "last_reply"),
)
_ROWS = sa.select(*(emails.c[name] for name in _SHOWN), clients.c.name, clients.c.phone).join(
    clients, clients.c.id == emails.c.client_id
)


class Place(NamedTuple):
    """Where a page ends: the last row's instant and id."""

    at: datetime
    id: int


def next_out(
    connection: sa.Connection, clinic_id: int, now: datetime, limit: int, after: Place | None = None
) -> list[sa.RowMapping]:
    """What waits for its hour, the soonest first."""
    order = (emails.c.not_before, emails.c.id)
    query = _ROWS.where(_waiting, emails.c.clinic_id == clinic_id, emails.c.useful_until > now)
    if after is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(sa.literal(after.at, emails.c.not_before.type), after.id))
    return list(connection.execute(query.order_by(*order).limit(limit)).mappings())


def sent(connection: sa.Connection, clinic_id: int, limit: int, before: Place | None = None) -> list[sa.RowMapping]:
    """What a mail server took, the newest first."""
    # The second as the index says it; else PostgreSQL looks through all that was never marked first.
    mine = (emails.c.clinic_id == clinic_id) & (emails.c.state == "sent") & emails.c.marked_at.is_not(None)
    return _backwards(connection, _ROWS.where(mine), emails.c.marked_at, limit, before)


def wrong(connection: sa.Connection, clinic_id: int, limit: int, before: Place | None = None) -> list[sa.RowMapping]:
    """What did not reach its client, or may not have: refused, missed, unconfirmed, come back."""
    query = _ROWS.where(_wrong, emails.c.clinic_id == clinic_id, emails.c.replaced_at.is_(None))
    return _backwards(connection, query, emails.c.due_at, limit, before)


def held(connection: sa.Connection, clinic_id: int, limit: int, before: Place | None = None) -> list[sa.RowMapping]:
    """What waits for a person."""
    query = _ROWS.where(_held, emails.c.clinic_id == clinic_id)
    return _backwards(connection, query, emails.c.useful_until, limit, before)


def everything(
    connection: sa.Connection, clinic_id: int, limit: int, before: Place | None = None
) -> list[sa.RowMapping]:
    """Every e-mail by the hour it is for, the latest first."""
    return _backwards(connection, _ROWS.where(emails.c.clinic_id == clinic_id), emails.c.due_at, limit, before)


def _backwards(
    connection: sa.Connection,
    query: sa.Select[*tuple[object, ...]],
    by: sa.Column[datetime],
    limit: int,
    before: Place | None,
) -> list[sa.RowMapping]:
    if before is not None:
        query = query.where(sa.tuple_(by, emails.c.id) < sa.tuple_(sa.literal(before.at, by.type), before.id))
    query = query.add_columns(by.label("place")).order_by(by.desc(), emails.c.id.desc()).limit(limit)
    return list(connection.execute(query).mappings())


def overdue(connection: sa.Connection, clinic_id: int, now: datetime) -> int:
    """How many e-mails wait although their hour has come."""
    query = sa.select(sa.func.count()).where(
        _waiting, emails.c.not_before < now, emails.c.useful_until > now, emails.c.clinic_id == clinic_id
    )
    return int(connection.execute(query).scalar_one())


def waiting(connection: sa.Connection, clinic_id: int, since: datetime, until: datetime) -> int:
    """How many e-mails wait for an hour from `since` on and before `until`. It may be a million."""
    hour = (emails.c.not_before >= since) & (emails.c.not_before < until)
    query = sa.select(sa.func.count()).where(_waiting, hour, emails.c.clinic_id == clinic_id)
    return int(connection.execute(query).scalar_one())
