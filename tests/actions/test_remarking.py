"""The lot and the note of a treatment: kept for the clinic, sent to nobody, corrected with a line, gone when erased."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import register, revise
from service.actions.correcting import Stale
from service.actions.register import NewTreatment
from service.actions.remarking import change_remarks, fingerprint
from service.domain.remarks import Remarks
from service.errors import BadInput, NotAllowed, NotFound
from service.store import clients
from service.store.engine import Store
from service.store.tables import audit, check_ins, emails, shared_facts, treatments
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import SMP, World, another_clinic, at, make_world

NOW = "2026-11-20 16:00"
LOT, NOTE = "LOT-7731-Q", "forehead was tender, went lightly"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


@pytest.fixture
def treated(world: World) -> int:
    """The id of a treatment with a lot and a note."""
    client_id = world.client()
    new = NewTreatment(
        client_id, world.service.catalogue.protocols[SMP], date(2026, 11, 20), remarks=Remarks(f" {LOT} ", NOTE)
    )
    with world.store.write() as connection:
        return register.add_treatment(connection, world.clinic, new, "test", at(NOW)).treatment_id


def stored(world: World, treatment_id: int) -> Any:
    with world.store.read() as connection:
        return clients.get_treatment(connection, world.clinic.id, treatment_id, lock=False)


def change(world: World, treatment_id: int, seen: str | None = None, **typed: str) -> None:
    with world.store.write() as connection:
        change_remarks(connection, world.clinic, treatment_id, (seen, typed), world.who(NOW))


def lines(world: World) -> list[tuple[str, Any]]:
    with world.store.read() as connection:
        found = connection.execute(sa.select(audit.c.action, audit.c.detail).order_by(audit.c.id))
        return [(action, json.loads(detail)) for action, detail in found]


def test_both_are_kept_with_the_treatment_and_no_message_or_fact_of_one_has_them(world: World, treated: int) -> None:
    assert (stored(world, treated)["lot"], stored(world, treated)["note"]) == (LOT, NOTE)
    with ScriptedRelay() as relay:
        for day in ("2026-11-21 10:00", "2026-11-23 10:00", "2026-11-30 10:00"):
            world.tick(relay, day)
        assert len(relay.log) == 3
        told = " ".join(message.data.decode("utf-8") for message in relay.log)
    with world.store.read() as connection:
        for table in (emails, shared_facts, audit, check_ins):
            told += str(connection.execute(sa.select(table)).all())
    assert "Sam" in told
    assert [part for part in (LOT, "tender", "lightly") if part in told] == []


def test_a_correction_changes_what_differs_and_the_audit_says_which_but_not_what(world: World, treated: int) -> None:
    change(world, treated, lot=LOT, note="forehead was fine")
    assert (stored(world, treated)["lot"], stored(world, treated)["note"]) == (LOT, "forehead was fine")
    assert lines(world)[-1] == ("treatment noted", {"treatment": treated, "fields": ["note"]})
    before = lines(world)
    change(world, treated, lot=f"  {LOT}", note="forehead was fine")
    assert lines(world) == before


def test_what_somebody_else_changed_meanwhile_is_not_overwritten_unseen(world: World, treated: int) -> None:
    seen = fingerprint(stored(world, treated))
    change(world, treated, seen, lot="LOT-1")
    with pytest.raises(Stale):
        change(world, treated, seen, lot="LOT-2")
    assert stored(world, treated)["lot"] == "LOT-1"


def test_correcting_the_day_keeps_both(world: World, treated: int) -> None:
    new = NewTreatment(1, world.service.catalogue.protocols[SMP], date(2026, 11, 19))
    with world.store.write() as connection:
        revise.correct_treatment(connection, world.clinic, treated, new, world.who(NOW))
    assert (stored(world, treated)["lot"], stored(world, treated)["note"]) == (LOT, NOTE)


def test_both_go_with_the_client_who_is_erased_and_none_can_be_noted_after(world: World, treated: int) -> None:
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, 1, world.who(NOW))
        left = connection.execute(sa.select(treatments)).all()
    assert [part for part in (LOT, "tender") if part in str(left)] == []
    with pytest.raises(NotAllowed, match="is erased"):
        change(world, treated, note="again")


def test_another_clinic_cannot_note_anything_and_no_other_field_is_set_here(world: World, treated: int) -> None:
    with pytest.raises(NotFound):
        change(another_clinic(world, name="Southgate Clinic"), treated, note="mine")
    with pytest.raises(BadInput, match="treated_on cannot be set"):
        change(world, treated, treated_on="2026-11-01")
    with pytest.raises(BadInput):
        change(world, treated, note="x" * 501)
    assert (stored(world, treated)["lot"], stored(world, treated)["note"]) == (LOT, NOTE)
