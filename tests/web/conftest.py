"""A clinic to look at through the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.store.engine import Store
from tests.support.world import World, make_world


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)
