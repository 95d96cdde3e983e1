"""The page of outages: whom to phone, for those who may know it, and the owner's note."""

from __future__ import annotations

import html
import re

import pytest

from service.store import audit, outages
from service.store.audit import Sought
from service.store.calls import open_calls
from service.store.tables import Role, emails
from tests.support.desk import signed_in
from tests.support.world import World, another_clinic, at

AFTER = "2026-11-23 12:00"


def words(text: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)))


def a_blind_weekend(world: World) -> None:
    """Karim's day 1 was missed and a call is open; it is the second call, of the second client."""
    other = world.client("Zoe Lind", phone="01632 960 009")
    client_id = world.client("Karim Haddad", phone="01632 960 002")
    world.treat(client_id, "2026-11-20")
    (first,) = world.rows(emails.c.day == 1)
    with world.store.write() as connection:
        outages.open_outage(connection, "relay", at("2026-11-21 09:00"), "no answer")
        outages.close_outage(connection, "relay", at("2026-11-22 20:00"))
        over = {"state": "missed", "reason": "too_late", "ended_at": at("2026-11-22 20:00")}
        connection.execute(emails.update().where(emails.c.id == first.id).values(over))
        row = {"clinic_id": world.clinic.id, "email_id": None, "reason": "missed"}
        open_calls(connection, [{**row, "client_id": other}], at("2026-11-22 20:00"))
        open_calls(connection, [{**row, "client_id": client_id, "email_id": first.id}], at("2026-11-22 20:00"))


@pytest.mark.parametrize("role", [Role.RECEPTION, Role.CLINICIAN, Role.OWNER])
def test_whom_an_outage_touched_is_said_with_phone_and_the_call_to_make(world: World, role: Role) -> None:
    a_blind_weekend(world)
    with signed_in(world, role, AFTER) as browser:
        page = browser.get("/outages").text
    assert '<a href="/clients/2"><bdi>Karim Haddad</bdi></a>' in page
    assert 'href="tel:' in page
    assert "01632 960 002" in words(page)
    assert 'href="/calls/2"' in page
    assert "Zoe" not in page
    assert "Client 2" not in page


def test_ops_read_of_an_outage_and_of_no_client(world: World) -> None:
    a_blind_weekend(world)
    with signed_in(world, Role.OPS, AFTER) as browser:
        page = browser.get("/outages").text
    assert "1 e-mail was due: 1 missed" in words(page)
    assert not any(word in page for word in ("Karim", "960 002", "/calls/", "/clients/", "Keep a note"))


def test_a_call_that_is_done_is_not_offered_again(world: World) -> None:
    a_blind_weekend(world)
    with signed_in(world, Role.RECEPTION, AFTER) as browser:
        browser.get("/calls/2")
        browser.post("/calls/2/close", {"outcome": "reached"})
        page = browser.get("/outages").text
    assert "/calls/2" not in page
    assert "no open call" in page


def test_the_owner_keeps_a_note_that_all_staff_read_and_the_audit_knows(world: World) -> None:
    a_blind_weekend(world)
    with signed_in(world, Role.OWNER, AFTER) as browser:
        browser.get("/outages")
        page = browser.after(browser.post("/outages", {"outage": "1", "note-1": "The <router> had no power."}))
        assert "The note is kept." in page
        assert 'Note: <span dir="auto">The &lt;router&gt; had no power.</span>' in page
    with signed_in(world, Role.OPS, AFTER) as browser:
        assert "had no power" in browser.get("/outages").text
    with world.store.read() as connection:
        (line,) = audit.search(connection, world.clinic.id, Sought(action="outage noted"), 9)
    assert (line["actor"], line["subject"], line["detail"]) == ("owner1@northgate-clinic.org", "outage 1", "{}")


@pytest.mark.parametrize(("typed", "said"), [("", "The note is empty"), ("a\u0001b", "note"), ("x" * 1001, "1000")])
def test_a_note_that_cannot_be_kept_stays_in_its_field(world: World, typed: str, said: str) -> None:
    a_blind_weekend(world)
    with signed_in(world, Role.OWNER, AFTER) as browser:
        browser.get("/outages")
        answer = browser.post("/outages", {"outage": "1", "note-1": typed})
        assert answer.status_code == 400
        assert 'href="#note-1"' in answer.text
        assert 'id="note-1-error"' in answer.text
        assert said in words(answer.text)
        assert typed[:50] in answer.text
        assert "Note:" not in browser.get("/outages").text


@pytest.mark.parametrize("outage", ["2", "x", "9" * 30])
def test_an_outage_that_never_was_has_no_note(world: World, outage: str) -> None:
    a_blind_weekend(world)
    with signed_in(world, Role.OWNER, AFTER) as browser:
        browser.get("/outages")
        key = outage if outage == "2" else "0"
        assert browser.post("/outages", {"outage": outage, f"note-{key}": "a cable"}).status_code == 404


def test_where_clinics_share_the_program_none_of_them_writes_what_the_others_read(world: World) -> None:
    a_blind_weekend(world)
    another_clinic(world, name="Southgate")
    with signed_in(world, Role.OWNER, AFTER) as browser:
        assert "Keep a note" not in browser.get("/outages").text
        answer = browser.post("/outages", {"outage": "1", "note-1": "a cable"})
        assert answer.status_code == 409
        assert "Several clinics share this program" in answer.text
    with world.store.read() as connection:
        (story,) = outages.stories(connection, world.clinic.id, at(AFTER))
    assert story.outage.note is None
