"""The owner sets when each e-mail goes out, at the desk: what is wrong stands beside its field, nothing typed is lost."""

from __future__ import annotations

import html
import re
from datetime import time

import pytest

from service.domain.own_steps import OwnStep
from service.store import clinics
from service.store.tables import Role
from tests.support.desk import signed_in
from tests.support.world import SMP, World

LIST, STEP = "/settings/protocols", f"/settings/protocols/step?protocol={SMP}&step=day-03"
ABOUT = {"protocol": SMP, "step": "day-03"}


def words(text: str) -> str:
    """A page without its marks, in one line."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)))


def stored(world: World) -> tuple[OwnStep, ...]:
    with world.store.read() as connection:
        return clinics.get(connection, world.clinic.id).own_steps


def seen(page: str) -> str:
    (found,) = re.findall(r'name="seen" value="(\w+)"', page)
    return str(found)


def test_the_owner_sets_an_hour_sees_it_beside_the_protocols_own_and_gives_it_back(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        form = {**ABOUT, "seen": seen(owner.get(STEP).text)}
        answer = owner.post("/settings/protocols/step", {**form, "day": "4", "send_at": "09:15"})
        page = words(owner.after(answer))
        assert "what is planned already stays as it is" in page
        assert "Day 4 (the protocol’s: day 3) 09:15 (the protocol’s: 10:00) day 4, 12:00 a call" in page
        assert "set by this clinic" in page
        assert stored(world) == (OwnStep(SMP, "day-03", 4, time(9, 15)),)
        form = {**ABOUT, "seen": seen(owner.get(STEP).text), "reset": "yes", "day": "no day"}
        assert "the protocol’s:" not in words(owner.after(owner.post("/settings/protocols/step", form)))
    assert stored(world) == ()


def test_the_form_says_which_days_the_words_allow_and_what_empty_means(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        page = words(owner.get(STEP).text)
        assert "The words are right on days 3 to 4" in page
        assert "The protocol’s: the clinic’s hour, 10:00." in page
        assert "Empty: as in the protocol." in page
        assert "Back to the protocol’s own" not in page
        assert "Scalp micropigmentation: day 1" in words(owner.get("/settings/protocols/step").text)


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"day": "x", "send_at": "25:00", "useful_until_day": "-1"}, {"day", "send_at", "useful_until_day"}),
        ({"day": "5", "send_at": "09:00"}, {"day"}),
        ({"day": "4"}, {"send_at"}),
        ({"useful_until_day": "5"}, {"useful_until_day"}),
        ({"useful_until_at": "12:30"}, {"useful_until_at"}),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(
    world: World, typed: dict[str, str], wrong: set[str]
) -> None:
    with signed_in(world, Role.OWNER) as owner:
        answer = owner.post("/settings/protocols/step", {**ABOUT, "seen": seen(owner.get(STEP).text), **typed})
    assert answer.status_code == 400
    assert set(re.findall(r'id="(\w+)-error"', answer.text)) == wrong
    for name, value in typed.items():
        assert re.search(rf'id="{name}" name="{name}" type="\w+" value="{value}"', answer.text)
    assert stored(world) == ()


def test_whoever_was_quicker_is_shown_beside_what_was_typed(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        form = {**ABOUT, "seen": seen(owner.get(STEP).text)}
        assert owner.post("/settings/protocols/step", {**form, "send_at": "09:15"}).status_code == 303
        late = owner.post("/settings/protocols/step", {**form, "send_at": "18:15"})
        assert late.status_code == 409
        assert "Goes out at 09:15" in words(late.text)
        assert 'value="18:15"' in late.text
        again = owner.post("/settings/protocols/step", {**form, "seen": seen(late.text), "send_at": "18:15"})
        assert again.status_code == 303
    assert stored(world) == (OwnStep(SMP, "day-03", send_at=time(18, 15)),)


def test_saving_what_is_there_already_says_so(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        form = {**ABOUT, "seen": seen(owner.get(STEP).text)}
        assert "Nothing was changed." in owner.after(owner.post("/settings/protocols/step", form))


@pytest.mark.parametrize("role", [Role.RECEPTION, Role.CLINICIAN, Role.OPS])
def test_others_read_what_the_clinic_follows_and_find_no_way_to_change_it(world: World, role: Role) -> None:
    with world.store.write() as connection:
        clinics.save_own_steps(connection, world.clinic.id, [OwnStep(SMP, "day-03", send_at=time(18, 15))])
    with signed_in(world, role) as desk:
        page = desk.get(LIST).text
        assert "18:15 (the protocol’s: 10:00)" in words(page)
        assert LIST + "/step" not in page
        assert desk.get(STEP).status_code == 403
        assert desk.post("/settings/protocols/step", {**ABOUT, "send_at": "09:00"}).status_code == 403
    assert stored(world) == (OwnStep(SMP, "day-03", send_at=time(18, 15)),)


def test_a_step_that_is_not_there_leads_back_to_the_list(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        for path in ("?protocol=nothing&step=day-03", f"?protocol={SMP}&step=day-02", f"?protocol={SMP}"):
            assert owner.get(f"/settings/protocols/step{path}").headers["location"] == LIST
        assert owner.post("/settings/protocols/step", {"protocol": SMP}).headers["location"] == LIST


def test_what_does_not_fit_any_more_is_said_with_the_reason(world: World) -> None:
    with world.store.write() as connection:
        clinics.save_own_steps(connection, world.clinic.id, [OwnStep(SMP, "day-03", 6, time(18, 15))])
    with signed_in(world, Role.OWNER) as owner:
        page = words(owner.get(LIST).text)
    assert "the protocol’s own count: on day 6 the words of day-03 are not right" in page
    assert "Day 3 10:00 (the clinic’s hour) day 4, 12:00" in page
