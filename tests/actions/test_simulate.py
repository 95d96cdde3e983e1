"""A simulation says what a real run with the same clock and a relay that takes all would do, and changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import revise, simulate
from service.actions.simulate import Rules, Span
from service.clock import stopped_at
from service.store.engine import Store
from service.store.tables import calls, clients, emails, metadata, treatments
from tests.support.scripted_relay import AcceptAndDrop, ScriptedRelay
from tests.support.scripted_relay import at as when
from tests.support.world import TATTOO, World, another_clinic, at, make_world

START = at("2026-11-20 17:00")
END = START + timedelta(days=16)
#: Minutes of a UTC day: midnight, noon, 20:00 and the hour of writing in London and in Perth.
ROUNDS = (0, 4 * 60, 10 * 60, 10 * 60 + 15, 12 * 60, 16 * 60, 20 * 60)


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    """Clients in every situation that changes what goes out."""
    world = make_world(store, tmp_path)
    world.treat(world.client("Fresh One"), "2026-11-20")
    world.treat(world.client("Late Two"), "2026-11-18")
    twice = world.client("Twice Three")
    world.treat(twice, "2026-11-15", now="2026-11-15 17:00")
    world.treat(twice, "2026-11-20", protocol=TATTOO)
    paused = world.client("Paused Four")
    world.treat(paused, "2026-11-20")
    stopped = world.client("Stopped Five")
    world.treat(stopped, "2026-11-20")
    with world.store.write() as connection:
        revise.pause(connection, world.clinic, paused, world.who("2026-11-20 16:30"))
        revise.stop(connection, world.clinic, stopped, world.who("2026-11-20 16:30"))
    far = another_clinic(world, name="Perth Clinic", timezone="Australia/Perth", send_at="18:15")
    far.treat(far.client("Far Six"), "2026-11-20")
    return world


def rules(world: World, **changed: Any) -> Rules:
    return Rules(**{"catalogue": world.service.catalogue, "doubt_cap": 1, "drafts_count": True, **changed})


def simulated(world: World, span: Span) -> list[tuple[Any, ...]]:
    rows = simulate.run(world.store, rules(world), span)
    return sorted(
        (
            row["clinic_id"],
            row["client_id"],
            row["step"],
            row["state"],
            row["reason"],
            row["sent_at"],
            bool(row["call"]),
        )
        for row in rows
    )


def lived(world: World, span: Span) -> list[tuple[Any, ...]]:
    """The same weeks for real, over SMTP, with rounds whenever something falls due or out of date in either zone."""
    days = (at("2026-11-20 00:00") + timedelta(days=day) for day in range(18))
    rounds = {span.start, *(day + timedelta(minutes=minutes) for day in days for minutes in ROUNDS)}
    rounds |= set(span.down or ())
    with ScriptedRelay() as relay:
        delivery = world.delivery(relay)
        for now in sorted(rounds):
            if span.start <= now <= span.end and span.runs_at(now):
                world.tick(relay, stopped_at(now), delivery)
    asked = sa.select(calls.c.email_id).where(calls.c.state == "open", calls.c.email_id.is_not(None))
    with world.store.read() as connection:
        called = set(connection.execute(asked).scalars())
    wanted = emails.c.ended_at.between(span.start, span.end) | (
        emails.c.state.in_(["planned", "held"]) & (emails.c.due_at <= span.end)
    )
    return sorted(
        (row.clinic_id, row.client_id, row.step, row.state, row.reason, row.sent_at, row.id in called)
        for row in world.rows(wanted)
    )


OUTAGES = {
    "none": None,
    "a morning": (at("2026-11-21 06:00"), at("2026-11-21 15:00")),
    "a weekend": (at("2026-11-21 00:00"), at("2026-11-23 08:00")),
    "until the evening of day 5": (at("2026-11-21 00:00"), at("2026-11-25 21:30")),
    "nine days": (at("2026-11-20 18:00"), at("2026-11-29 12:00")),
    "to the end": (at("2026-11-24 00:00"), at("2027-01-01 00:00")),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_it_foretells_what_a_real_run_does(world: World, name: str) -> None:
    span = Span(START, END, OUTAGES[name])
    foretold = simulated(world, span)
    assert foretold
    assert foretold == lived(world, span)


def everything(store: Store) -> dict[str, list[Any]]:
    with store.read() as connection:
        return {table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in metadata.sorted_tables}


def test_the_real_database_stays_as_it_is(world: World) -> None:
    before = everything(world.store)
    simulate.run(world.store, rules(world), Span(START, END, OUTAGES["a weekend"]))
    assert everything(world.store) == before


def test_a_wish_recorded_by_hand_is_respected(world: World) -> None:
    with world.store.write() as connection:
        connection.execute(sa.update(clients).where(clients.c.id == 1).values(stopped_at=START))
        connection.execute(sa.update(treatments).where(treatments.c.client_id == 2).values(cancelled_at=START))
    rows = simulate.run(world.store, rules(world), Span(START, END))
    assert {(row["state"], row["reason"]) for row in rows if row["client_id"] == 1} == {("cancelled", "stopped")}
    assert {(row["state"], row["reason"]) for row in rows if row["client_id"] == 2} == {("cancelled", "cancelled")}


def test_in_live_mode_unapproved_words_are_held_then_missed(world: World) -> None:
    rows = simulate.run(world.store, rules(world, drafts_count=False), Span(START, START + timedelta(days=2)))
    mine = {row["step"]: (row["state"], row["reason"]) for row in rows if row["client_id"] == 1}
    assert mine == {"day-01": ("missed", "unapproved")}
    rows = simulate.run(world.store, rules(world, drafts_count=False), Span(START, START + timedelta(days=1)))
    assert ("held", "unapproved") in {(row["state"], row["reason"]) for row in rows}


def test_a_row_in_doubt_is_repeated_once_in_the_simulation_too(store: Store, tmp_path: Path) -> None:
    world = make_world(store, tmp_path)
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        world.tick(relay, "2026-11-21 10:00")
    assert world.states()["day-01"] == "in_doubt: reply_lost"
    rows = simulate.run(world.store, rules(world), Span(at("2026-11-21 10:01"), at("2026-11-21 12:00")))
    assert [(row["step"], row["state"]) for row in rows] == [("day-01", "sent")]
    assert world.states()["day-01"] == "in_doubt: reply_lost"


def test_the_instants_gone_through_are_told(world: World) -> None:
    seen: list[datetime] = []
    simulate.run(world.store, rules(world), Span(START, END), seen.append)
    assert seen[0] == START
    assert seen == sorted(set(seen))
    assert seen[-1] <= END
