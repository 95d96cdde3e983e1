"""The treatment of a client that a preview is made for, and its protocol with the days that were planned."""

from __future__ import annotations

import sqlalchemy as sa

from service.domain.own_steps import as_planned
from service.domain.protocol import FollowUpProtocol
from service.errors import BadInput, NotFound
from service.store import clients
from service.store.clinics import Clinic
from service.store.neighbours import neighbours


def newest_treatment(
    connection: sa.Connection, clinic: Clinic, protocol: FollowUpProtocol, client_id: int
) -> tuple[sa.RowMapping, sa.RowMapping]:
    """The client, and the newest treatment of that protocol. Raises NotFound or BadInput if there is none."""
    client = clients.get(connection, clinic.id, client_id)
    if client["state"] == "erased":
        raise NotFound(f"client {client_id} is erased", field="client", next_step="Leave --client out.")
    treated = [
        row
        for row in clients.list_treatments(connection, clinic.id, client_id)
        if row["protocol"] == protocol.key and row["cancelled_at"] is None
    ]
    if not treated:
        raise BadInput(
            f"client {client_id} has no such treatment",
            field="client",
            next_step="Register it with `aftercare treatment add`, or leave --client out for a sample.",
        )
    return client, treated[-1]


def planned_protocol(connection: sa.Connection, protocol: FollowUpProtocol, treatment_id: int) -> FollowUpProtocol:
    """The protocol with the days on which the steps of this treatment were planned, whatever was set since."""
    steps = neighbours(connection, [treatment_id]).get(treatment_id, [])
    return as_planned(protocol, [(step.step, step.day) for step in steps])
