"""The page of figures: numbers that are those of the rows, small ones hidden, for those who may see them."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from service.store.tables import Role, calls, check_ins
from tests.support.builders import build_client, build_email, build_treatment
from tests.support.desk import signed_in
from tests.support.world import World, another_clinic, at

NOW = "2026-11-27 12:00"
SENT = "2026-11-17 10:00"


def words(text: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)))


def put(world: World, number: int, state: str = "sent", due: str = SENT, day: int = 1, **fields: object) -> None:
    due_at = at(due)
    with world.store.write() as connection:
        client_id = build_client(connection, world.clinic, f"{state}{day}{due}{len(fields)}")
        for _ in range(number):
            row = {"state": state, "due_at": due_at, "useful_until": due_at + timedelta(hours=26), "day": day}
            build_email(connection, world.clinic, client_id, **row, **fields)


def row(page: str, heading: str) -> list[str]:
    """The cells of the last table row under this heading."""
    found = re.findall(rf'<tr><th scope="row">{re.escape(heading)}</th>(.*?)</tr>', page, re.DOTALL)
    return re.findall(r">([^<>]*)</td>", found[-1])


def test_the_numbers_are_those_of_the_rows_and_add_up(world: World) -> None:
    put(world, 7)
    put(world, 6, "missed", day=3)
    put(world, 5, "failed", due="2026-11-24 10:00")
    put(world, 8, "cancelled", due="2026-11-24 10:00", reason="stopped")
    with signed_in(world, Role.OWNER, NOW) as browser:
        page = browser.get("/figures").text
        only = browser.get("/figures?day=3").text
    assert row(page, "Mon 16 Nov") == ["7", "0", "6", "0", "0", "0", "13"]
    assert row(page, "Mon 23 Nov") == ["0", "5", "0", "8", "0", "0", "13"]
    assert row(page, "All weeks") == ["7", "5", "6", "8", "0", "0", "26"]
    assert row(page, "Day 1") == ["7", "5", "0", "8", "0", "0", "20"]
    assert row(page, "Day 3") == ["0", "0", "6", "0", "0", "0", "6"]
    assert row(only, "All weeks") == ["0", "0", "6", "0", "0", "0", "6"]
    assert "accepted by the next server, no bounce in 72 h" in words(page)


def test_numbers_from_one_to_four_are_hidden_and_their_bars_have_one_length(world: World) -> None:
    put(world, 1)
    put(world, 4, due="2026-11-10 10:00")
    put(world, 5, due="2026-11-03 10:00")
    with signed_in(world, Role.CLINICIAN, NOW) as browser:
        page = browser.get("/figures").text
    for week, shown in (("Mon 16 Nov", "&lt;5"), ("Mon 9 Nov", "&lt;5"), ("Mon 2 Nov", "5")):
        assert row(page, week)[0] == shown
    assert row(page, "All weeks")[0] == "10"
    assert re.findall(r'<rect width="([\d.]+)"', page)[-4:] == ["100.0", "100.0", "100.0", "0.0"]
    assert "&amp;lt;" not in page


def test_a_week_is_one_of_the_clinics_zone(world: World) -> None:
    """Sunday 23:30 UTC is Monday in Lisbon's summer, and Sunday in London's winter."""
    put(world, 5, due="2026-10-18 23:30")
    put(world, 6, due="2026-11-15 23:30")
    with signed_in(world, Role.OWNER, NOW) as browser:
        page = browser.get("/figures").text
    assert row(page, "Mon 19 Oct")[0] == "5"
    assert row(page, "Mon 9 Nov")[0] == "6"


def answered(world: World, level: str, minutes: int | None) -> None:
    with world.store.write() as connection:
        client_id = build_client(connection, world.clinic, f"c{level}{minutes}")
        treatment_id = build_treatment(connection, world.clinic, client_id)
        begun = at("2026-11-24 10:00")
        of = {"clinic_id": world.clinic.id, "client_id": client_id}
        call_id = None
        if level == "T":
            done = {"state": "closed", "outcome": "reached"} if minutes else {}
            closed_at = begun + timedelta(minutes=minutes) if minutes else None
            call = {**of, "reason": "red_answer", "opened_at": begun, "due_at": begun, "closed_at": closed_at, **done}
            call_id = connection.execute(calls.insert().values(call).returning(calls.c.id)).scalar_one()
        said = {"day": 3, "answers": "{}", "rules": "[]", "rules_version": "1", "level": level, "call_id": call_id}
        connection.execute(check_ins.insert().values(**of, **said, treatment_id=treatment_id, answered_at=begun))


def test_the_median_from_a_red_answer_to_an_outcome_is_shown(world: World) -> None:
    for minutes in (10, 19, 90, None):
        answered(world, "T", minutes)
    for number in range(2):
        answered(world, "N", number)
    with signed_in(world, Role.OWNER, NOW) as browser:
        said = words(browser.get("/figures").text)
    assert "Answered 6 Red answers <5 From a red answer to an outcome 19 minutes, half of them sooner" in said
    assert "Red answers without an outcome <5" in said


def test_without_anything_the_page_says_what_will_stand_there(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    put(other, 9)
    with signed_in(world, Role.OWNER, NOW) as browser:
        said = words(browser.get("/figures?day=99").text)
        assert 'href="/figures"' in browser.get("/settings").text
    assert "No e-mail fell due yet." in said
    assert "no red answer has its outcome yet" in said


@pytest.mark.parametrize("role", [Role.RECEPTION, Role.OPS])
def test_others_are_not_led_to_it(world: World, role: Role) -> None:
    with signed_in(world, role, NOW) as browser:
        assert "/figures" not in browser.get("/settings").text
        assert browser.get("/figures").status_code == 403
