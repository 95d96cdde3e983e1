"""Rows to try the store with, each builder one call with every default overridable. No rules: what is asked is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store import clients, clinics, marking, outbox
from service.store.clinics import Clinic
from service.store.ledger import Outcome
from service.store.outbox import ClaimedEmail, Lease
from service.store.tables import Kind, calls, emails

SMP = "scalp-micropigmentation"


def at(text: str) -> datetime:
    """'2026-11-20 16:00' as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


#: The hour at which the built rows may go out.
DUE = at("2026-11-21 10:00")


def build_clinic(connection: sa.Connection, **fields: str) -> Clinic:
    return clinics.add(connection, {"name": "Northgate", "timezone": "Europe/London", **fields}, at("2026-01-01 00:00"))


def build_client(connection: sa.Connection, clinic: Clinic, who: str = "sam", **fields: Any) -> int:
    values = {
        "clinic_id": clinic.id,
        "name": who,
        "name_folded": who,
        "email": f"{who}@example.com",
        "email_folded": f"{who}@example.com",
        "language": "en",
        "consent_on": date(2026, 11, 20),
        "consent_by": "desk",
        "created_at": at("2026-11-20 16:00"),
    }
    return clients.add(connection, values | fields)


def build_treatment(connection: sa.Connection, clinic: Clinic, client_id: int, **fields: Any) -> int:
    values = {
        "clinic_id": clinic.id,
        "client_id": client_id,
        "protocol": SMP,
        "area": "scalp",
        "treated_on": date(2026, 11, 20),
        "created_at": at("2026-11-20 16:00"),
        "created_by": "desk",
    }
    return clients.add_treatment(connection, values | fields)


def build_email(connection: sa.Connection, clinic: Clinic, client_id: int, **fields: Any) -> int:
    """A planned reminder that may go out at DUE; with a state, whatever that state needs by the constraints."""
    values = {
        "clinic_id": clinic.id,
        "client_id": client_id,
        "kind": Kind.REMINDER,
        "protocol": SMP,
        "step": "day-01",
        "day": 1,
        "language": "en",
        "state": State.PLANNED,
        "due_at": DUE,
        "useful_until": at("2026-11-22 12:00"),
        "planned_at": at("2026-11-20 16:00"),
    } | fields
    values.setdefault("not_before", values["due_at"])
    if values["state"] == State.SENT:
        values.setdefault("sent_at", values["due_at"])
    if values["state"] in (State.IN_DOUBT, State.UNCONFIRMED):
        values.setdefault("doubt_since", values["due_at"])
    new_id: int = connection.execute(sa.insert(emails).values(values).returning(emails.c.id)).scalar_one()
    return new_id


def multiply(connection: sa.Connection, email_id: int, copies: int) -> None:
    """So many more rows like this one, in one statement."""
    names = [column.name for column in emails.c if column.name != "id"]
    connection.execute(
        sa.text(
            f"INSERT INTO emails ({', '.join(names)})"
            f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies})"
            f" SELECT {', '.join(f'emails.{name}' for name in names)} FROM emails, n WHERE emails.id = {email_id}"
        )
    )


def claim(
    connection: sa.Connection, ids: Sequence[int], now: datetime = DUE, lease: Lease | None = None
) -> list[ClaimedEmail]:
    """Claim rows as worker w1 with token t1 for 20 minutes, unless a lease says otherwise."""
    return outbox.claim(connection, ids, lease or Lease("w1", "t1", 1200), now)


def mark(connection: sa.Connection, row: ClaimedEmail, now: datetime = DUE, lease_seconds: int = 1200) -> None:
    """Mark a claimed row as a worker does whose message is about to be said."""
    frozen = {"message_id": f"<{row.id}@example.com>", "frame_version": "f1", "facts": '{"a":"b"}', "digest": "d" * 64}
    values = {**frozen, "id": row.id, "marked_at": now, "text_version": 1, "dated": now.isoformat()}
    marking.mark(connection, [tuple(values.get(name) for name in marking.MARKED)], lease_seconds)


def outcome(row: ClaimedEmail, state: State, **fields: Any) -> Outcome:
    """What became of a claimed row one minute after DUE, in the words of a relay."""
    values: dict[str, Any] = {
        "id": row.id,
        "clinic_id": row.clinic_id,
        "client_id": row.client_id,
        "kind": row.kind,
        "token": row.token,
        "worker": "w1",
        "claimed_at": row.claimed_at,
        "marked_at": DUE,
        "ended_at": at("2026-11-21 10:01"),
        "state": state,
        "reason": None if state is State.SENT else Reason.TRY_AGAIN,
        "not_before": None,
        "attempts": row.attempts + 1,
        "thaw": False,
        "outcome": str(state),
        "stage": "message",
        "code": 250,
        "reply": "2.0.0 OK",
    }
    return Outcome(**(values | fields))


def the_email(connection: sa.Connection, email_id: int) -> Any:
    return connection.execute(sa.select(emails).where(emails.c.id == email_id)).one()


def all_calls(connection: sa.Connection) -> list[tuple[int | None, str, str]]:
    """(e-mail, reason, state) of every call, in the order they were opened."""
    query = sa.select(calls.c.email_id, calls.c.reason, calls.c.state).order_by(calls.c.id)
    return [(row.email_id, row.reason, row.state) for row in connection.execute(query)]


def wait_until_somebody_waits(connection: sa.Connection, how_many: int = 1) -> None:
    """On PostgreSQL: until other transactions stand still before a lock; fails if they never do."""
    waiting = sa.text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
    enough = (connection.execute(waiting).scalar_one() >= how_many for _ in range(100_000))
    assert any(enough), "nobody waits"
