"""What became of the hellos: of one client, and whether an address has ever taken one. Reads only."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from service.domain.reminder import OPEN, State
from service.domain.replies import CAUGHT
from service.store.tables import Kind, clients, emails

_HELLO = emails.c.kind == Kind.HELLO


def newest(connection: sa.Connection, clinic_id: int, client_id: int) -> sa.RowMapping | None:
    """The last hello to this client, None if there was none."""
    mine = (emails.c.clinic_id == clinic_id) & (emails.c.client_id == client_id) & _HELLO
    query = sa.select(emails).where(mine).order_by(emails.c.id.desc()).limit(1)
    return connection.execute(query).mappings().one_or_none()


def is_under_way(connection: sa.Connection, clinic_id: int, client_id: int) -> bool:
    mine = (emails.c.clinic_id == clinic_id) & (emails.c.client_id == client_id) & _HELLO
    return connection.execute(sa.select(emails.c.id).where(mine, emails.c.state.in_(OPEN))).first() is not None


def accepted_at(connection: sa.Connection, clinic_id: int, email_folded: str) -> datetime | None:
    """When a hello to somebody with this address was last accepted and did not come back; None if never."""
    same = (clients.c.clinic_id == clinic_id) & (clients.c.email_folded == email_folded)
    theirs = emails.c.client_id.in_(sa.select(clients.c.id).where(same, clients.c.erased_at.is_(None)))
    query = sa.select(sa.func.max(emails.c.sent_at)).where(
        theirs,
        _HELLO,
        emails.c.state == State.SENT,
        emails.c.bounced_at.is_(None),
        # What the catcher took proves no address.
        sa.func.coalesce(emails.c.last_reply, "").not_like(f"%{CAUGHT}%"),
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def went_out_since(connection: sa.Connection, since: datetime) -> bool:
    """Whether somebody may still be at a desk and wait for what comes back of a hello."""
    return (
        connection.execute(sa.select(emails.c.id).where(emails.c.marked_at > since, _HELLO).limit(1)).first()
        is not None
    )
