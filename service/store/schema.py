"""Is this database ours, and of our version? `migrate` makes it so; everything else only asks.

Knows the revisions by name so that asking costs one SELECT and no import of the migration tool.
"""

from __future__ import annotations

import sqlalchemy as sa

from service.errors import BadConfiguration, Unavailable
from service.store.connecting import take_time
from service.store.engine import Store

#: Every revision in order; a test compares them with the files in migrations/versions.
REVISIONS = ("first_tables",)
HEAD = REVISIONS[-1]


def revision(store: Store) -> str | None:
    """The revision the database is at, None if it has none of our tables."""
    with store.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_current(store: Store) -> None:
    """Raises BadConfiguration when the database is empty, older or newer than this program."""
    found = revision(store)
    if found == HEAD:
        return
    if found is None:
        raise BadConfiguration(
            "there is no Aftercare database here yet",
            field="AFTERCARE_DATABASE_URL",
            next_step="Run `aftercare init`, or set AFTERCARE_DATABASE_URL or AFTERCARE_DATA_DIR to the one you have.",
        )
    if found in REVISIONS:
        raise BadConfiguration(
            f"the database is older than this program (it is at {found}, this needs {HEAD})",
            field="AFTERCARE_DATABASE_URL",
            next_step="Make a backup, then run `aftercare init` to bring it up to date.",
        )
    raise _newer(found)


def migrate(store: Store) -> bool:
    """Bring the database to HEAD in one transaction; True if anything changed. Refuses a newer one untouched."""
    # A migration tool takes half a second to import; only this command needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    found = revision(store)
    if found is not None and found not in REVISIONS:
        raise _newer(found)
    if found == HEAD:
        return False
    config = Config()
    config.set_main_option("script_location", "service.store:migrations")
    config.set_main_option("path_separator", "os")
    with store.write() as connection:
        take_time(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _require_whole(connection)
    return True


def _require_whole(connection: sa.Connection) -> None:
    """A rebuilt SQLite table must not have lost the rows that pointed at it."""
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise Unavailable(
            "the migration would leave rows without their parents; nothing was changed",
            field="AFTERCARE_DATABASE_URL",
            next_step="Keep the backup and report this.",
        )


def _newer(found: str) -> BadConfiguration:
    return BadConfiguration(
        f"the database is newer than this program (it is at {found}, this knows up to {HEAD})",
        field="AFTERCARE_DATABASE_URL",
        next_step="Install the newer Aftercare again, or restore the backup made before the upgrade.",
    )
