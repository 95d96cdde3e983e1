"""A file is looked at first, imported once, and not kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import uploading
from service.actions.importing import ImportJob
from service.actions.upkeep import Upkeep
from service.actions.uploading import Desk, Options
from service.errors import BadInput, NotFound, Unavailable
from service.store import clinics
from service.store import uploads as kept
from service.store.engine import Store
from service.store.tables import emails, uploads
from service.store.uploads import Owner
from tests.support.world import World, another_clinic, at, make_world

NOW = "2026-11-21 12:00"
GOOD = b"name,email,treatment,treatment_date\nSam Reed,sam@example.com,Scalp tattoo,2026-11-20\nLou,x,y,z\n"
UNCLEAR = b"name,email,treatment,treatment_date\nSam Reed,sam@example.com,Scalp tattoo,03/04/2026\n"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def desk_of(world: World, who: str = "sara", now: str = NOW) -> Desk:
    """The desk of a staff member, who is new unless the clinic has them."""
    email = f"{who}@northgate-clinic.org"
    with world.store.write() as connection:
        known = {row["email"]: row["id"] for row in clinics.list_staff(connection, world.clinic.id)}
        given = {"email": email, "name": who, "role": "reception"}
        staff_id = known.get(email) or clinics.add_staff(connection, world.clinic.id, given, at(now))
    job = ImportJob(world.clinic, world.service.catalogue.protocols, world.who(now))
    return Desk(world.store, job, Owner(world.clinic.id, staff_id))


def stored(desk: Desk, upload_id: int) -> tuple[Any, dict[str, Any]]:
    with desk.store.read() as connection:
        row = kept.get(connection, desk.owner, upload_id, desk.job.who.now)
    return row, json.loads(row["report"])


def planned(world: World) -> int:
    with world.store.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(emails)).scalar_one())


def test_looking_writes_nothing_but_the_file(world: World) -> None:
    desk = desk_of(world)
    row, report = stored(desk, uploading.check(desk, "clients.csv", GOOD, Options()))
    assert (row["file"], row["until"]) == (GOOD, at("2026-11-21 13:00"))
    assert (report["rows"], report["accepted"], report["rejected"], report["committed"]) == (2, 1, 1, False)
    assert b"Lou" in row["rejected"]
    assert planned(world) == 0


def test_accepting_imports_once_and_keeps_only_what_became_of_it(world: World) -> None:
    desk = desk_of(world)
    upload_id = uploading.check(desk, "clients.csv", GOOD, Options())
    uploading.accept(desk, upload_id)
    uploading.accept(desk, upload_id)
    row, report = stored(desk, upload_id)
    assert row["file"] is None
    assert b"Sam" not in row["rejected"]
    assert (report["accepted"], report["unchanged"], report["committed"]) == (1, 0, True)
    assert planned(world) == 3


def test_the_order_of_dates_is_chosen_on_the_file_that_is_here(world: World) -> None:
    desk = desk_of(world)
    upload_id = uploading.check(desk, "clients.csv", UNCLEAR, Options())
    _, report = stored(desk, upload_id)
    assert (report["accepted"], [one["order"] for one in report["orders"]]) == (0, ["dmy", "mdy"])
    uploading.check_again(desk, upload_id, Options(date_order="mdy"))
    _, report = stored(desk, upload_id)
    assert (report["accepted"], report["registered_late"]) == (1, 3)
    uploading.accept(desk, upload_id)
    uploading.check_again(desk, upload_id, Options(date_order="dmy"))
    with world.store.read() as connection:
        assert str(connection.execute(sa.text("SELECT treated_on FROM treatments")).scalar_one()) == "2026-03-04"


@pytest.mark.parametrize(
    ("content", "options", "trouble"),
    [
        (b"PK\x03\x04", Options(), Unavailable),
        (b"name,email\n", Options(), Unavailable),
        (GOOD, Options(date_order="xyz"), BadInput),
        (GOOD, Options(protocol="nose"), BadInput),
        (GOOD, Options(encoding="ebcdic"), BadInput),
    ],
)
def test_what_cannot_be_read_is_not_kept(
    world: World, content: bytes, options: Options, trouble: type[Exception]
) -> None:
    with pytest.raises(trouble):
        uploading.check(desk_of(world), "clients.csv", content, options)
    with world.store.read() as connection:
        assert connection.execute(sa.select(uploads.c.id)).first() is None


def test_nobody_else_sees_it(world: World) -> None:
    upload_id = uploading.check(desk_of(world), "clients.csv", GOOD, Options())
    for other in (desk_of(world, "mallory"), desk_of(another_clinic(world, name="Southgate"))):
        with pytest.raises(NotFound):
            uploading.accept(other, upload_id)
        with pytest.raises(NotFound):
            uploading.check_again(other, upload_id, Options())
        uploading.drop(other, upload_id)
    assert stored(desk_of(world), upload_id)[0]["file"] == GOOD


def test_a_file_can_be_thrown_away(world: World) -> None:
    desk = desk_of(world)
    upload_id = uploading.check(desk, "clients.csv", GOOD, Options())
    uploading.drop(desk, upload_id)
    with pytest.raises(NotFound):
        stored(desk, upload_id)


def test_after_an_hour_it_is_gone_and_the_next_round_forgets_it(world: World) -> None:
    upload_id = uploading.check(desk_of(world), "clients.csv", GOOD, Options())
    with pytest.raises(NotFound):
        uploading.accept(desk_of(world, now="2026-11-21 13:00"), upload_id)
    with world.store.write() as connection:
        Upkeep({}, 1, lambda _: []).run(connection, at("2026-11-21 13:00"))
        assert connection.execute(sa.select(uploads.c.id)).first() is None


def test_an_import_that_somebody_has_begun_is_left_to_them_until_they_are_given_up(world: World) -> None:
    desk = desk_of(world)
    upload_id = uploading.check(desk, "clients.csv", GOOD, Options())
    with world.store.write() as connection:
        assert kept.begin(connection, upload_id, at("2026-11-21 11:55"), at(NOW))
    uploading.accept(desk, upload_id)
    assert planned(world) == 0
    uploading.accept(desk_of(world, now="2026-11-21 12:06"), upload_id)
    assert planned(world) == 3


def test_an_import_that_fails_can_be_begun_again(world: World) -> None:
    desk = desk_of(world)
    upload_id = uploading.check(desk, "clients.csv", GOOD, Options())
    with world.store.write() as connection:
        connection.execute(sa.update(uploads).values(file=b"PK\x03\x04"))
    with pytest.raises(Unavailable):
        uploading.accept(desk, upload_id)
    assert stored(desk, upload_id)[0]["begun_at"] is None
