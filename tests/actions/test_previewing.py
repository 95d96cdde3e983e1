"""A preview is the e-mail that goes out later, byte for byte but for what only sending can know."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import previewing, revise
from service.actions.previewing import Desk, Wanted
from service.actions.register import NewTreatment
from service.actions.shelf import Shelf
from service.actions.writing import Writer
from service.errors import BadInput, NotAllowed, NotFound
from service.store.engine import Store
from service.store.tables import metadata
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world

NOW = at("2026-11-20 16:30")


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def client_7(world: World) -> int:
    """The seventh client, with a name and zone that leave traces."""
    for number in range(6):
        world.client(f"Other{number} Person")
    return world.client("Dr Zoë Łukasz-O'Neil", "zoe@example.com")


def preview(world: World, client: int, step: str, protocol: str = SMP, language: str | None = None) -> bytes:
    desk = Desk(world.clinic, Shelf(world.service.catalogue, drafts_count=True), Writer(world.service.signer))
    wanted = Wanted(world.service.catalogue.protocols[protocol], step, client, language)
    with world.store.read() as connection:
        return previewing.of_client(connection, desk, wanted, NOW).message


def comparable(message: bytes) -> bytes:
    """Without Date, Message-ID and the boundary that is made of it."""
    message = re.sub(rb"(?m)^(Date|Message-ID):.*\r?\n(?:[ \t].*\r?\n)*", b"", message)
    boundary = re.search(rb'boundary="?([^";\r\n]+)"?', message)
    assert boundary
    return message.replace(boundary[1], b"BOUNDARY").replace(b"\r\n", b"\n")


def test_the_preview_of_client_7_is_what_client_7_gets(world: World) -> None:
    client = client_7(world)
    world.treat(client, "2026-11-20")
    foretold = {step: preview(world, client, step) for step in ("day-01", "day-03", "day-10")}
    with ScriptedRelay() as relay:
        for now in ("2026-11-21 10:00", "2026-11-23 10:07", "2026-11-30 19:00"):
            world.tick(relay, now)
    assert len(relay.log) == 3
    for message, (step, shown) in zip(relay.log, foretold.items(), strict=True):
        assert comparable(message.data) == comparable(shown), step
    assert "Łukasz" in relay.log[0].data.decode("latin-1") or b"=C5=81" in relay.log[0].data


def test_sent_on_time_even_date_and_message_id_are_the_same(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    shown = preview(world, client, "day-01")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    assert relay.log[0].data.replace(b"\r\n", b"\n").rstrip() == shown.replace(b"\r\n", b"\n").rstrip()


def test_after_a_correction_and_in_another_zone_it_still_is(world: World) -> None:
    far = another_clinic(world, name="Perth", timezone="Australia/Perth", send_at="18:15")
    client = far.client("Far Away")
    treatment = far.treat(client, "2026-11-18", protocol=TATTOO).treatment_id
    given = NewTreatment(client, world.service.catalogue.protocols[TATTOO], at("2026-11-20 00:00").date())
    with far.store.write() as connection:
        revise.correct_treatment(connection, far.clinic, treatment, given, far.who("2026-11-20 16:10"))
    shown = preview(far, client, "day-03", TATTOO)
    with ScriptedRelay() as relay:
        for now in ("2026-11-21 10:15", "2026-11-23 10:15"):
            far.tick(relay, now)
    assert comparable(relay.log[-1].data) == comparable(shown)


def test_a_catch_up_is_foretold_for_the_day_it_goes_out(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    shown = preview(world, client, "catch-up-05")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-25 10:00")
    assert comparable(relay.log[0].data) == comparable(shown)


def test_a_preview_stores_nothing(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")

    def everything() -> list[str]:
        with world.store.read() as connection:
            return sorted(repr(row) for table in metadata.sorted_tables for row in connection.execute(sa.select(table)))

    before = everything()
    preview(world, client, "day-01")
    assert everything() == before


def test_a_preview_needs_the_treatment_and_a_client_who_is_not_erased(world: World) -> None:
    client = world.client()
    with pytest.raises(BadInput) as missing:
        preview(world, client, "day-01")
    assert missing.value.field == "client"
    world.treat(client, "2026-11-20")
    with pytest.raises(BadInput) as unknown:
        preview(world, client, "day-02")
    assert unknown.value.next_step == "Steps: day-01, day-03, day-10, catch-up, today-00, today-03, today-08, today-15."
    with pytest.raises(NotFound):
        preview(world, client + 1, "day-01")
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, client, world.who("2026-11-20 16:20"))
    with pytest.raises(NotFound):
        preview(world, client, "day-01")


def test_a_clinic_without_its_numbers_is_told_which(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    bare = World(world.service, replace(world.clinic, emergency_number=""))
    with pytest.raises(NotAllowed, match="emergency_number"):
        preview(bare, client, "day-01")


def test_without_an_approved_version_there_is_nothing_to_preview_in_live_mode(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    desk = Desk(world.clinic, Shelf(world.service.catalogue, drafts_count=False), Writer(world.service.signer))
    wanted = Wanted(world.service.catalogue.protocols[SMP], "day-01", client)
    with world.store.read() as connection, pytest.raises(NotFound) as refused:
        previewing.of_client(connection, desk, wanted, NOW)
    assert refused.value.field == "text"


@pytest.mark.parametrize("step", ["day-01", "day-03", "day-10", "catch-up", "catch-up-05", "catch-up-14"])
@pytest.mark.parametrize("protocol", [SMP, TATTOO])
def test_every_shipped_text_has_a_sample(world: World, protocol: str, step: str) -> None:
    catalogue = world.service.catalogue
    message = previewing.of_sample(catalogue, catalogue.protocols[protocol], step, "en").message
    assert b"Northgate" in message
    assert message == previewing.of_sample(catalogue, catalogue.protocols[protocol], step, "en").message
