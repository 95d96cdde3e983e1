from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from service.actions import register, revise
from service.actions import upkeep as upkeep_module
from service.actions.calls import Closing, close
from service.actions.register import NewTreatment
from service.actions.upkeep import Upkeep, WorkerLock, free_locks, is_held
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason, State
from service.store import outbox
from service.store.engine import Store
from service.store.locking import lock_clients
from service.store.outbox import Lease
from service.store.tables import calls, clients, clinics, emails, suppressions
from tests.support.builders import all_calls, wait_until_somebody_waits
from tests.support.world import SMP, World, another_clinic, at, make_world


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def upkeep(world: World, lost: Sequence[str] = ()) -> Upkeep:
    return Upkeep(dict(world.service.catalogue.protocols), 1, lambda names: [name for name in names if name in lost])


def run(world: World, now: str, lost: Sequence[str] = ()) -> Counter[str]:
    with world.store.write() as connection:
        return upkeep(world, lost).run(connection, at(now))


def notes(world: World) -> list[tuple[str, str]]:
    """(step, state) of every catch-up note, oldest first."""
    rows = sorted(world.rows(emails.c.kind == "catch_up"), key=lambda row: int(row.id))
    return [(row.step, row.state) for row in rows]


def put(world: World, step: str, **fields: Any) -> None:
    with world.store.write() as connection:
        connection.execute(sa.update(emails).where(emails.c.step == step).values(fields))


def sent(world: World, step: str, when: str) -> None:
    put(world, step, state=State.SENT, sent_at=at(when))


def test_one_round_rescues_expires_and_plans_what_is_owed(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with world.store.write() as connection:
        ids = outbox.due_ids(connection, at("2026-11-21 10:00"), 10)
        outbox.claim(connection, ids, Lease("gone", "t1", 1200), at("2026-11-21 10:00"))
    assert run(world, "2026-11-21 10:05") == Counter()
    assert run(world, "2026-11-21 10:10", lost=["gone"]) == Counter(planned=1)
    assert run(world, "2026-11-25 08:30") == Counter(missed=2, catch_ups=1)
    assert run(world, "2026-11-25 08:35") == Counter()


def test_after_an_outage_one_note_is_planned_right_for_its_day_and_once(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    for now in ("2026-11-25 08:30", "2026-11-25 08:31", "2026-11-25 19:59"):
        run(world, now)
    (note,) = world.rows(emails.c.kind == "catch_up")
    assert (note.step, note.day, note.state) == ("catch-up-05", 5, "planned")
    assert (note.due_at, note.useful_until) == (at("2026-11-25 08:30"), at("2026-11-25 20:00"))
    with world.store.read() as connection:
        assert [reason for _, reason, _ in all_calls(connection)] == ["missed", "missed"]


def test_a_step_due_within_24_hours_covers_the_note(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    assert run(world, "2026-11-22 12:00") == Counter(missed=1)
    assert notes(world) == []


@pytest.mark.parametrize("state", [State.SENDING, State.IN_DOUBT])
def test_a_step_that_is_going_out_or_perhaps_went_covers_the_note(world: World, state: State) -> None:
    world.treat(world.client(), "2026-11-20")
    token = "t1" if state is State.SENDING else None
    put(world, "day-03", state=state, lease_token=token, doubt_since=at("2026-11-23 10:00"))
    assert run(world, "2026-11-23 10:05") == Counter(missed=1)
    assert notes(world) == []


def test_an_outage_that_goes_on_misses_the_note_and_plans_the_next_days(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    run(world, "2026-11-25 08:30")
    assert run(world, "2026-11-25 20:00") == Counter(missed=1)
    assert run(world, "2026-11-25 23:00") == Counter()
    assert run(world, "2026-11-26 00:10") == Counter(catch_ups=1)
    assert notes(world) == [("catch-up-05", "missed"), ("catch-up-06", "planned")]
    with world.store.read() as connection:
        assert len(all_calls(connection)) == 2


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.HELD])
def test_after_a_note_was_tried_for_an_outage_there_is_no_other(world: World, state: State) -> None:
    world.treat(world.client(), "2026-11-20")
    run(world, "2026-11-25 08:30")
    fields = {"sent_at": at("2026-11-25 08:31")} if state is State.SENT else {}
    put(world, "catch-up-05", state=state, **fields)
    for now in ("2026-11-25 09:00", "2026-11-26 09:00", "2026-11-27 09:00"):
        run(world, now)
        if state is State.HELD:
            break
    assert [step for step, _ in notes(world)] == ["catch-up-05"]


def test_a_second_outage_after_a_note_owes_another(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    run(world, "2026-11-25 08:30")
    sent(world, "catch-up-05", "2026-11-25 08:31")
    assert run(world, "2026-12-02 08:30") == Counter(missed=1, catch_ups=1)
    assert [step for step, _ in notes(world)] == ["catch-up-05", "catch-up-12"]


def test_a_later_step_that_was_sent_owes_no_note(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    run(world, "2026-11-22 12:00")
    sent(world, "day-03", "2026-11-23 10:00")
    assert run(world, "2026-11-24 09:00") == Counter()


def test_after_day_14_a_person_calls_and_no_note_goes(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    assert run(world, "2026-12-05 08:30") == Counter(missed=3)
    assert notes(world) == []


def test_a_call_that_was_made_does_what_the_note_would(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    run(world, "2026-11-24 21:00")
    with world.store.write() as connection:
        for call_id in connection.execute(sa.select(calls.c.id)).scalars().all():
            close(connection, world.clinic, call_id, Closing("reached"), world.who("2026-11-24 22:00"))
    assert run(world, "2026-11-25 08:30") == Counter()


def test_what_was_registered_late_owes_no_note(world: World) -> None:
    world.treat(world.client(), "2026-11-20", now="2026-11-25 08:00")
    assert run(world, "2026-11-25 08:30") == Counter()


def test_what_a_newer_treatment_replaced_owes_no_note(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    run(world, "2026-11-24 21:00")
    world.treat(client_id, "2026-11-25", now="2026-11-25 08:00")
    assert run(world, "2026-11-25 08:30") == Counter()
    assert run(world, "2026-11-26 08:30") == Counter()


@pytest.mark.parametrize("deed", [revise.stop, revise.pause, revise.erase])
def test_who_stopped_paused_or_was_erased_gets_no_note(world: World, deed: Any) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    run(world, "2026-11-24 21:00")
    with world.store.write() as connection:
        deed(connection, world.clinic, client_id, world.who("2026-11-25 08:00"))
    assert run(world, "2026-11-25 08:30")["catch_ups"] == 0


def test_a_clinic_whose_zone_is_unknown_owes_no_note_and_holds_up_no_other(world: World) -> None:
    there = another_clinic(world, name="Elsewhere")
    there.treat(there.client("Bob Two"), "2026-11-20")
    world.treat(world.client(), "2026-11-20")
    run(world, "2026-11-24 21:00")
    with world.store.write() as connection:
        connection.execute(sa.delete(emails).where(emails.c.kind == "catch_up"))
        connection.execute(sa.update(clinics).where(clinics.c.id == there.clinic.id).values(timezone="Mars/Base"))
    assert run(world, "2026-11-25 08:30")["catch_ups"] == 1
    assert [row.clinic_id for row in world.rows(emails.c.kind == "catch_up")] == [world.clinic.id]


def test_a_suppressed_address_gets_no_note_and_no_row_a_round(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    run(world, "2026-11-24 21:00")
    with world.store.write() as connection:
        row = {"clinic_id": world.clinic.id, "email_folded": "sam@example.com", "reason": "dead"}
        connection.execute(sa.insert(suppressions).values(**row, created_at=at("2026-11-25 08:00")))
    for now in ("2026-11-25 08:30", "2026-11-25 08:31"):
        assert run(world, now) == Counter()
    assert notes(world) == []


def brows(world: World) -> FollowUpProtocol:
    """A protocol like the shipped one, for another part of the body."""
    return replace(world.service.catalogue.protocols[SMP], key="brows", area="brow")


def treat_brows(world: World, client_id: int) -> None:
    with world.store.write() as connection:
        new = NewTreatment(client_id, brows(world), date(2026, 11, 19))
        register.add_treatment(connection, world.clinic, new, "test", at("2026-11-19 16:00"))


def run_both(world: World, now: str) -> Counter[str]:
    """A round that knows both protocols."""
    both = Upkeep({SMP: world.service.catalogue.protocols[SMP], "brows": brows(world)}, 1, lambda _: [])
    with world.store.write() as connection:
        return both.run(connection, at(now))


def test_an_outage_owes_a_client_one_note_whatever_was_missed(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    treat_brows(world, client_id)
    for now in ("2026-11-25 08:30", "2026-11-25 08:31"):
        run_both(world, now)
    assert [(row.protocol, row.step) for row in world.rows(emails.c.kind == "catch_up")] == [(SMP, "catch-up-05")]


def test_a_protocol_that_was_taken_away_owes_nothing(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with world.store.write() as connection:
        assert Upkeep({}, 1, lambda _: []).run(connection, at("2026-11-25 08:30")) == Counter(missed=2)


def test_a_note_that_is_going_out_while_the_day_is_corrected_is_not_planned_twice(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    run(world, "2026-11-25 08:30")
    put(world, "catch-up-05", state=State.SENDING, lease_token="t1")
    given = NewTreatment(client_id, world.service.catalogue.protocols[SMP], date(2026, 11, 21))
    with world.store.write() as connection:
        who = world.who("2026-11-25 09:00")
        revise.correct_treatment(connection, world.clinic, planned.treatment_id, given, who)
    assert run(world, "2026-11-25 09:01") == Counter()
    put(world, "catch-up-05", state=State.SENT, lease_token=None, sent_at=at("2026-11-25 09:02"))
    # On the 26th it is day 5 again, and the corrected day 3 was missed.
    assert run(world, "2026-11-26 08:30")["catch_ups"] == 0
    assert [step for step, _ in notes(world)] == ["catch-up-05"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_workers_whose_rounds_meet_plan_one_note(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    treat_brows(world, client_id)
    with world.store.write() as connection:
        outbox.expire(connection, at("2026-11-25 08:30"))
    with ThreadPoolExecutor(2) as threads:
        with world.store.write() as desk:
            lock_clients(desk, [client_id])
            rounds = [threads.submit(run_both, world, "2026-11-25 08:30") for _ in range(2)]
            wait_until_somebody_waits(desk, how_many=2)
        done = sum((running.result() for running in rounds), Counter[str]())
    assert done["catch_ups"] == 1
    assert len(notes(world)) == 1


# --- worker locks


def test_a_lock_is_held_while_its_worker_lives_and_free_when_it_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    lock = WorkerLock(folder, "w1")
    assert is_held(folder / "w1.lock")
    assert free_locks(folder, ["w1", "w2"]) == ["w2"]
    lock.close()
    assert free_locks(folder, ["w1", "w2"]) == ["w1", "w2"]


def test_a_lock_file_that_a_killed_worker_left_is_free(tmp_path: Path) -> None:
    (tmp_path / "dead.lock").write_text("")
    assert free_locks(tmp_path, ["dead"]) == ["dead"]


def test_asking_for_a_lock_does_not_take_it(tmp_path: Path) -> None:
    lock = WorkerLock(tmp_path, "w1")
    assert is_held(tmp_path / "w1.lock")
    lock.close()
    WorkerLock(tmp_path, "w1").close()


def test_clients_are_untouched_by_a_round(world: World) -> None:
    world.client()
    with world.store.read() as connection:
        before = connection.execute(sa.select(clients)).all()
    run(world, "2026-11-25 08:30")
    with world.store.read() as connection:
        assert connection.execute(sa.select(clients)).all() == before


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_stops_while_a_round_makes_up_for_what_was_missed_is_not_held_up(world: World) -> None:
    """The stop holds the client and wants the e-mails; a round that held those would wait for the client."""
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    with ThreadPoolExecutor(1) as other:
        with world.store.write() as connection:
            lock_clients(connection, [client_id])
            round_ = other.submit(lambda: asyncio.run(upkeep(world).keep_up(world.store, at("2026-11-25 08:30"))))
            wait_until_somebody_waits(connection)
            outbox.end_open(connection, emails.c.client_id == client_id, Reason.STOPPED, at("2026-11-25 08:30"))
        assert round_.result(60)["missed"] == 2


class Portions:
    """A store that remembers what each of its transactions gave."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.gave: list[Any] = []

    async def in_thread(self, work: Callable[..., Any], *given: Any) -> Any:
        gave = await self._store.in_thread(work, *given)
        self.gave.append(copy(gave))
        return gave


def test_what_an_outage_left_is_made_up_for_in_portions_and_nobody_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_module, "AT_ONCE", 3)
    for number in range(8):
        world.treat(world.client(f"Client{number} X"), "2026-11-20")
    store = Portions(world.store)
    counts = asyncio.run(upkeep(world).keep_up(cast("Store", store), at("2026-11-25 08:30")))
    assert (counts["missed"], counts["catch_ups"], len(notes(world))) == (16, 8, 8)
    assert max(one["missed"] for one in store.gave if isinstance(one, dict) and "missed" in one) == 3
    assert [one for one in store.gave if isinstance(one, int)] == [3, 3, 2]
