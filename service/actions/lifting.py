"""Lifts the suppression of a client's address, from the client's page: the client's story tells it too."""

from __future__ import annotations

import sqlalchemy as sa

from service.actions.revise import Who, note
from service.actions.suppressing import lift
from service.store import clients, story
from service.store.clinics import Clinic


def lift_for(connection: sa.Connection, clinic: Clinic, client_id: int, who: Who) -> None:
    """Write to the client's address again, for the reason that `who` gives. Nothing to do if it is written to."""
    client = clients.get(connection, clinic.id, client_id, lock=True)
    found = story.suppression(connection, clinic.id, client["email_folded"])
    if found is None:
        return
    lift(connection, clinic, found["id"], who.why, who)
    note(connection, clinic, client_id, ("address written to again", {"suppression": found["id"]}), who)
