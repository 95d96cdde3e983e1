"""The call list: what could not be told by e-mail and a person must tell. One call for one e-mail at most."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.domain.protocol import Level, gravest
from service.domain.reminder import Reason
from service.errors import NotFound
from service.store.tables import calls, clients, emails

#: An outage ends in more rows than one statement takes parameters.
CHUNK = 1000
_OPEN: sa.ColumnElement[str] = sa.literal_column("'open'")
#: A person is asked to call within this time.
CALL_WITHIN = timedelta(hours=2)
#: After a red answer, sooner. The gravest first.
RED_WITHIN = {
    Level.EMERGENCY: timedelta(minutes=15),
    Level.DOCTOR: timedelta(minutes=15),
    Level.TODAY: timedelta(hours=1),
}
RED_ANSWER = "red_answer"
#: The outcome of a call that nobody need make: its visit was registered by mistake. No one chooses it.
UNDONE = "undone"


def call_within(level: str | None) -> timedelta:
    """How long a person has for a call of that level; None: it has none."""
    return RED_WITHIN[Level(level)] if level in RED_WITHIN else CALL_WITHIN


def open_calls(connection: sa.Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Open one call a row: clinic_id, client_id, email_id (or None), reason. An e-mail that has one keeps it.

    Treatments registered late: one open call a client, however many there are.
    """
    rows = _once_a_client(connection, rows)
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        asked = sa.select(calls.c.email_id).where(calls.c.email_id.in_([row["email_id"] for row in some]))
        known = set(connection.execute(asked).scalars())
        fresh = [
            {**row, "opened_at": now, "due_at": now + CALL_WITHIN, "state": "open"}
            for row in some
            if row["email_id"] not in known
        ]
        if fresh:
            connection.execute(sa.insert(calls), fresh)


class Call(NamedTuple):
    """A call to open. email_id None: about the client."""

    clinic_id: int
    client_id: int
    email_id: int | None
    reason: str


def open_call(connection: sa.Connection, call: Call, now: datetime) -> None:
    """Open a call unless one for this e-mail, or for this client and reason, is open; what is closed stays closed."""
    email_id = call.email_id
    if email_id is not None:
        known = connection.execute(sa.select(calls.c.state).where(calls.c.email_id == email_id)).scalar_one_or_none()
        if known == "open":
            return
        email_id = None if known else email_id
    waiting = (calls.c.client_id == call.client_id) & (calls.c.reason == call.reason) & (calls.c.state == "open")
    if email_id is None and connection.execute(sa.select(calls.c.id).where(waiting).limit(1)).first() is not None:
        return
    whose = {"clinic_id": call.clinic_id, "client_id": call.client_id}
    open_calls(connection, [{**whose, "email_id": email_id, "reason": call.reason}], now)


def _once_a_client(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    late = [row for row in rows if row["reason"] == Reason.REGISTERED_LATE]
    if not late:
        return rows
    one_each = {row["client_id"]: row for row in reversed(late)}
    for start in range(0, len(late), CHUNK):
        ids = [row["client_id"] for row in late[start : start + CHUNK]]
        asked = sa.select(calls.c.client_id).where(
            calls.c.client_id.in_(ids), calls.c.state == _OPEN, calls.c.reason == Reason.REGISTERED_LATE
        )
        for client_id in connection.execute(asked).scalars():
            one_each.pop(client_id, None)
    return [row for row in rows if row["reason"] != Reason.REGISTERED_LATE or one_each.get(row["client_id"]) is row]


def open_red(connection: sa.Connection, clinic_id: int, client_id: int, level: Level, now: datetime) -> int:
    """The id of the client's one open call for a red answer: opened, or raised to `level` if that is graver.

    level: a key of RED_WITHIN. The client row is locked: two answers at once open one call.
    """
    due_at = now + RED_WITHIN[level]
    mine = (calls.c.clinic_id == clinic_id) & (calls.c.client_id == client_id)
    asked = sa.select(calls.c.id, calls.c.level, calls.c.due_at).where(
        mine, calls.c.state == _OPEN, calls.c.reason == RED_ANSWER
    )
    known = connection.execute(asked.order_by(calls.c.id).with_for_update()).first()
    if known is None:
        call = {"clinic_id": clinic_id, "client_id": client_id, "reason": RED_ANSWER, "level": level}
        new = sa.insert(calls).values(**call, opened_at=now, due_at=due_at, state="open")
        return int(connection.execute(new.returning(calls.c.id)).scalar_one())
    if gravest(level, Level(known.level)) != known.level:
        raised = {"level": level, "due_at": min(due_at, known.due_at)}
        connection.execute(sa.update(calls).where(calls.c.id == known.id).values(raised))
    return int(known.id)


# By client: the one way to a call that has an index and finds few rows.
_MISSED_AND_OPEN = (
    sa.select(calls.c.id, calls.c.client_id, emails.c.treatment_id, emails.c.step)
    .join(emails, emails.c.id == calls.c.email_id)
    .where(
        calls.c.state == _OPEN,
        calls.c.client_id.in_(sa.bindparam("b_clients", expanding=True)),
        emails.c.state == "missed",
    )
)


def cover(connection: sa.Connection, said: Collection[tuple[int, int, str]], now: datetime) -> None:
    """Close as covered the open calls for missed steps that a later e-mail, sent in time, has made up for.

    said: those steps as (client id, treatment id, step).
    """
    if not said:
        return
    found = connection.execute(_MISSED_AND_OPEN, {"b_clients": sorted({client_id for client_id, _, _ in said})})
    covered = [call_id for call_id, *step in found if tuple(step) in said]
    if covered:
        connection.execute(
            sa.update(calls)
            .where(calls.c.state == _OPEN, calls.c.id.in_(covered))
            .values(state="covered", closed_at=now, closed_by="aftercare")
        )


def cover_bounced(connection: sa.Connection, client_id: int, now: datetime) -> None:
    """The address is mended: nobody has to phone for it any more."""
    mine = (calls.c.client_id == client_id) & (calls.c.reason == "bounced") & (calls.c.state == _OPEN)
    connection.execute(sa.update(calls).where(mine).values(state="covered", closed_at=now, closed_by="aftercare"))


def listed(
    connection: sa.Connection, clinic_id: int, state: str | None = None, limit: int | None = None, skip: int = 0
) -> list[sa.RowMapping]:
    """Calls of a clinic with the client's name and phone: by deadline; those that are done, the newest first."""
    order = (
        (calls.c.closed_at.desc(), calls.c.id.desc())
        if state in ("closed", "covered")
        else (calls.c.due_at, calls.c.id)
    )
    query = _with_client().where(calls.c.clinic_id == clinic_id).order_by(*order).limit(limit).offset(skip)
    if state == "open":
        query = query.where(calls.c.state == _OPEN)
    elif state is not None:
        query = query.where(calls.c.state == state)
    return list(connection.execute(query).mappings())


def _with_client() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(calls, clients.c.name, clients.c.phone).join(clients, clients.c.id == calls.c.client_id)


def get(connection: sa.Connection, clinic_id: int, call_id: int) -> sa.RowMapping:
    """One call with the client's name and phone. Raises NotFound if this clinic has none of that id."""
    query = _with_client().where(calls.c.clinic_id == clinic_id, calls.c.id == call_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"this clinic has no call {call_id}", field="call", next_step="See `aftercare calls list`.")
    return row


def of_client(connection: sa.Connection, clinic_id: int, client_id: int) -> list[sa.RowMapping]:
    """All calls to one client, the newest first."""
    query = _with_client().where(calls.c.clinic_id == clinic_id, calls.c.client_id == client_id)
    return list(connection.execute(query.order_by(calls.c.id.desc())).mappings())


class Waiting(NamedTuple):
    """How many calls are open, how many of them past their deadline, and the first deadline."""

    open: int
    overdue: int
    first_due: datetime | None


def count_open(connection: sa.Connection, clinic_id: int, now: datetime) -> Waiting:
    mine = (calls.c.clinic_id == clinic_id) & (calls.c.state == _OPEN)
    count, first = sa.func.count(), sa.func.min(calls.c.due_at)
    found = connection.execute(sa.select(count, count.filter(calls.c.due_at <= now), first).where(mine)).one()
    return Waiting(*found)
