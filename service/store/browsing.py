"""What the desk's lists show of the outbox: a page at a time, each found by an index however many rows there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

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
_Query = sa.Select[*tuple[Any, ...]]


class Place(NamedTuple):
    """Where a page ends: the last row's instant and id."""

    at: datetime
    id: int


class Stretch(NamedTuple):
    """Which rows of a list: at most `limit`, from where the page before ended (`place`), and only a part of them.

    since, until: of the hour that the list shows; kind, day: of the e-mail. None: any.
    """

    limit: int
    place: Place | None = None
    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    day: int | None = None

    def of(self, query: _Query, hour: sa.Column[datetime]) -> _Query:
        """The part that is asked for; where it begins depends on the list's order."""
        if self.since is not None:
            query = query.where(hour >= self.since)
        if self.until is not None:
            query = query.where(hour < self.until)
        if self.kind is not None:
            query = query.where(emails.c.kind == self.kind)
        if self.day is not None:
            query = query.where(emails.c.day == self.day)
        return query.limit(self.limit)


def next_out(connection: sa.Connection, clinic_id: int, now: datetime, stretch: Stretch) -> list[sa.RowMapping]:
    """What waits for its hour, the soonest first."""
    hour, after = emails.c.not_before, stretch.place
    query = _ROWS.where(_waiting, emails.c.clinic_id == clinic_id, emails.c.useful_until > now)
    if after is not None:
        query = query.where(sa.tuple_(hour, emails.c.id) > sa.tuple_(sa.literal(after.at, hour.type), after.id))
    return list(connection.execute(stretch.of(query, hour).order_by(hour, emails.c.id)).mappings())


def sent(connection: sa.Connection, clinic_id: int, stretch: Stretch) -> list[sa.RowMapping]:
    """What a mail server took, the newest first."""
    # The second as the index says it; else PostgreSQL looks through all that was never marked first.
    mine = (emails.c.clinic_id == clinic_id) & (emails.c.state == "sent") & emails.c.marked_at.is_not(None)
    return _backwards(connection, stretch.of(_ROWS.where(mine), emails.c.marked_at), emails.c.marked_at, stretch.place)


def wrong(connection: sa.Connection, clinic_id: int, stretch: Stretch) -> list[sa.RowMapping]:
    """What did not reach its client, or may not have: refused, missed, unconfirmed, come back."""
    query = _ROWS.where(_wrong, emails.c.clinic_id == clinic_id, emails.c.replaced_at.is_(None))
    return _backwards(connection, stretch.of(query, emails.c.due_at), emails.c.due_at, stretch.place)


def held(connection: sa.Connection, clinic_id: int, stretch: Stretch) -> list[sa.RowMapping]:
    """What waits for a person: what could still wait longest first."""
    query = _ROWS.where(_held, emails.c.clinic_id == clinic_id)
    return _backwards(connection, stretch.of(query, emails.c.due_at), emails.c.useful_until, stretch.place)


def everything(connection: sa.Connection, clinic_id: int, stretch: Stretch) -> list[sa.RowMapping]:
    """Every e-mail by the hour it is for, the latest first."""
    query = _ROWS.where(emails.c.clinic_id == clinic_id)
    return _backwards(connection, stretch.of(query, emails.c.due_at), emails.c.due_at, stretch.place)


def _backwards(
    connection: sa.Connection, query: _Query, by: sa.Column[datetime], before: Place | None
) -> list[sa.RowMapping]:
    if before is not None:
        query = query.where(sa.tuple_(by, emails.c.id) < sa.tuple_(sa.literal(before.at, by.type), before.id))
    query = query.add_columns(by.label("place")).order_by(by.desc(), emails.c.id.desc())
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
