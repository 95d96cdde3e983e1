from __future__ import annotations

import pytest
import sqlalchemy as sa

from service.errors import BadConfiguration
from service.store.engine import Store
from service.store.schema import migrate, require_current


def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(store: Store) -> None:
    require_current(store)
    assert migrate(store) is False


def test_a_database_newer_than_the_program_is_refused_and_left_as_it_is(store: Store) -> None:
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    with pytest.raises(BadConfiguration, match="newer than this program"):
        require_current(store)
    with pytest.raises(BadConfiguration, match="newer than this program"):
        migrate(store)
