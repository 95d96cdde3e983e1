"""Plans again what was ended for a cause that is gone: a newer treatment cancelled or moved, an address mended.

A step planned again is a new row with the old row's window; final states never change. What is too late stays ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.actions.register import WITHHELD, plan_rows
from service.domain.reminder import Reason, State
from service.store import clients, outbox
from service.store.tables import emails, treatments


def give_back(connection: sa.Connection, clinic_id: int, client_id: int, area: str, now: datetime) -> None:
    """Plan again what the treatment that is now the newest of its area had lost to a newer one (P7)."""
    remaining = clients.live_treatments(connection, client_id, area)
    if remaining:
        lost = [
            row
            for row in plan_rows(connection, remaining[-1]["id"])
            if (row["state"], row["reason"]) == (State.CANCELLED, Reason.SUPERSEDED)
        ]
        plan_again(connection, clinic_id, lost, now)


def write_to_new_address(connection: sa.Connection, clinic_id: int, client_id: int, now: datetime) -> None:
    """Plan again what did not arrive, or perhaps did not, at the address a client had before (P6)."""
    query = (
        sa.select(treatments.c.area, treatments.c.id)
        .where(treatments.c.client_id == client_id, treatments.c.cancelled_at.is_(None))
        .order_by(treatments.c.treated_on, treatments.c.id)
    )
    newest_of_area = {row.area: row.id for row in connection.execute(query)}
    for treatment_id in newest_of_area.values():
        lost = [row for row in plan_rows(connection, treatment_id) if did_not_arrive(row)]
        plan_again(connection, clinic_id, lost, now)


def did_not_arrive(row: sa.RowMapping) -> bool:
    """Refused, come back, unconfirmed, or never tried because the address was not written to."""
    if row["state"] == State.SENT:
        return row["bounced_at"] is not None
    suppressed = row["state"] == State.CANCELLED and row["reason"] == Reason.SUPPRESSED
    return suppressed or row["state"] in (State.FAILED, State.UNCONFIRMED)


def plan_again(connection: sa.Connection, clinic_id: int, rows: Iterable[sa.RowMapping], now: datetime) -> None:
    """New rows for those that are still useful; the old ones are replaced and no longer hold the step."""
    useful = [row for row in rows if row["useful_until"] > now]
    if not useful:
        return
    client = clients.get(connection, clinic_id, useful[0]["client_id"])
    standing = emails.c.id.in_([row["id"] for row in useful if row["state"] != State.CANCELLED])
    connection.execute(sa.update(emails).where(standing).values(replaced_at=now))
    outbox.add(connection, [_anew(client, row, now) for row in useful])


_SAME = ("clinic_id", "client_id", "treatment_id", "kind", "protocol", "step", "day", "due_at", "useful_until")


def _anew(client: sa.RowMapping, row: sa.RowMapping, now: datetime) -> dict[str, Any]:
    state, reason = WITHHELD.get(client["state"], (State.PLANNED, None))
    return {
        **{name: row[name] for name in _SAME},
        "language": client["language"],
        "state": state,
        "reason": reason,
        "not_before": max(row["due_at"], now),
        "planned_at": now,
        "ended_at": now if state is State.CANCELLED else None,
    }
