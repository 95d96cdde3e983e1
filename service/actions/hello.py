"""The hello: a neutral note at registration that proves an address while the client is still at the desk."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from service.domain.reminder import State
from service.errors import NotAllowed
from service.store import clients, outbox
from service.store.clinics import Clinic
from service.store.tables import Kind

#: A hello that comes later than this proves nothing at the desk any more.
USEFUL_FOR = timedelta(hours=24)


def say_hello(connection: sa.Connection, clinic: Clinic, client_id: int, now: datetime) -> None:
    """Plan the neutral note that proves the address while the client is still at the desk."""
    client = clients.get(connection, clinic.id, client_id, lock=True)
    if client["state"] != "active":
        raise NotAllowed(
            f"client {client_id} is {client['state'].replace('_', ' ')}: nothing may be sent",
            field="hello",
            next_step="Leave --hello out.",
        )
    row = {"kind": Kind.HELLO, "clinic_id": clinic.id, "client_id": client_id, "language": client["language"]}
    times = {"due_at": now, "not_before": now, "planned_at": now, "useful_until": now + USEFUL_FOR}
    outbox.add(connection, [{**row, **times, "state": State.PLANNED}])
