"""Runs migrations on the connection it is handed, or on AFTERCARE_DATABASE_URL when alembic is called by hand."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from service.settings import read_settings
from service.store.engine import Instant, Store
from service.store.tables import metadata


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our instant type by its short name."""
    if kind == "type" and isinstance(item, Instant):
        autogen.imports.add("from service.store.engine import Instant")
        return "Instant()"
    return False


def run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",
        # One transaction around all: a failed migration leaves nothing half-written.
        transaction_per_migration=False,
    )
    context.run_migrations()


given: sa.Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    store = Store(read_settings().database)
    try:
        with store.write() as connection:
            run(connection)
    finally:
        store.close()
