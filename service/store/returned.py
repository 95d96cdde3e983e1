"""What came back: whose it is, and what is written down about it. Decides nothing (actions/returned.py)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from service.domain.reminder import State
from service.store.calls import Call, open_call
from service.store.ledger import Outcome, record, suppress
from service.store.tables import audit, clients, clinics, emails

#: The audit's words for a message that changed something.
TAKEN_IN = "returned mail"
SOFT = "soft"


class Client(NamedTuple):
    """The client a returned message concerns."""

    id: int
    clinic_id: int
    email_folded: str
    stopped_at: datetime | None
    erased_at: datetime | None


class Email(NamedTuple):
    """The outgoing e-mail a returned message concerns."""

    id: int
    clinic_id: int
    client_id: int
    kind: str
    state: str
    reason: str | None
    planned_at: datetime
    not_before: datetime
    doubt_since: datetime | None
    claimed_at: datetime | None
    marked_at: datetime | None
    attempts: int
    message_id: str | None
    bounced_at: datetime | None
    bounce_class: str | None


_CLIENT = [clients.c[name] for name in Client._fields]
_EMAIL = [emails.c[name] for name in Email._fields]
_BOTH = sa.select(*_EMAIL, *_CLIENT).join(clients, clients.c.id == emails.c.client_id)


def by_id(connection: sa.Connection, email_id: int) -> tuple[Email, Client] | None:
    return _pair(connection.execute(_BOTH.where(emails.c.id == email_id)).first())


def client(connection: sa.Connection, client_id: int) -> Client | None:
    found = connection.execute(sa.select(*_CLIENT).where(clients.c.id == client_id)).first()
    return None if found is None else Client._make(found)


def by_message_id(
    connection: sa.Connection, message_ids: Collection[str], addresses: Collection[str]
) -> tuple[Email, Client] | None:
    """The e-mail with one of these Message-IDs whose client has one of these addresses (folded)."""
    if not message_ids or not addresses:
        return None
    theirs = _at(addresses) & emails.c.message_id.in_(list(message_ids))
    return _pair(connection.execute(_BOTH.where(theirs).order_by(emails.c.id.desc()).limit(1)).first())


def by_addresses(connection: sa.Connection, sender: str, sent_to: Collection[str]) -> Client | None:
    """The newest client with the address `sender` of a clinic whose desk it was sent to. All folded."""
    desk = sa.or_(sa.func.lower(clinics.c.reply_to).in_(sent_to), sa.func.lower(clinics.c.from_address).in_(sent_to))
    query = sa.select(*_CLIENT).join(clinics, clinics.c.id == clients.c.clinic_id).where(_at([sender]), desk)
    if not sender or not sent_to:
        return None
    found = connection.execute(query.order_by(clients.c.id.desc()).limit(1)).first()
    return None if found is None else Client._make(found)


def _at(addresses: Collection[str]) -> sa.ColumnElement[bool]:
    """Clinic by clinic, as the index has them."""
    every_clinic = clients.c.clinic_id.in_(sa.select(clinics.c.id))
    return every_clinic & clients.c.email_folded.in_(list(addresses)) & clients.c.erased_at.is_(None)


def _pair(row: sa.Row[tuple[object, ...]] | None) -> tuple[Email, Client] | None:
    if row is None:
        return None
    return Email._make(row[: len(_EMAIL)]), Client._make(row[len(_EMAIL) :])


def sharing(connection: sa.Connection, client: Client) -> list[int]:
    """Ids of the clients of this clinic with the same address, this one among them."""
    same = (clients.c.clinic_id == client.clinic_id) & (clients.c.email_folded == client.email_folded)
    return list(connection.execute(sa.select(clients.c.id).where(same).order_by(clients.c.id)).scalars())


def soft_bounces(connection: sa.Connection, client_id: int, since: datetime) -> int:
    """How many e-mails to this client came back softly since then."""
    soft = (emails.c.client_id == client_id) & (emails.c.bounce_class == SOFT) & (emails.c.bounced_at > since)
    return connection.execute(sa.select(sa.func.count()).select_from(emails).where(soft)).scalar_one()


def taken_in(connection: sa.Connection, client: Client, digest: str) -> bool:
    """Whether this very message has changed something before. digest: SHA-256 of its bytes."""
    lines = (audit.c.clinic_id == client.clinic_id) & (audit.c.action == TAKEN_IN)
    query = sa.select(audit.c.id).where(
        lines, audit.c.subject == f"client {client.id}", audit.c.detail.contains(digest)
    )
    return connection.execute(query.limit(1)).first() is not None


def bounced(connection: sa.Connection, email: Email, bounce_class: str, now: datetime) -> None:
    values = {"bounced_at": email.bounced_at or now, "bounce_class": bounce_class}
    connection.execute(sa.update(emails).where(emails.c.id == email.id).values(values))


def proven(connection: sa.Connection, email: Email, actor: str, now: datetime) -> None:
    """The relay had it: sent, with evidence. message_id of `email`: what it went out with.

    The attempt has no mark, for it is no copy of its own.
    """
    record(connection, [_outcome(email, actor, now)])
    kept = {"marked_at": email.marked_at or email.not_before, "message_id": email.message_id}
    connection.execute(sa.update(emails).where(emails.c.id == email.id).values(kept))


def suppress_address(connection: sa.Connection, email: Email, actor: str, now: datetime) -> None:
    """Write to this address no more. Others who have it lose their e-mails too, and get a call each."""
    for client_id in suppress(connection, _outcome(email, actor, now)):
        if client_id != email.client_id:
            open_call(connection, Call(email.clinic_id, client_id, None, "bounced"), now)


def _outcome(email: Email, actor: str, now: datetime) -> Outcome:
    return Outcome(
        id=email.id,
        clinic_id=email.clinic_id,
        client_id=email.client_id,
        kind=email.kind,
        token="returned",  # noqa: S106 - no lease: a fact is written whoever holds the row
        worker=actor[:64],
        claimed_at=email.claimed_at or now,
        marked_at=None,
        ended_at=now,
        state=State.SENT,
        reason=None,
        not_before=None,
        attempts=email.attempts,
        thaw=False,
        outcome=State.SENT,
        reply="a report that came back proves it",
    )
