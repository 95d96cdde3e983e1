"""The migrations make exactly what service/store/tables.py says, on both databases."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from service.store import schema
from service.store.engine import Store
from service.store.tables import metadata

ROOT = Path(__file__).parent.parent


@pytest.fixture
def unmigrated_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    """A second, empty database of the same kind as `database_url`."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'unmigrated.db'}"
        return
    server: sa.URL = request.getfixturevalue("postgres_url")
    name = f"unmigrated_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    engine.dispose()


def alembic_config() -> Config:
    """What `python -m alembic` reads in the project's root."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("path_separator", "os")
    return config


def script_directory() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config())


def test_the_program_knows_every_revision_in_order() -> None:
    scripts = [script.revision for script in script_directory().walk_revisions()]
    assert tuple(reversed(scripts)) == schema.REVISIONS
    assert script_directory().get_heads() == [schema.HEAD]


def test_migrations_are_named_date_first_and_by_what_they_change() -> None:
    names = [Path(script.path).name for script in script_directory().walk_revisions()]
    assert [name for name in names if not re.fullmatch(r"\d{4}_\d{2}_\d{2}_[a-z0-9_]+\.py", name)] == []


def test_the_migrations_make_what_the_tables_say(store: Store, unmigrated_url: str) -> None:
    planned = Store(unmigrated_url)
    with planned.write() as connection:
        metadata.create_all(connection)
    describe = _sqlite_schema if store.is_sqlite else _postgresql_schema
    with planned.read() as connection:
        wanted = describe(connection)
    planned.close()
    with store.read() as connection:
        made = describe(connection)
    assert len(wanted) > 20
    assert made == wanted


def _sqlite_schema(connection: sa.Connection) -> dict[str, list[str]]:
    """Object -> the parts of its CREATE, in one order; triggers are the migrations' alone."""
    found = connection.exec_driver_sql(
        "SELECT type, name, sql FROM sqlite_master"
        " WHERE type <> 'trigger' AND sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    )
    return {f"{kind} {name}": sorted(_parts(sql)) for kind, name, sql in found}


def _parts(sql: str) -> list[str]:
    """Split at the commas of the outermost brackets, spaces folded."""
    parts, depth, part = [], 0, ""
    for character in " ".join(sql.split()):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 1:
            parts.append(part.strip())
            part = ""
        elif not (character == "(" and depth == 1):
            part += character
    return [*parts, part.removesuffix(")").strip()]


def _postgresql_schema(connection: sa.Connection) -> dict[str, str]:
    constraints = connection.exec_driver_sql(
        "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'alembic%%'"
    )
    indexes = connection.exec_driver_sql(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%%'"
    )
    columns = connection.exec_driver_sql(
        "SELECT table_name || '.' || column_name, concat_ws(' ', data_type, character_maximum_length, is_nullable,"
        " column_default) FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%%'"
    )
    return {name: text for rows in (constraints, indexes, columns) for name, text in rows}


def test_the_migration_tool_called_by_hand_migrates_the_database_of_the_settings(
    unmigrated_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AFTERCARE_DATABASE_URL", unmigrated_url)
    monkeypatch.setenv("AFTERCARE_DATA_DIR", str(tmp_path))
    command.upgrade(alembic_config(), "head")
    store = Store(unmigrated_url)
    schema.require_current(store)
    store.close()


def test_there_is_no_way_back_before_the_first_tables(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AFTERCARE_DATABASE_URL", database_url)
    monkeypatch.setenv("AFTERCARE_DATA_DIR", str(tmp_path))
    with pytest.raises(RuntimeError, match="restore a backup"):
        command.downgrade(alembic_config(), "base")
    store = Store(database_url)
    schema.require_current(store)
    store.close()


def test_a_column_added_to_the_tables_alone_is_seen(store: Store) -> None:
    """The comparison above can fail: one index less in the database is found."""
    describe = _sqlite_schema if store.is_sqlite else _postgresql_schema
    with store.write() as connection:
        before = describe(connection)
        connection.exec_driver_sql("DROP INDEX ix_emails_due")
        connection.exec_driver_sql("ALTER TABLE clinics ADD COLUMN extra INTEGER")
        after = describe(connection)
    assert set(before) - set(after) == ({"index ix_emails_due"} if store.is_sqlite else {"ix_emails_due"})
    assert [name for name in after if after[name] != before.get(name)] != []
