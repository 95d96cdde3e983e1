"""Looking at a client's record leaves one line an hour for each staff member and client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from service.actions.reading import note_read
from service.store import audit
from service.store.audit import Sought
from service.store.engine import Store
from tests.support.world import World, another_clinic, at, make_world

NOW = at("2026-11-20 12:00")


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def lines(world: World) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        found = audit.search(connection, world.clinic.id, Sought(action="client opened"), 99)
    return [(row["actor"], row["subject"]) for row in reversed(found)]


def test_it_is_written_once_an_hour_for_each_person_and_client(world: World) -> None:
    for actor, client_id, minutes in (
        *(("ann", 7, 0), ("ann", 7, 1), ("ann", 7, 59)),
        *(("bo", 7, 59), ("ann", 70, 59), ("ann", 7, 60), ("ann", 7, 61)),
    ):
        note_read(world.store, world.clinic.id, actor, client_id, NOW + timedelta(minutes=minutes))
    assert lines(world) == [("ann", "client 7"), ("bo", "client 7"), ("ann", "client 70"), ("ann", "client 7")]
    with world.store.read() as connection:
        assert audit.broken_links(connection, world.clinic.id) == []


def test_another_clinics_lines_do_not_count(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    note_read(world.store, other.clinic.id, "ann", 7, NOW)
    note_read(world.store, world.clinic.id, "ann", 7, NOW)
    assert lines(world) == [("ann", "client 7")]


def test_of_many_at_once_one_is_written(world: World) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: note_read(world.store, world.clinic.id, "ann", 7, NOW), range(16)))
    assert lines(world) == [("ann", "client 7")]
