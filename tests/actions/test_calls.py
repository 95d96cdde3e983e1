from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions.calls import OUTCOMES, Closing, close
from service.errors import BadInput, NotAllowed, NotFound
from service.store.engine import Store
from service.store.tables import audit as audit_lines
from service.store.tables import calls
from tests.support.world import World, another_clinic, at, make_world

NOW = "2026-11-25 11:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def a_call(world: World) -> int:
    """An open call: a treatment of five days ago, registered late."""
    world.treat(world.client(), "2026-11-20", now="2026-11-25 09:00")
    with world.store.read() as connection:
        mine = sa.select(sa.func.max(calls.c.id)).where(calls.c.clinic_id == world.clinic.id)
        return int(connection.execute(mine).scalar_one())


def close_it(world: World, call_id: int, outcome: str = "reached", note: str = "") -> None:
    with world.store.write() as connection:
        close(connection, world.clinic, call_id, Closing(outcome, note), world.who(NOW))


def the_call(world: World, call_id: int) -> Any:
    with world.store.read() as connection:
        return connection.execute(sa.select(calls).where(calls.c.id == call_id)).one()


def test_a_call_that_nobody_answered_stays_open_with_a_new_deadline(world: World) -> None:
    call_id = a_call(world)
    close_it(world, call_id, "no_answer", "mailbox full")
    call = the_call(world, call_id)
    assert (call.state, call.outcome, call.tries, call.tried_at) == ("open", None, 1, at(NOW))
    assert call.due_at == at(NOW) + timedelta(hours=2)
    close_it(world, call_id, "no_answer")
    close_it(world, call_id, "reached")
    call = the_call(world, call_id)
    assert (call.state, call.outcome, call.tries, call.note) == ("closed", "reached", 2, "mailbox full")


@pytest.mark.parametrize("outcome", [outcome for outcome in OUTCOMES if outcome != "no_answer"])
def test_a_call_is_closed_with_its_outcome_and_who_did_it(world: World, outcome: str) -> None:
    call_id = a_call(world)
    close_it(world, call_id, outcome, "coming at 4 pm")
    call = the_call(world, call_id)
    assert (call.state, call.outcome, call.note) == ("closed", outcome, "coming at 4 pm")
    assert (call.closed_by, call.closed_at) == ("test", at(NOW))
    with world.store.read() as connection:
        line = connection.execute(sa.select(audit_lines).where(audit_lines.c.action == "call closed")).one()
    assert "coming" not in line.detail


def test_a_closed_call_stays_as_it_was_closed(world: World) -> None:
    call_id = a_call(world)
    close_it(world, call_id)
    with pytest.raises(NotAllowed, match=f"call {call_id} is closed already"):
        close_it(world, call_id, "no_answer")
    assert the_call(world, call_id).outcome == "reached"


@pytest.mark.parametrize(("outcome", "note"), [("fine", ""), ("", ""), ("reached", "a\x00b"), ("reached", "x" * 1001)])
def test_a_wrong_outcome_or_note_is_refused_and_the_call_stays_open(world: World, outcome: str, note: str) -> None:
    call_id = a_call(world)
    with pytest.raises(BadInput):
        close_it(world, call_id, outcome, note)
    assert the_call(world, call_id).state == "open"


def test_another_clinics_call_is_as_unknown_as_one_that_never_was(world: World) -> None:
    foreign = a_call(another_clinic(world, name="Southgate"))
    said = []
    for call_id in (foreign, foreign + 1):
        with pytest.raises(NotFound) as refusal:
            close_it(world, call_id)
        said.append(str(refusal.value.as_document()).replace(str(call_id), "ID"))
    assert said[0] == said[1]
    assert the_call(world, foreign).state == "open"
