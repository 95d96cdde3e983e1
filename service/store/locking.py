"""Locks on clients. Writers lock the client row first, everywhere, all at once and in one order; else they deadlock."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from service.store.tables import clients


def lock_clients(connection: sa.Connection, client_ids: Iterable[int]) -> None:
    """Lock client rows in one order before touching what hangs on them. SQLite's writer is alone already.

    Not against new rows that only point at a client: such a row may stand in a transaction that waits for us.
    """
    if connection.dialect.name == "postgresql":
        # One array: an outage concerns more clients than a statement takes parameters.
        ids = sa.literal(sorted(set(client_ids)), sa.ARRAY(sa.BigInteger))
        connection.execute(
            sa.select(clients.c.id)
            .where(clients.c.id == sa.any_(ids))
            .order_by(clients.c.id)
            .with_for_update(key_share=True)
        )
