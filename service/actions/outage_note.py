"""The note that a clinic's owner keeps about an outage: what it was, in one line, for whoever reads of it later."""

from __future__ import annotations

import sqlalchemy as sa

from service.actions.revise import Who
from service.actions.watch import note_outage
from service.errors import NotAllowed
from service.store import audit, clinics
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.outages import Outage


def may_note(connection: sa.Connection) -> bool:
    """Whether a clinic may write such a note: every clinic reads it, so only one that is alone here."""
    return len(clinics.every(connection)) == 1


def keep_note(connection: sa.Connection, clinic: Clinic, outage_id: int, text: str, who: Who) -> Outage:
    """One line of at most 1000 characters; it replaces an older one. Raises BadInput, NotFound, NotAllowed."""
    if not may_note(connection):
        fix = "Ask whoever runs this program."
        raise NotAllowed("Several clinics share this program, and all of them would read the note", next_step=fix)
    noted = note_outage(connection, outage_id, text)
    audit.note(connection, clinic.id, Deed(who.actor, "outage noted", f"outage {outage_id}", {}), who.now)
    return noted
