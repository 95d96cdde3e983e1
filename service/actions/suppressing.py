"""Addresses we no longer write to: lift one again, with a reason that stays."""

from __future__ import annotations

import sqlalchemy as sa

from service.actions.revise import Who
from service.domain.persons import clean_line
from service.errors import NotAllowed, NotFound
from service.store import audit
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.tables import suppressions


def lift(connection: sa.Connection, clinic: Clinic, suppression_id: int, reason: str, who: Who) -> None:
    """Write to this address again. What was cancelled meanwhile stays cancelled; new plans go out.

    Raises BadInput for an empty reason, NotFound, or NotAllowed if it is lifted already.
    """
    why = clean_line("reason", reason, 300)
    mine = (suppressions.c.clinic_id == clinic.id) & (suppressions.c.id == suppression_id)
    found = connection.execute(sa.select(suppressions.c.lifted_at).where(mine).with_for_update()).one_or_none()
    if found is None:
        fix = "See `aftercare suppressions list`."
        raise NotFound(f"this clinic has no suppression {suppression_id}", field="suppression", next_step=fix)
    if found.lifted_at is not None:
        fix = "Nothing is left to do."
        raise NotAllowed(f"suppression {suppression_id} is lifted already", field="suppression", next_step=fix)
    connection.execute(sa.update(suppressions).where(mine).values(lifted_at=who.now, lifted_reason=why))
    deed = Deed(who.actor, "suppression lifted", f"suppression {suppression_id}", {})
    audit.note(connection, clinic.id, deed, who.now)
