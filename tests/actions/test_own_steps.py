"""What a clinic sets for a step holds from the next registration on, wherever it comes from; the plans before stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import own_steps, previewing, revise, words
from service.actions.correcting import Stale
from service.actions.csv_rows import CsvOptions, read_rows
from service.actions.foresee import Given, foresee
from service.actions.importing import ImportJob, import_file
from service.actions.own_steps import as_followed, as_typed, change_step, fingerprint, own_step, read_step
from service.actions.previewing import Desk, Wanted
from service.actions.register import NewTreatment, Planned
from service.actions.shelf import Shelf
from service.actions.treated import planned_protocol
from service.actions.words import TextKey
from service.actions.writing import Writer
from service.domain.letter import facts
from service.domain.own_steps import OwnStep
from service.domain.sample import sample_letter
from service.errors import BadInput
from service.mail.signing import Signer
from service.store import clinics
from service.store.engine import Store
from service.store.promises import ask_all
from service.store.tables import audit as lines
from service.store.tables import clinics as table
from service.store.tables import emails
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world, read, text_of

NOW = "2026-11-20 16:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def set_step(world: World, step: str = "day-03", seen: str | None = None, **typed: str) -> None:
    """Set one step of SMP as the owner's form does; the world goes on with the clinic as it is now."""
    protocol = world.service.catalogue.protocols[SMP]
    with world.store.write() as connection:
        clinic = clinics.get(connection, world.clinic.id)
        seen = fingerprint(own_step(clinic, protocol, step)) if seen is None else seen
        given = read_step(protocol, step, typed), seen
        world.clinic = change_step(connection, clinic, protocol, given, world.who(NOW))


def plan_of(world: World, treatment_id: int) -> dict[str, str]:
    rows = world.rows(emails.c.treatment_id == treatment_id)
    return {row.step: f"{row.due_at:%d %H:%M} to {row.useful_until:%d %H:%M}" for row in rows}


USUAL = {
    "day-01": "21 10:00 to 22 12:00",
    "day-03": "23 10:00 to 24 12:00",
    "day-10": "30 10:00 to 01 20:00",
}
MOVED = USUAL | {"day-03": "24 18:15 to 24 20:00"}
LATER = {"day": "4", "send_at": "18:15", "useful_until_at": "20:00"}


def test_what_is_registered_afterwards_goes_out_at_the_new_day_and_hour_and_the_earlier_stays(world: World) -> None:
    before = world.treat(world.client("Sam Reed"), "2026-11-20")
    set_step(world, **LATER, useful_until_day="4")
    after = world.treat(world.client("Lou Day"), "2026-11-20")
    assert plan_of(world, before.treatment_id) == USUAL
    assert plan_of(world, after.treatment_id) == MOVED


def test_an_hour_for_every_step_of_one_protocol_only(world: World) -> None:
    for step in ("day-01", "day-03", "day-10"):
        set_step(world, step, send_at="18:15")
    mine = world.treat(world.client("Sam Reed"), "2026-11-20")
    tattoo = world.treat(world.client("Lou Day"), "2026-11-20", protocol=TATTOO)
    assert [f"{row['due_at']:%H:%M}" for row in mine.rows] == ["18:15"] * 3
    assert [f"{row['due_at']:%H:%M}" for row in tattoo.rows] == ["10:00"] * 3


def test_a_file_that_is_imported_is_planned_the_same_way(world: World) -> None:
    set_step(world, **LATER, useful_until_day="4")
    source = f"name,email,treatment,treatment_date\nLou Day,lou@example.com,{SMP},2026-11-20\n".encode()
    titles = {SMP: "Scalp micropigmentation"}
    job = ImportJob(world.clinic, world.service.catalogue.protocols, world.who(NOW))
    import_file(world.store, read_rows(source, CsvOptions(date(2026, 11, 20), titles)), job)
    (row,) = world.rows(emails.c.step == "day-01")
    assert plan_of(world, row.treatment_id) == MOVED


def test_what_is_shown_before_saving_is_what_is_saved(world: World) -> None:
    protocol = world.service.catalogue.protocols[SMP]
    client_id = world.client()
    set_step(world, **LATER, useful_until_day="4")
    with world.store.read() as connection:
        seen = foresee(connection, world.clinic, Given(protocol, date(2026, 11, 20), client_id), at(NOW))
    planned = world.treat(client_id, "2026-11-20")
    assert [(step.step, step.due_at, step.useful_until) for step in seen.steps] == [
        (row["step"], row["due_at"], row["useful_until"]) for row in planned.rows
    ]


def correct(world: World, treatment_id: int, client_id: int, on: str, now: str) -> Planned:
    given = NewTreatment(client_id, world.service.catalogue.protocols[SMP], date.fromisoformat(on))
    with world.store.write() as connection:
        return revise.correct_treatment(connection, world.clinic, treatment_id, given, world.who(now))


def test_a_corrected_treatment_is_planned_anew_and_what_was_right_on_its_day_is_not_sent_again(world: World) -> None:
    client_id = world.client()
    treatment_id = world.treat(client_id, "2026-11-20").treatment_id
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    set_step(world, "day-01", day="2", send_at="09:00")
    set_step(world, **LATER, useful_until_day="4")
    planned = correct(world, treatment_id, client_id, "2026-11-19", "2026-11-21 12:00")
    assert planned.kept == ("day-01",)  # sent two days after, in the band of its words
    assert plan_of(world, treatment_id)["day-03"] == "23 18:15 to 23 20:00"
    assert world.rows(emails.c.step == "day-01", emails.c.replaced_at.is_not(None)) == []


def test_an_e_mail_sent_on_its_day_is_not_called_wrong_because_the_clinic_moved_the_step(world: World) -> None:
    client_id = world.client()
    treatment_id = world.treat(client_id, "2026-11-20").treatment_id
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    set_step(world, "day-01", day="2", send_at="09:00")
    assert correct(world, treatment_id, client_id, "2026-11-20", "2026-11-21 12:00").kept == ("day-01",)


def test_every_promise_stays_green_and_the_e_mails_go_out_at_the_clinics_own_hours(world: World) -> None:
    early = world.treat(world.client("Sam Reed"), "2026-11-20")
    set_step(world, "day-01", day="2", send_at="09:00")
    set_step(world, **LATER, useful_until_day="4")
    set_step(world, "day-10", day="8", send_at="18:15", useful_until_at="19:30")
    late = world.treat(world.client("Lou Day"), "2026-11-20")
    with ScriptedRelay() as relay:
        for day in range(21, 31):
            for hour in ("09:00", "10:00", "18:15"):
                world.tick(relay, f"2026-11-{day} {hour}")
    sent = {
        one: [f"{row.sent_at:%d %H:%M}" for row in world.rows(emails.c.treatment_id == one, emails.c.state == "sent")]
        for one in (early.treatment_id, late.treatment_id)
    }
    assert sent == {
        early.treatment_id: ["21 10:00", "23 10:00", "30 10:00"],
        late.treatment_id: ["22 09:00", "24 18:15", "28 18:15"],
    }
    with world.store.read() as connection:
        assert {one.name: one.ids for one in ask_all(connection, at("2026-11-30 18:20")) if one.ids} == {}


def test_a_preview_is_dated_by_the_clinics_own_day_and_hour(world: World) -> None:
    set_step(world, **LATER, useful_until_day="4")
    desk = Desk(world.clinic, Shelf(world.service.catalogue, drafts_count=True), Writer(Signer([b"x" * 32])))
    protocol = world.service.catalogue.protocols[SMP]
    compiled = world.service.catalogue.compile(SMP, "day-03", "en")
    with world.store.read() as connection:
        written = previewing.of_words(connection, desk, Wanted(protocol, "day-03", 0), compiled)
    assert written.dated == "2026-11-24T18:15:00+00:00"


def test_an_e_mail_that_names_the_day_of_another_step_says_the_day_that_was_planned(world: World) -> None:
    source = world.service.catalogue.sources[SMP, "day-01", "en"]
    source = source.replace("{{ hours_line }}", "We write again on {{ day_03_date }}.", 1)
    with world.store.write() as connection:
        key = TextKey(SMP, "day-01", "en")
        words.save(connection, world.service.catalogue, world.clinic, (key, source), world.who(NOW))
    world.treat(world.client("Sam Reed"), "2026-11-20")
    set_step(world, **LATER, useful_until_day="4")
    world.treat(world.client("Lou Day"), "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
        said = {read(one)["To"]: text_of(one) for one in relay.log}
    assert "We write again on Monday 23 November." in said["sam@example.com"]
    assert "We write again on Tuesday 24 November." in said["lou@example.com"]


def test_the_page_of_the_day_and_previews_know_the_days_that_were_planned(world: World) -> None:
    protocol = world.service.catalogue.protocols[SMP]
    before = world.treat(world.client("Sam Reed"), "2026-11-20")
    set_step(world, **LATER, useful_until_day="4")
    after = world.treat(world.client("Lou Day"), "2026-11-20")
    letter = replace(sample_letter("reminder", protocol, 1, "en"), treated_on=date(2026, 11, 20))
    with world.store.read() as connection:
        said = [
            facts(letter, planned_protocol(connection, protocol, one.treatment_id))["day_03_date"]
            for one in (before, after)
        ]
    assert said == ["2026-11-23", "2026-11-24"]


# Setting.


def test_each_change_stands_in_the_audit_and_saving_the_same_again_adds_nothing(world: World) -> None:
    set_step(world, send_at="18:15")
    set_step(world, send_at="18:15")
    set_step(world)
    set_step(world)
    with world.store.read() as connection:
        query = sa.select(lines.c.action, lines.c.detail).where(lines.c.action.like("step %")).order_by(lines.c.id)
        found = [tuple(row) for row in connection.execute(query)]
        stored = connection.execute(sa.select(table.c.own_steps)).scalar_one()
    nothing = '"day": null, "protocol": "scalp-micropigmentation", "send_at": {}, "step": "day-03", "until_at": null'
    assert [action for action, _ in found] == ["step changed", "step set back"]
    assert nothing.format('"18:15"') in found[0][1]
    assert nothing.format("null") in found[1][1]
    assert stored == "[]"


def test_what_the_protocol_says_itself_is_not_kept_as_the_clinics_own(world: World) -> None:
    set_step(world, day="3", useful_until_day="4", useful_until_at="12:00")
    assert world.clinic.own_steps == ()


def test_settings_come_back_as_they_were_saved_for_this_clinic_alone(world: World) -> None:
    southgate = another_clinic(world, name="Southgate")
    set_step(world, "day-10", day="8")
    set_step(world, **LATER)
    with world.store.read() as connection:
        here, there = (clinics.get(connection, one.clinic.id) for one in (world, southgate))
    assert here.own_steps == (
        OwnStep(SMP, "day-10", 8),
        OwnStep(SMP, "day-03", 4, time(18, 15), None, time(20, 0)),
    )
    assert here.time.own_steps == here.own_steps
    assert there.own_steps == ()
    protocol = world.service.catalogue.protocols[SMP]
    assert as_typed(own_step(here, protocol, "day-03")) == {**LATER, "useful_until_day": ""}


def test_whoever_was_quicker_is_not_overwritten_unseen(world: World) -> None:
    seen = fingerprint(OwnStep(SMP, "day-03"))
    set_step(world, send_at="18:15")
    with pytest.raises(Stale):
        set_step(world, seen=seen, send_at="09:00")
    assert world.clinic.own_steps == (OwnStep(SMP, "day-03", send_at=time(18, 15)),)


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("day", "x"),
        ("day", "-1"),
        ("day", "٣"),
        ("day", "367"),
        ("day", "9" * 5000),
        ("send_at", "25:00"),
        ("send_at", "6pm"),
        ("useful_until_day", "1.5"),
        ("useful_until_at", "24:00"),
    ],
)
def test_what_is_no_day_or_time_is_refused_by_its_field(world: World, field: str, raw: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_step(world.service.catalogue.protocols[SMP], "day-03", {field: raw})
    assert caught.value.field == field
    assert caught.value.next_step
    assert len(caught.value.message) < 60


def test_a_step_that_the_protocol_does_not_have_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match="has no step") as caught:
        read_step(world.service.catalogue.protocols[SMP], "day-02", {})
    assert caught.value.next_step == "Steps: day-01, day-03, day-10."


def test_what_no_longer_fits_a_changed_protocol_does_not_count_and_may_be_given_back(world: World) -> None:
    stale = (OwnStep(SMP, "day-01", 2, time(9)), OwnStep(SMP, "day-03", 6, time(9)), OwnStep(SMP, "day-10", 13))
    with world.store.write() as connection:
        world.clinic = clinics.save_own_steps(connection, world.clinic.id, stale)
    protocol = world.service.catalogue.protocols[SMP]
    followed, why = as_followed(world.clinic, protocol)
    assert followed == protocol
    assert "day-03" in why
    assert plan_of(world, world.treat(world.client(), "2026-11-20").treatment_id) == USUAL
    set_step(world, "day-03")
    set_step(world, "day-10")
    assert as_followed(world.clinic, protocol)[1] == ""
    assert own_steps.own_step(world.clinic, protocol, "day-01").day == 2
