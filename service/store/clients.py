"""Clients and their treatments: find and save, always inside one clinic."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from service.domain.finding import found_by
from service.errors import BadInput, NotFound
from service.store import client_words
from service.store.outbox import after_marks
from service.store.tables import clients, emails, suppressions, treatments

#: Whether this client's address is suppressed at its clinic.
is_suppressed = (
    sa.select(sa.literal(1))
    .where(
        suppressions.c.clinic_id == clients.c.clinic_id,
        suppressions.c.email_folded == clients.c.email_folded,
        suppressions.c.lifted_at.is_(None),
    )
    .exists()
)
#: One word for a client, the gravest first.
client_state = sa.case(
    (clients.c.erased_at.is_not(None), "erased"),
    (clients.c.stopped_at.is_not(None), "stopped"),
    (is_suppressed, "suppressed"),
    (clients.c.consent_on.is_(None), "no_consent"),
    (clients.c.paused_at.is_not(None), "paused"),
    else_="active",
).label("state")


def get(connection: sa.Connection, clinic_id: int, client_id: int, *, lock: bool = False) -> sa.RowMapping:
    """One client with `state`. Raises NotFound, the same for an unknown id and another clinic's."""
    query = sa.select(clients, client_state).where(clients.c.clinic_id == clinic_id, clients.c.id == client_id)
    if lock:
        query = query.with_for_update(of=clients, key_share=True)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"this clinic has no client {client_id}", field="client", next_step="See `aftercare client list`."
        )
    return row


def find(connection: sa.Connection, clinic_id: int, who: dict[str, str]) -> sa.RowMapping | None:
    """The same person: same client_ref if one is given, else same address and folded name."""
    mine = (clients.c.clinic_id == clinic_id) & clients.c.erased_at.is_(None)
    if who.get("client_ref"):
        which = mine & (clients.c.client_ref == who["client_ref"])
    else:
        which = mine & (clients.c.email_folded == who["email_folded"]) & (clients.c.name_folded == who["name_folded"])
    query = sa.select(clients, client_state).where(which).order_by(clients.c.id).limit(1)
    return connection.execute(query).mappings().one_or_none()


def add(connection: sa.Connection, values: dict[str, Any]) -> int:
    """A new client's id. Raises BadInput if somebody else is registering the same person at this moment."""
    words = found_by(values["name"], values.get("phone", ""))
    added = sa.insert(clients).values(**values, found_by=client_words.line(words)).returning(clients.c.id)
    with _one_person():
        new_id: int = connection.execute(added).scalar_one()
    client_words.add(connection, [(values["clinic_id"], word, new_id) for word in words])
    return new_id


def change(connection: sa.Connection, client_id: int, values: dict[str, Any]) -> None:
    """Set fields of a client. Raises BadInput like `add`."""
    if values:
        with _one_person():
            connection.execute(sa.update(clients).where(clients.c.id == client_id).values(**values))
        if values.keys() & client_words.CAUSES:
            client_words.renew(connection, client_id)


@contextmanager
def _one_person() -> Iterator[None]:
    try:
        yield
    except sa.exc.IntegrityError as error:
        if "unique" not in str(error.orig).lower():
            raise
        raise BadInput(
            "this person has just been registered by somebody else",
            field="email",
            next_step="See `aftercare client list`.",
        ) from error


def listed(connection: sa.Connection, clinic_id: int, limit: int | None = None) -> list[sa.RowMapping]:
    query = sa.select(clients, client_state).where(clients.c.clinic_id == clinic_id).order_by(clients.c.id)
    return list(connection.execute(query.limit(limit)).mappings())


def get_treatment(connection: sa.Connection, clinic_id: int, treatment_id: int, *, lock: bool = True) -> sa.RowMapping:
    """One treatment, its client locked first unless it is only read. Raises NotFound like `get`."""
    query = sa.select(treatments).where(treatments.c.clinic_id == clinic_id, treatments.c.id == treatment_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"this clinic has no treatment {treatment_id}",
            field="treatment",
            next_step="See `aftercare treatment list`.",
        )
    if not lock:
        return row
    get(connection, clinic_id, row["client_id"], lock=True)
    return connection.execute(query).mappings().one()


def find_treatment(connection: sa.Connection, client_id: int, protocol: str, on: date) -> sa.RowMapping | None:
    query = sa.select(treatments).where(
        treatments.c.client_id == client_id,
        treatments.c.protocol == protocol,
        treatments.c.treated_on == on,
        treatments.c.cancelled_at.is_(None),
    )
    return connection.execute(query).mappings().one_or_none()


def add_treatment(connection: sa.Connection, values: dict[str, Any]) -> int:
    added = sa.insert(treatments).values(**values).returning(treatments.c.id)
    new_id: int = connection.execute(added).scalar_one()
    return new_id


def change_treatment(connection: sa.Connection, treatment_id: int, values: dict[str, Any]) -> None:
    connection.execute(sa.update(treatments).where(treatments.c.id == treatment_id).values(**values))


def live_treatments(connection: sa.Connection, client_id: int, area: str) -> list[sa.RowMapping]:
    """A client's treatments of one area that are not cancelled, oldest first."""
    query = (
        sa.select(treatments)
        .where(treatments.c.client_id == client_id, treatments.c.area == area, treatments.c.cancelled_at.is_(None))
        .order_by(treatments.c.treated_on, treatments.c.id)
    )
    return list(connection.execute(query).mappings())


def list_treatments(
    connection: sa.Connection, clinic_id: int, client_id: int | None = None, limit: int | None = None
) -> list[sa.RowMapping]:
    query = sa.select(treatments).where(treatments.c.clinic_id == clinic_id)
    if client_id is not None:
        query = query.where(treatments.c.client_id == client_id)
    query = query.order_by(treatments.c.treated_on, treatments.c.id).limit(limit)
    return list(connection.execute(query).mappings())


def has_treatment(connection: sa.Connection, clinic_id: int, protocol: str) -> bool:
    """Whether this clinic ever registered a treatment with this protocol."""
    mine = (treatments.c.clinic_id == clinic_id) & (treatments.c.protocol == protocol)
    return connection.execute(sa.select(treatments.c.protocol).where(mine).limit(1)).first() is not None


def forget_suppressed(connection: sa.Connection, clinic_id: int, email_folded: str, gone: str) -> None:
    """Blank an erased client's address among those not written to, unless another client still has it."""
    others = sa.select(clients.c.id).where(clients.c.clinic_id == clinic_id, clients.c.email_folded == email_folded)
    if connection.execute(others).first() is None:
        theirs = (suppressions.c.clinic_id == clinic_id) & (suppressions.c.email_folded == email_folded)
        connection.execute(sa.update(suppressions).where(theirs).values(email_folded=gone))


def suppressed(connection: sa.Connection, clinic_id: int, email_folded: str) -> bool:
    query = sa.select(suppressions.c.id).where(
        suppressions.c.clinic_id == clinic_id,
        suppressions.c.email_folded == email_folded,
        suppressions.c.lifted_at.is_(None),
    )
    return connection.execute(query).first() is not None


@dataclass(frozen=True)
class Dead:
    """An address that is not written to any more. folded: as it is compared. email_id: the e-mail that showed it."""

    clinic_id: int
    folded: str
    reason: str
    email_id: int | None = None


def suppress(connection: sa.Connection, dead: Dead, now: datetime) -> datetime:
    """Since when this address is not written to: from now on, if it still was.

    Call under the locks of all clients who have it: a mark that was under way has been waited for, and came before.
    """
    same = (suppressions.c.clinic_id == dead.clinic_id) & (suppressions.c.email_folded == dead.folded)
    active = sa.select(suppressions.c.created_at).where(same, suppressions.c.lifted_at.is_(None))
    known: datetime | None = connection.execute(active).scalar_one_or_none()
    if known is not None:
        return known
    whose = sa.select(clients.c.id).where(clients.c.clinic_id == dead.clinic_id, clients.c.email_folded == dead.folded)
    since = after_marks(connection, emails.c.client_id.in_(whose), now)
    row = {"clinic_id": dead.clinic_id, "email_folded": dead.folded, "reason": dead.reason}
    connection.execute(sa.insert(suppressions), {**row, "email_id": dead.email_id, "created_at": since})
    return since


def names(connection: sa.Connection, clinic_id: int, ids: Collection[int]) -> dict[int, str]:
    """Client id -> name, for those of this clinic."""
    query = sa.select(clients.c.id, clients.c.name).where(
        clients.c.clinic_id == clinic_id, clients.c.id.in_(sorted(ids))
    )
    return {row.id: row.name for row in connection.execute(query)}
