"""The pigment's lot and the technician's note at the desk: given when registering, read and corrected afterwards."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
import sqlalchemy as sa

from service.store.tables import Role, treatments
from tests.support.desk import signed_in
from tests.support.world import World, another_clinic
from tests.web.test_register import FRIDAY, KARIM, counted, hidden, plan, register, words

SAID = {"lot": "B-2291", "note": "<b>thin</b> skin at the crown"}
HERE = "/clients/1/treatments/1/remarks"


def stored(world: World) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        rows = connection.execute(sa.select(treatments.c.lot, treatments.c.note).order_by(treatments.c.id))
        return [(row.lot, row.note) for row in rows]


def folded(page: str) -> tuple[str, str]:
    """The attributes, and what is inside, of the part that is folded away."""
    found = re.search(r"<details class=\"whole\"( open)?>(.*?)</details>", page, re.DOTALL)
    assert found is not None
    return found[1] or "", unescape(found[2])


def test_both_fields_are_folded_away_and_needed_for_nothing(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        is_open, inside = folded(browser.get("/clients/new").text)
        assert (is_open, 'name="lot"' in inside, 'name="note"' in inside) == ("", True, True)
        register(browser)
        assert folded(browser.get("/clients/1/treatments/new").text)[0] == ""
    assert stored(world) == [("", "")]


def test_what_was_noted_is_saved_with_the_treatment_and_read_on_the_clients_page(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        card = browser.get(register(browser, {**KARIM, **SAID}).replace("/registered", "/card")).text
        page = browser.get("/clients/1").text
        copy = json.loads(browser.post("/clients/1/export").text)
    assert stored(world) == [("B-2291", SAID["note"])]
    assert "Pigment lot B-2291" in words(page)
    assert "Technician’s note: <b>thin</b> skin at the crown" in words(page)
    assert "<b>thin" not in page
    assert (copy["treatments"][0]["lot"], copy["treatments"][0]["note"]) == ("B-2291", SAID["note"])
    assert "B-2291" not in card


def test_one_more_treatment_has_its_own(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser, {**KARIM, **SAID, "on": "2026-11-13"})
        register(
            browser, {"protocol": KARIM["protocol"], "on": "2026-11-20", "lot": "C-7"}, "/clients/1/treatments/new"
        )
    assert stored(world) == [("B-2291", SAID["note"]), ("C-7", "")]


@pytest.mark.parametrize("path", ["/clients/new", "/clients/1/treatments/new"])
def test_a_note_that_is_too_long_is_said_beside_it_and_nothing_is_lost(world: World, path: str) -> None:
    world.client("Karim Haddad", "other@example.com", now="2026-11-20 10:00")
    with signed_in(world, now=FRIDAY) as browser:
        filled = plan(browser, {**KARIM, "lot": "B-2291"}, path)
        refused = browser.post(path, {**filled, "note": "x" * 501, "step": "save"})
    is_open, inside = folded(refused.text)
    assert (refused.status_code, is_open) == (400, " open")
    assert "The note has 501 characters. Use 500 characters at most." in inside
    assert 'value="B-2291"' in inside
    assert f'value="{"x" * 501}"' in inside
    assert (counted(world), stored(world)) == (1, [])


def test_either_is_corrected_and_the_story_says_that_but_not_what(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser, {**KARIM, **SAID})
        assert f'href="{HERE}"' in browser.get("/clients/1").text
        form = browser.get(HERE).text
        assert 'value="B-2291"' in form
        done = browser.post(HERE, {"lot": "B-2292", "note": "", "seen": hidden(form, "seen")})
        page = words(browser.after(done))
    assert stored(world) == [("B-2292", "")]
    assert "The lot and the note are saved." in page
    assert "Pigment lot or note changed" in page
    assert "Pigment lot B-2292" in page
    assert "B-2291" not in page


def test_what_somebody_else_noted_meanwhile_stands_beside_what_was_typed(world: World) -> None:
    world.treat(world.client(now="2026-11-20 10:00"), "2026-11-20", now="2026-11-20 10:01")
    with signed_in(world, now=FRIDAY) as browser:
        seen = hidden(browser.get(HERE).text, "seen")
        browser.post(HERE, {"lot": "A-1", "note": "", "seen": seen})
        late = browser.post(HERE, {"lot": "A-2", "note": "", "seen": seen})
        assert late.status_code == 409
        assert "Pigment lot A-1" in words(late.text)
        assert stored(world) == [("A-1", "")]
        assert browser.post(HERE, {"lot": "A-2", "note": "", "seen": hidden(late.text, "seen")}).status_code == 303
        refused = browser.post(HERE, {"lot": "y" * 61, "note": "", "seen": hidden(browser.get(HERE).text, "seen")})
    assert (refused.status_code, 'id="lot-error"' in refused.text, "y" * 61 in refused.text) == (400, True, True)
    assert stored(world) == [("A-2", "")]


def test_it_is_there_for_this_clinics_desk_and_this_client_only(world: World) -> None:
    world.treat(world.client(now="2026-11-20 10:00"), "2026-11-20", now="2026-11-20 10:01")
    world.client("Lou Day", "lou@example.com", now="2026-11-20 10:02")
    with signed_in(another_clinic(world, name="Southgate Clinic"), Role.OWNER, now=FRIDAY) as browser:
        assert browser.get(HERE).status_code == 404
        assert browser.post(HERE, {"lot": "X", "note": ""}).status_code == 404
    with signed_in(world, Role.CLINICIAN, now=FRIDAY) as browser:
        assert browser.get(HERE.replace("/clients/1", "/clients/2")).status_code == 404
        assert browser.post(HERE.replace("/clients/1", "/clients/2"), {"lot": "X"}).status_code == 404
    assert stored(world) == [("", "")]
