"""Sending once more: only what did not arrive and is right today; else today's words and a call, never another day's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import resend, revise
from service.actions.resend import Offer
from service.domain.reminder import State
from service.errors import NotAllowed, NotFound
from service.store import clients
from service.store.clients import Dead
from service.store.engine import Store
from service.store.tables import audit, calls, emails
from tests.support.world import World, another_clinic, at, make_world

DAY_ONE = "2026-11-21 12:00"
DAY_SIX = "2026-11-26 12:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    made = make_world(store, tmp_path)
    made.treat(made.client(), "2026-11-20")
    return made


def put(world: World, step: str, state: State, **fields: Any) -> int:
    """Bring the row of a step to a state by hand; its id."""
    values: dict[str, Any] = {"state": state, "ended_at": at("2026-11-21 10:05")} | fields
    if state is State.SENT:
        values.setdefault("sent_at", at("2026-11-21 10:00"))
    if state is State.UNCONFIRMED:
        values.setdefault("doubt_since", at("2026-11-21 10:00"))
    with world.store.write() as connection:
        row = sa.update(emails).where(emails.c.step == step, emails.c.replaced_at.is_(None)).values(values)
        return int(connection.execute(row.returning(emails.c.id)).scalar_one())


def offer(world: World, email_id: int, now: str = DAY_ONE) -> Offer:
    with world.store.read() as connection:
        return resend.offered(connection, world.clinic, email_id, world.who(now)).offer


def again(world: World, email_id: int, now: str = DAY_ONE) -> None:
    with world.store.write() as connection:
        resend.resend(connection, world.clinic, email_id, world.who(now))


def lives(world: World, step: str) -> list[tuple[str, bool]]:
    rows = sorted(world.rows(emails.c.step == step), key=lambda row: int(row.id))
    return [(row.state, row.replaced_at is not None) for row in rows]


LOST: list[tuple[State, dict[str, Any]]] = [
    (State.FAILED, {"reason": "refused"}),
    (State.UNCONFIRMED, {"reason": "reply_lost"}),
    (State.SENT, {"bounced_at": at("2026-11-21 10:30"), "bounce_class": "hard"}),
]


@pytest.mark.parametrize(("state", "fields"), LOST)
def test_what_did_not_arrive_and_is_still_right_is_planned_anew_once(
    world: World, state: State, fields: dict[str, Any]
) -> None:
    lost = put(world, "day-01", state, **fields)
    assert offer(world, lost) is Offer.AGAIN
    for _ in range(2):
        again(world, lost)
    assert lives(world, "day-01") == [(state, True), ("planned", False)]
    fresh = world.rows(emails.c.step == "day-01", emails.c.state == "planned")[0]
    assert (fresh.not_before, fresh.message_id, fresh.attempts) == (at(DAY_ONE), None, 0)
    with world.store.read() as connection:
        noted = connection.execute(sa.select(audit.c.action).order_by(audit.c.id.desc()).limit(1)).scalar_one()
    assert noted == "e-mail planned again"


@pytest.mark.parametrize(("state", "fields"), LOST)
def test_day_one_is_never_sent_on_day_six(world: World, state: State, fields: dict[str, Any]) -> None:
    lost = put(world, "day-01", state, **fields)
    assert offer(world, lost, DAY_SIX) is Offer.OVER
    with pytest.raises(NotAllowed, match="not sent again"):
        again(world, lost, DAY_SIX)
    assert lives(world, "day-01") == [(state, False)]


def test_what_arrived_as_far_as_anybody_knows_is_not_sent_twice(world: World) -> None:
    sent = put(world, "day-01", State.SENT)
    assert offer(world, sent) is Offer.ARRIVED
    with pytest.raises(NotAllowed):
        again(world, sent)


def test_what_is_still_to_go_out_only_waits(world: World) -> None:
    waiting = world.rows(emails.c.step == "day-03")[0].id
    assert offer(world, waiting) is Offer.WAITING
    again(world, waiting)
    assert lives(world, "day-03") == [("planned", False)]


def test_nothing_goes_to_an_address_that_is_not_written_to_until_that_is_lifted(world: World) -> None:
    lost = put(world, "day-01", State.FAILED, reason="refused")
    with world.store.write() as connection:
        clients.suppress(connection, Dead(world.clinic.id, "sam@example.com", "dead"), at(DAY_ONE))
    assert offer(world, lost) is Offer.WITHHELD
    with pytest.raises(NotAllowed):
        again(world, lost)


def test_an_older_treatments_step_is_over_once_a_newer_one_took_over(world: World) -> None:
    lost = put(world, "day-01", State.FAILED, reason="refused")
    world.treat(1, "2026-11-21", now="2026-11-21 11:00")
    assert offer(world, lost) is Offer.OVER


def test_a_call_is_put_on_the_list_once(world: World) -> None:
    lost = put(world, "day-01", State.FAILED, reason="refused")
    for _ in range(2):
        with world.store.write() as connection:
            resend.ask_for_call(connection, world.clinic, lost, world.who(DAY_SIX))
    with world.store.read() as connection:
        rows = connection.execute(sa.select(calls.c.client_id, calls.c.reason, calls.c.state)).all()
    assert [tuple(row) for row in rows] == [(1, "ask_today", "open")]


def test_one_step_is_left_out_the_others_stay(world: World) -> None:
    email_id = world.rows(emails.c.step == "day-03")[0].id
    for _ in range(2):
        with world.store.write() as connection:
            resend.skip(connection, world.clinic, email_id, world.who(DAY_ONE))
    assert world.states() == {"day-01": "planned", "day-03": "cancelled: skipped", "day-10": "planned"}


def test_what_has_gone_out_cannot_be_left_out(world: World) -> None:
    sent = put(world, "day-01", State.SENT)
    with world.store.write() as connection, pytest.raises(NotAllowed):
        resend.skip(connection, world.clinic, sent, world.who(DAY_ONE))


def test_another_clinics_email_is_not_there(world: World) -> None:
    other = another_clinic(world, name="Southgate Clinic")
    with other.store.write() as connection, pytest.raises(NotFound):
        resend.resend(connection, other.clinic, 1, other.who(DAY_ONE))


def test_a_reason_stays_in_the_audit(world: World) -> None:
    who = revise.Who("desk", at(DAY_ONE), "asked on the phone")
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, 1, who)
        detail = connection.execute(sa.select(audit.c.detail).order_by(audit.c.id.desc()).limit(1)).scalar_one()
    assert '"why": "asked on the phone"' in detail
