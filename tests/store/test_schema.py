from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.domain.reminder import State
from service.errors import BadConfiguration, Unavailable
from service.store import schema
from service.store.engine import Store
from service.store.schema import migrate, require_current, revision
from service.store.tables import OPERATIONAL, Kind, Role, metadata


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'empty.db'}")


def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(store: Store) -> None:
    require_current(store)
    assert revision(store) == schema.HEAD
    assert migrate(store) is False


def test_an_empty_database_is_refused_until_it_is_migrated(empty: Store) -> None:
    assert revision(empty) is None
    with pytest.raises(BadConfiguration, match="no Aftercare database at") as refusal:
        require_current(empty)
    assert "aftercare init" in (refusal.value.next_step or "")
    assert migrate(empty) is True
    require_current(empty)
    empty.close()


def test_a_database_newer_than_the_program_is_refused_and_left_as_it_is(store: Store) -> None:
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    with pytest.raises(BadConfiguration, match="newer than this program"):
        require_current(store)
    with pytest.raises(BadConfiguration, match="newer than this program"):
        migrate(store)
    assert revision(store) == "from_the_future"


def test_a_database_older_than_the_program_says_how_to_bring_it_up_to_date(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "something_later"))
    monkeypatch.setattr(schema, "HEAD", "something_later")
    with pytest.raises(BadConfiguration, match="older than this program") as refusal:
        require_current(store)
    assert "backup" in (refusal.value.next_step or "")


def test_a_migration_that_fails_leaves_nothing_half_written(empty: Store) -> None:
    with empty.write() as connection:
        # The last table the migration makes is in its way.
        connection.exec_driver_sql("CREATE TABLE suppressions (id INTEGER)")
    with pytest.raises(Unavailable):
        migrate(empty)
    with empty.read() as connection:
        assert sa.inspect(connection).get_table_names() == ["suppressions"]
    empty.close()


def test_the_databases_lists_of_words_are_the_programs(store: Store) -> None:
    def listed(table: str, name: str) -> list[str]:
        with store.read() as connection:
            checks = {str(one["name"]): one["sqltext"] for one in sa.inspect(connection).get_check_constraints(table)}
        return re.findall(r"'(\w+)'", checks[name])

    assert listed("emails", "ck_emails_state") == list(State)
    assert listed("emails", "ck_emails_kind") == list(Kind)
    assert listed("staff", "ck_staff_role") == list(Role)


def test_every_table_carries_its_clinic() -> None:
    without = {name for name, table in metadata.tables.items() if "clinic_id" not in table.c}
    assert without == {"clinics", *(table.name for table in OPERATIONAL)}
