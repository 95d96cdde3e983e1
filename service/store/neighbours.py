"""The steps around a step: what stands in the plan of its treatment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from service.store.tables import Kind, emails


class Neighbour(NamedTuple):
    """A step that stands in a treatment's plan. day: after the treatment, as it was planned."""

    step: str
    day: int
    state: str
    due_at: datetime


def neighbours(connection: sa.Connection, treatment_ids: Sequence[int]) -> dict[int, list[Neighbour]]:
    """Treatment -> its standing reminders, by day."""
    found: dict[int, list[Neighbour]] = {}
    query = (
        sa.select(emails.c.treatment_id, emails.c.step, emails.c.day, emails.c.state, emails.c.due_at)
        .where(
            emails.c.treatment_id.in_(sorted(set(treatment_ids))),
            emails.c.kind == Kind.REMINDER,
            emails.c.replaced_at.is_(None),
            emails.c.state != sa.literal_column("'cancelled'"),  # as the unique index says it
        )
        .order_by(emails.c.treatment_id, emails.c.day)
    )
    for treatment_id, *step in connection.execute(query).all():
        found.setdefault(treatment_id, []).append(Neighbour(*step))
    return found
