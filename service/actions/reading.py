"""Who looked at a client's record: one line of the audit an hour for each staff member and client."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.store import audit
from service.store.audit import Deed
from service.store.engine import Store

ONCE_IN = timedelta(hours=1)


def note_read(store: Store, clinic_id: int, actor: str, client_id: int, now: datetime) -> None:
    """Write down that somebody opened a client's record, unless that was written in the last hour.

    actor: the staff member's address. Raises Unavailable where it cannot be written: what cannot be noted is not shown.
    """
    deed, since = Deed(actor, "client opened", f"client {client_id}", {}), now - ONCE_IN
    with store.read() as connection:
        if audit.is_noted(connection, clinic_id, deed, since):
            return
    with store.write() as connection:
        audit.lock_chain(connection, clinic_id)
        if not audit.is_noted(connection, clinic_id, deed, since):
            audit.note(connection, clinic_id, deed, now)
