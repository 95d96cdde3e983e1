from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import revise
from service.actions.register import NewTreatment, Planned
from service.domain.reminder import Reason, State
from service.errors import BadInput, NotAllowed, NotFound
from service.store import audit, clients, outbox
from service.store.engine import Store
from service.store.outbox import Lease
from service.store.owed import owed_catch_ups
from service.store.tables import audit as audit_lines
from service.store.tables import calls, emails, suppressions, treatments
from tests.support.builders import all_calls
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world

PLANNED = {"day-01": "planned", "day-03": "planned", "day-10": "planned"}
REGISTERED = "2026-11-20 16:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def calls_of(world: World) -> list[tuple[int | None, str, str]]:
    with world.store.read() as connection:
        return all_calls(connection)


def standing(world: World, treatment_id: int) -> dict[str, str]:
    """step -> state: reason, of the rows that stand: neither cancelled nor replaced."""
    mine = (emails.c.treatment_id == treatment_id) & emails.c.replaced_at.is_(None)
    rows = world.rows(mine, emails.c.state != State.CANCELLED)
    return {row.step: f"{row.state}: {row.reason}" if row.reason else row.state for row in rows}


def every(world: World, step: str) -> list[tuple[str, str | None, bool]]:
    """(state, reason, replaced) of every row a step ever had, oldest first."""
    rows = sorted(world.rows(emails.c.step == step), key=lambda row: int(row.id))
    return [(row.state, row.reason, row.replaced_at is not None) for row in rows]


def put(world: World, step: str, state: State, **fields: Any) -> int:
    """Bring the row of a step to a state by hand, with what the constraints ask for. Its id."""
    values: dict[str, Any] = {"state": state, "lease_token": None} | fields
    if state in (State.CLAIMED, State.SENDING):
        values["lease_token"] = "t1"
    if state is State.SENT:
        values.setdefault("sent_at", at("2026-11-21 10:00"))
    if state in (State.IN_DOUBT, State.UNCONFIRMED):
        values.setdefault("doubt_since", at("2026-11-21 10:00"))
    with world.store.write() as connection:
        row = (emails.c.step == step) & emails.c.replaced_at.is_(None)
        return int(connection.execute(sa.update(emails).where(row).values(values).returning(emails.c.id)).scalar_one())


def correct(world: World, treatment_id: int, on: str, now: str, protocol: str = SMP) -> Planned:
    given = NewTreatment(0, world.service.catalogue.protocols[protocol], date.fromisoformat(on))
    with world.store.write() as connection:
        return revise.correct_treatment(connection, world.clinic, treatment_id, given, world.who(now))


def cancel(world: World, treatment_id: int, now: str, protocol: str = SMP) -> Planned:
    found = world.service.catalogue.protocols[protocol]
    with world.store.write() as connection:
        return revise.cancel_treatment(connection, world.clinic, treatment_id, found, world.who(now))


def act(world: World, deed: Callable[..., Any], client_id: int, now: str = REGISTERED) -> None:
    with world.store.write() as connection:
        deed(connection, world.clinic, client_id, world.who(now))


def change(world: World, client_id: int, now: str = REGISTERED, **fields: str) -> sa.RowMapping:
    with world.store.write() as connection:
        return revise.change_client(connection, world.clinic, client_id, fields, world.who(now))


def expire(world: World, now: str) -> None:
    with world.store.write() as connection:
        outbox.expire(connection, at(now))


# --- a corrected day (P6)


def test_a_correction_plans_every_open_step_anew_for_the_new_day(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    corrected = correct(world, planned.treatment_id, "2026-11-19", now="2026-11-20 17:00")
    assert [(row["step"], row["due_at"]) for row in corrected.rows] == [
        ("day-01", at("2026-11-20 10:00")),
        ("day-03", at("2026-11-22 10:00")),
        ("day-10", at("2026-11-29 10:00")),
    ]
    assert standing(world, planned.treatment_id) == PLANNED
    assert every(world, "day-03") == [("cancelled", "corrected", True), ("planned", None, False)]
    assert (corrected.kept, calls_of(world)) == ((), [])
    with world.store.read() as connection:
        assert connection.execute(sa.select(treatments.c.treated_on)).scalar_one() == date(2026, 11, 19)


def test_correcting_twice_and_back_again_leaves_one_row_a_step(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    for on in ("2026-11-19", "2026-11-18", "2026-11-20", "2026-11-20"):
        correct(world, planned.treatment_id, on, now="2026-11-20 17:00")
    assert standing(world, planned.treatment_id) == PLANNED
    assert [row.due_at for row in world.rows(emails.c.state == "planned", emails.c.step == "day-01")] == [
        at("2026-11-21 10:00")
    ]


def test_a_step_that_went_out_before_its_new_day_is_planned_anew_and_called_about(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    sent = put(world, "day-01", State.SENT)
    corrected = correct(world, planned.treatment_id, "2026-11-21", now="2026-11-21 12:00")
    assert every(world, "day-01") == [("sent", None, True), ("planned", None, False)]
    assert corrected.rows[0]["due_at"] == at("2026-11-22 10:00")
    assert calls_of(world) == [(sent, "wrong_day", "open")]
    assert corrected.kept == ()


def test_a_step_that_went_out_on_its_new_day_or_later_is_kept(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    put(world, "day-01", State.SENT)
    corrected = correct(world, planned.treatment_id, "2026-11-19", now="2026-11-21 12:00")
    assert every(world, "day-01") == [("sent", None, False)]
    assert corrected.kept == ("day-01",)
    assert calls_of(world) == []
    assert standing(world, planned.treatment_id) == PLANNED | {"day-01": "sent"}


def test_a_step_that_is_being_sent_now_is_let_go_and_kept(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    put(world, "day-01", State.SENDING)
    corrected = correct(world, planned.treatment_id, "2026-11-21", now="2026-11-21 10:00")
    assert corrected.kept == ("day-01",)
    assert every(world, "day-01") == [("sending", None, False)]


def test_a_claimed_step_is_taken_back_from_its_worker(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    with world.store.write() as connection:
        ids = outbox.due_ids(connection, at("2026-11-21 10:00"), 10)
        outbox.claim(connection, ids, Lease("w1", "t1", 600), at("2026-11-21 10:00"))
    correct(world, planned.treatment_id, "2026-11-21", now="2026-11-21 10:00")
    assert every(world, "day-01") == [("cancelled", "corrected", True), ("planned", None, False)]


def test_a_step_in_doubt_is_unconfirmed_called_about_and_planned_anew(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    doubtful = put(world, "day-01", State.IN_DOUBT)
    correct(world, planned.treatment_id, "2026-11-21", now="2026-11-21 12:00")
    assert every(world, "day-01") == [("unconfirmed", "corrected", True), ("planned", None, False)]
    assert calls_of(world) == [(doubtful, "unconfirmed", "open")]


@pytest.mark.parametrize("state", [State.MISSED, State.FAILED, State.UNCONFIRMED])
def test_a_step_that_ended_without_arriving_keeps_its_state_and_is_planned_anew(world: World, state: State) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    put(world, "day-01", state)
    correct(world, planned.treatment_id, "2026-11-21", now="2026-11-21 12:00")
    assert every(world, "day-01") == [(state, None, True), ("planned", None, False)]


def test_a_held_step_is_cancelled_and_planned_anew(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    put(world, "day-01", State.HELD, reason="unapproved")
    correct(world, planned.treatment_id, "2026-11-21", now="2026-11-21 12:00")
    assert every(world, "day-01") == [("cancelled", "corrected", True), ("planned", None, False)]


def test_steps_that_the_correction_makes_too_late_are_registered_late_with_one_call(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    corrected = correct(world, planned.treatment_id, "2026-11-15", now="2026-11-20 17:00")
    assert standing(world, planned.treatment_id) == PLANNED | dict.fromkeys(
        ("day-01", "day-03"), "missed: registered_late"
    )
    assert calls_of(world) == [(corrected.rows[1]["id"], "registered_late", "open")]


def test_a_catch_up_note_of_another_day_is_replaced_and_called_about(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    note = world.rows(emails.c.step == "day-03")[0]
    fields = {"kind": "catch_up", "step": "catch-up-05", "day": 5}
    with world.store.write() as connection:
        connection.execute(sa.update(emails).where(emails.c.id == note.id).values(fields))
    put(world, "catch-up-05", State.SENT, sent_at=at("2026-11-25 09:00"))
    corrected = correct(world, planned.treatment_id, "2026-11-22", now="2026-11-25 12:00")
    assert every(world, "catch-up-05") == [("sent", None, True)]
    assert calls_of(world)[0] == (note.id, "wrong_day", "open")
    assert corrected.kept == ()
    assert standing(world, planned.treatment_id) == PLANNED | {"day-01": "missed: registered_late"}


def test_an_open_catch_up_note_ends_with_a_correction(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    fields = {"kind": "catch_up", "step": "catch-up-02", "day": 2}
    with world.store.write() as connection:
        connection.execute(sa.update(emails).where(emails.c.step == "day-01").values(fields))
    correct(world, planned.treatment_id, "2026-11-19", now="2026-11-21 12:00")
    assert every(world, "catch-up-02") == [("cancelled", "corrected", True)]


def test_a_day_on_which_another_treatment_of_the_kind_stands_is_refused(world: World) -> None:
    client_id = world.client()
    first, second = world.treat(client_id, "2026-11-19"), world.treat(client_id, "2026-11-20")
    with pytest.raises(BadInput, match=f"treatment {second.treatment_id} is already on 2026-11-20"):
        correct(world, first.treatment_id, "2026-11-20", now=REGISTERED)


@pytest.mark.parametrize("on", ["2026-11-21", "1960-01-01"])
def test_a_day_that_cannot_be_is_refused_and_nothing_changes(world: World, on: str) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    before = world.rows()
    with pytest.raises(BadInput):
        correct(world, planned.treatment_id, on, now=REGISTERED)
    assert world.rows() == before


# --- cancelling, and giving back what was superseded (P7)


def test_a_cancelled_treatment_sends_nothing_more_and_stays_cancelled(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20")
    put(world, "day-01", State.SENT)
    cancelled = cancel(world, planned.treatment_id, now="2026-11-21 12:00")
    assert [(row["state"], row["reason"]) for row in cancelled.rows] == [
        ("sent", None),
        ("cancelled", "cancelled"),
        ("cancelled", "cancelled"),
    ]
    with pytest.raises(NotAllowed, match="is cancelled"):
        cancel(world, planned.treatment_id, now="2026-11-21 12:00")
    with pytest.raises(NotAllowed, match="is cancelled"):
        correct(world, planned.treatment_id, "2026-11-19", now="2026-11-21 12:00")


def test_cancelling_the_newer_gives_the_older_its_useful_steps_back(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-20")
    newer = world.treat(client_id, "2026-11-21", now="2026-11-21 09:00")
    cancel(world, newer.treatment_id, now="2026-11-22 12:00")
    assert standing(world, older.treatment_id) == {"day-03": "planned", "day-10": "planned"}
    given_back = world.rows(emails.c.treatment_id == older.treatment_id, emails.c.state == "planned")
    assert [(row.due_at, row.useful_until) for row in given_back] == [
        (at("2026-11-23 10:00"), at("2026-11-24 12:00")),
        (at("2026-11-30 10:00"), at("2026-12-01 20:00")),
    ]


def test_a_step_given_back_while_it_is_useful_goes_at_once(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-20")
    newer = world.treat(client_id, "2026-11-21", now="2026-11-21 09:00")
    cancel(world, newer.treatment_id, now="2026-11-21 14:00")
    row = world.rows(
        emails.c.treatment_id == older.treatment_id, emails.c.step == "day-01", emails.c.state == "planned"
    )[0]
    assert (row.due_at, row.not_before) == (at("2026-11-21 10:00"), at("2026-11-21 14:00"))


def test_only_the_newest_that_remains_gets_its_steps_back_whatever_its_protocol(world: World) -> None:
    client_id = world.client()
    oldest = world.treat(client_id, "2026-11-18", now="2026-11-18 16:00", protocol=SMP)
    middle = world.treat(client_id, "2026-11-19", now="2026-11-19 16:00", protocol=TATTOO)
    newest = world.treat(client_id, "2026-11-20", protocol=SMP)
    cancel(world, newest.treatment_id, now="2026-11-20 17:00")
    assert standing(world, middle.treatment_id) == PLANNED
    assert standing(world, oldest.treatment_id) == {}


def test_what_was_sent_or_perhaps_sent_before_it_was_superseded_is_not_given_back(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.IN_DOUBT)
    newer = world.treat(client_id, "2026-11-21", now="2026-11-21 10:10")
    cancel(world, newer.treatment_id, now="2026-11-21 10:20")
    assert standing(world, older.treatment_id) == PLANNED | {"day-01": "unconfirmed: superseded"}


def test_cancelling_the_older_gives_nothing_back(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-19")
    newer = world.treat(client_id, "2026-11-20")
    cancel(world, older.treatment_id, now="2026-11-20 17:00")
    assert standing(world, older.treatment_id) == {}
    assert standing(world, newer.treatment_id) == PLANNED


def test_what_is_given_back_to_somebody_who_stopped_stays_cancelled(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-19")
    newer = world.treat(client_id, "2026-11-20")
    act(world, revise.stop, client_id)
    cancel(world, newer.treatment_id, now="2026-11-20 17:00")
    assert standing(world, older.treatment_id) == {}


def test_a_newer_treatment_corrected_to_before_the_older_gives_it_back_its_steps(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-19")
    newer = world.treat(client_id, "2026-11-20")
    correct(world, newer.treatment_id, "2026-11-18", now="2026-11-20 17:00")
    assert standing(world, older.treatment_id) == PLANNED
    assert set(standing(world, newer.treatment_id).values()) <= {"missed: registered_late"}


def test_an_older_treatment_corrected_to_after_the_newer_supersedes_it(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-18")
    newer = world.treat(client_id, "2026-11-19")
    correct(world, older.treatment_id, "2026-11-20", now="2026-11-20 17:00")
    assert standing(world, older.treatment_id) == PLANNED
    assert standing(world, newer.treatment_id) == {}


# --- stop


def test_a_stop_ends_everything_open_and_asks_for_one_call(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.SENT)
    for _ in range(2):
        act(world, revise.stop, client_id, "2026-11-21 12:00")
    assert every(world, "day-03") == [("cancelled", "stopped", False)]
    assert standing(world, planned.treatment_id) == {"day-01": "sent"}
    assert calls_of(world) == [(None, "stopped", "open")]


def test_a_stop_with_nothing_open_asks_for_no_call(world: World) -> None:
    act(world, revise.stop, world.client())
    assert calls_of(world) == []


def test_a_stop_lets_go_what_is_being_sent_and_makes_a_row_in_doubt_unconfirmed(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.SENDING)
    doubtful = put(world, "day-03", State.IN_DOUBT)
    act(world, revise.stop, client_id)
    assert (every(world, "day-01"), every(world, "day-03")) == (
        [("sending", None, False)],
        [("unconfirmed", "stopped", False)],
    )
    assert calls_of(world) == [(doubtful, "unconfirmed", "open"), (None, "stopped", "open")]


def test_a_stop_undone_brings_nothing_back_but_lets_new_treatments_speak(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-19")
    act(world, revise.stop, client_id)
    act(world, revise.unstop, client_id)
    assert standing(world, older.treatment_id) == {}
    assert standing(world, world.treat(client_id, "2026-11-20").treatment_id) == PLANNED


# --- pause


def test_a_pause_of_five_days_lets_go_only_what_is_still_right(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    act(world, revise.pause, client_id)
    assert set(standing(world, planned.treatment_id).values()) == {"held: paused"}
    expire(world, "2026-11-24 12:00")
    act(world, revise.resume, client_id, "2026-11-25 09:00")
    assert standing(world, planned.treatment_id) == {
        "day-01": "missed: paused",
        "day-03": "missed: paused",
        "day-10": "planned",
    }
    assert [reason for _, reason, _ in calls_of(world)] == ["missed", "missed"]


def test_what_a_pause_made_too_late_is_missed_because_of_the_pause_also_when_no_round_ran_meanwhile(
    world: World,
) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    act(world, revise.pause, client_id)
    act(world, revise.resume, client_id, "2026-11-25 09:00")
    expire(world, "2026-11-25 09:00")
    assert standing(world, planned.treatment_id)["day-01"] == "missed: paused"
    with world.store.read() as connection:
        assert owed_catch_ups(connection, at("2026-11-25 09:00"), timedelta(days=21)) == []


def test_a_resume_frees_nothing_that_is_held_for_another_reason(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.HELD, reason="unapproved")
    act(world, revise.pause, client_id)
    act(world, revise.resume, client_id)
    assert standing(world, planned.treatment_id) == PLANNED | {"day-01": "held: unapproved"}


# --- changing a client


def test_changed_fields_are_cleaned_and_folded_and_the_audit_names_only_the_fields(world: World) -> None:
    client_id = world.client()
    client = change(world, client_id, name=" Samuel  REED ", email="SAM@new-example.com", phone="", client_ref="A1")
    assert (client["name"], client["name_folded"]) == ("Samuel REED", "samuel reed")
    assert (client["email_folded"], client["client_ref"]) == ("sam@new-example.com", "A1")
    with world.store.read() as connection:
        line = connection.execute(sa.select(audit_lines).order_by(audit_lines.c.id.desc()).limit(1)).one()
    assert line.detail == '{"fields": ["client_ref", "email", "name", "phone"]}'


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"colour": "blue"}, "colour"),
        ({"name": ""}, "name"),
        ({"email": "sam"}, "email"),
        ({"guardian": "\x00"}, "guardian"),
        ({"language": "english!"}, "language"),
    ],
)
def test_a_wrong_field_or_value_is_refused(world: World, fields: dict[str, str], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        change(world, world.client(), **fields)
    assert refusal.value.field == field


def test_nobody_is_changed_into_somebody_else(world: World) -> None:
    first = world.client("Sam Reed", "sam@example.com")
    second = world.client("Kim Reed", "sam@example.com", client_ref="A1")
    other = world.client("Ann Lee", "ann@example.com", client_ref="A2")
    with pytest.raises(BadInput, match=f"client {first} is already this person"):
        change(world, second, name="Sam Reed", client_ref="")
    with pytest.raises(BadInput, match=f"client {second} is already this person"):
        change(world, other, client_ref="A1")
    change(world, first, name="Sam Reed")


def test_a_new_language_counts_for_what_is_not_sent_yet(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.SENT)
    change(world, client_id, language="de")
    assert [row.language for row in world.rows()] == ["en", "de", "de"]


def test_a_row_in_doubt_towards_the_old_address_is_never_repeated_to_the_new_one(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    doubtful = put(world, "day-01", State.IN_DOUBT)
    change(world, client_id, "2026-11-21 10:20", email="new@example.com")
    assert every(world, "day-01") == [("unconfirmed", "changed", True), ("planned", None, False)]
    assert calls_of(world) == [(doubtful, "unconfirmed", "open")]
    assert standing(world, planned.treatment_id) == PLANNED


def test_what_did_not_arrive_at_a_wrong_address_goes_to_the_right_one_while_it_is_useful(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    with world.store.write() as connection:
        row = {"clinic_id": world.clinic.id, "email_folded": "sam@example.com", "reason": "dead"}
        connection.execute(sa.insert(suppressions).values(**row, created_at=at("2026-11-21 10:00")))
        outbox.end_open(connection, emails.c.step != "day-01", Reason.SUPPRESSED, at("2026-11-21 10:00"))
    put(world, "day-01", State.FAILED, reason="refused")
    change(world, client_id, "2026-11-21 11:00", email="right@example.com")
    assert every(world, "day-01") == [("failed", "refused", True), ("planned", None, False)]
    assert every(world, "day-03") == [("cancelled", "suppressed", False), ("planned", None, False)]
    assert standing(world, planned.treatment_id) == PLANNED


def test_what_bounced_is_sent_anew_what_arrived_or_is_too_late_is_not(world: World) -> None:
    client_id = world.client()
    planned = world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.FAILED)
    put(world, "day-03", State.SENT, bounced_at=at("2026-11-23 10:05"))
    put(world, "day-10", State.SENT)
    change(world, client_id, "2026-11-23 11:00", email="right@example.com")
    assert every(world, "day-01") == [("failed", None, False)]
    assert every(world, "day-03") == [("sent", None, True), ("planned", None, False)]
    assert every(world, "day-10") == [("sent", None, False)]
    assert planned.treatment_id


def test_an_older_treatment_gets_nothing_for_the_new_address(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-19", now="2026-11-19 16:00")
    put(world, "day-01", State.FAILED)
    world.treat(client_id, "2026-11-20", now="2026-11-20 16:00")
    change(world, client_id, "2026-11-20 17:00", email="right@example.com")
    assert standing(world, older.treatment_id) == {"day-01": "failed"}


def test_a_change_that_leaves_the_address_as_it_is_sends_nothing_anew(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.FAILED)
    change(world, client_id, "2026-11-21 11:00", email="sam@example.com", phone="01632 960 002")
    assert every(world, "day-01") == [("failed", None, False)]


# --- erasure


def test_an_erased_clients_data_is_gone_and_the_counts_stay(world: World) -> None:
    client_id = world.client("Canary Person", "canary@example.com", phone="01632 960 099", client_ref="CANARY-REF")
    planned = world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.SENT, facts='{"to_address":"canary@example.com"}', last_reply="canary")
    with world.store.write() as connection:
        row = {"clinic_id": world.clinic.id, "email_folded": "canary@example.com", "reason": "dead"}
        connection.execute(sa.insert(suppressions).values(**row, created_at=at(REGISTERED)))
        connection.execute(sa.update(treatments).values(treated_at="14:30"))
        call = {"clinic_id": world.clinic.id, "client_id": client_id, "reason": "missed", "note": "canary said"}
        connection.execute(sa.insert(calls).values(**call, opened_at=at(REGISTERED), due_at=at(REGISTERED)))
    act(world, revise.erase, client_id, "2026-11-21 12:00")
    assert standing(world, planned.treatment_id) == {"day-01": "sent"}
    assert every(world, "day-03") == [("cancelled", "erased", False)]
    with world.store.read() as connection:
        assert clients.get(connection, world.clinic.id, client_id)["state"] == "erased"
        for table in sorted(emails.metadata.tables.values(), key=str):
            dump = str([tuple(row) for row in connection.execute(sa.select(table))]).lower()
            assert "canary" not in dump, table.name
            assert "960 099" not in dump, table.name
            assert "14:30" not in dump, table.name
        assert audit.broken_links(connection, world.clinic.id) == []


def test_an_erased_person_may_come_back_as_somebody_new(world: World) -> None:
    client_id = world.client(client_ref="A1")
    act(world, revise.erase, client_id)
    again = world.client(client_ref="A1")
    assert again != client_id
    with pytest.raises(NotAllowed, match="is erased"):
        change(world, client_id, name="Sam Reed")


def test_a_row_being_sent_while_its_client_is_erased_can_never_be_repeated(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    put(world, "day-01", State.SENDING, facts="{}")
    act(world, revise.erase, client_id)
    row = world.rows(emails.c.step == "day-01")[0]
    assert (row.state, row.facts) == ("sending", None)


# --- another clinic's (P9)


def test_another_clinics_client_and_treatment_are_as_unknown_as_those_that_never_were(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    foreign = other.client()
    treatment = other.treat(foreign, "2026-11-20").treatment_id
    before = world.rows()
    deeds: list[tuple[int, Callable[[int], Any]]] = [
        (foreign, lambda one: act(world, revise.stop, one)),
        (foreign, lambda one: act(world, revise.unstop, one)),
        (foreign, lambda one: act(world, revise.pause, one)),
        (foreign, lambda one: act(world, revise.resume, one)),
        (foreign, lambda one: act(world, revise.erase, one)),
        (foreign, lambda one: change(world, one, name="Other")),
        (treatment, lambda one: cancel(world, one, REGISTERED)),
        (treatment, lambda one: correct(world, one, "2026-11-19", REGISTERED)),
    ]
    for known, deed in deeds:
        said = []
        for one in (known, known + 100):
            with pytest.raises(NotFound) as refusal:
                deed(one)
            said.append(str(refusal.value.as_document()).replace(str(one), "ID"))
        assert said[0] == said[1]
    assert world.rows() == before
