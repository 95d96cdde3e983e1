"""Is this database ours, and of our version? `migrate` makes it so; everything else only asks.

Knows the revisions by name so that asking costs one SELECT and no import of the migration tool.
"""

from __future__ import annotations

from pathlib import Path

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
        raise _nothing_at(store.url)
    if found in REVISIONS:
        raise BadConfiguration(
            f"the database is older than this program (it is at {found}, this needs {HEAD})",
            field="AFTERCARE_DATABASE_URL",
            next_step="Make a backup, then run `aftercare init` to bring it up to date.",
        )
    raise _newer(found)


def require_file(database: str) -> None:
    """Raises BadConfiguration where SQLite's file is missing: opening it would make an empty one."""
    url = sa.make_url(database)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        raise _nothing_at(url)


def _nothing_at(url: sa.URL) -> BadConfiguration:
    """No tables of ours there."""
    is_file = url.get_backend_name() == "sqlite"
    where = Path(url.database or "").absolute() if is_file else f"{url.database} on {url.host or 'this machine'}"
    return BadConfiguration(
        f"there is no Aftercare database at {where}",
        field="AFTERCARE_DATABASE_URL",
        next_step="Go to the folder in which `aftercare init` was run, or set AFTERCARE_DATA_DIR or "
        "AFTERCARE_DATABASE_URL to what you have. The first time: `aftercare init`.",
    )


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
    if found is None and store.is_sqlite:
        _make_private(Path(store.url.database or ""))
    config = Config()
    config.set_main_option("script_location", "service.store:migrations")
    config.set_main_option("path_separator", "os")
    with store.write() as connection:
        take_time(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _require_whole(connection)
    return True


def _make_private(file: Path) -> None:
    """A new SQLite file and what lies beside it: for this user alone, whatever the umask."""
    for one in (file, *(file.with_name(file.name + suffix) for suffix in ("-wal", "-shm"))):
        if one.exists():
            one.chmod(0o600)


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
