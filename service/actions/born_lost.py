"""What a new plan cannot tell its client any more, or never: a person must phone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.domain.schedule import Entry
from service.store.calls import open_calls
from service.store.tables import emails

#: A late registration asks for a call only while the treatment is this fresh.
CALL_IF_TREATED_WITHIN_DAYS = 10


def is_silenced(entries: Iterable[Entry], client_state: str) -> bool:
    """Whether a person must tell what an address that is not written to keeps from its client."""
    return client_state == "suppressed" and any(entry.state is State.PLANNED for entry in entries)


def late_step(entries: Iterable[Entry], days: int, client_state: str) -> str | None:
    """The step a person must phone about: registered too late for it, `days` after the treatment. None if none."""
    late = [entry.step for entry in entries if entry.reason is Reason.REGISTERED_LATE]
    return late[-1] if late and days <= CALL_IF_TREATED_WITHIN_DAYS and client_state == "active" else None


def call_about(connection: sa.Connection, treatment_id: int, step: str, now: datetime) -> None:
    """Open the call for a step that was born missed."""
    row = connection.execute(
        sa.select(emails.c.id, emails.c.clinic_id, emails.c.client_id).where(
            emails.c.treatment_id == treatment_id,
            emails.c.step == step,
            emails.c.state == State.MISSED,
            emails.c.replaced_at.is_(None),
        )
    ).one()
    call = {"clinic_id": row.clinic_id, "client_id": row.client_id, "email_id": row.id}
    open_calls(connection, [{**call, "reason": str(Reason.REGISTERED_LATE)}], now)
