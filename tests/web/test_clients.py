"""Finding a client, the page about one with its whole story, and everything that may be done there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape

import pytest
import sqlalchemy as sa

from service.actions.revise import Who, erase
from service.domain import consent
from service.domain.reminder import State
from service.store import check_ins, clients
from service.store.calls import open_calls
from service.store.clients import Dead
from service.store.tables import Role, audit, calls, emails
from service.store.tables import clients as people
from tests.support.desk import Browser, signed_in
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import SMP, World, another_clinic, at

NOON = "2026-11-20 12:00"
DAY_THREE = "2026-11-23 12:00"


@pytest.fixture
def sam(world: World) -> int:
    """Sam Reed, treated on 20 November."""
    client_id = world.client("Sam Reed", phone="01632 960 001", now="2026-11-20 10:00")
    world.treat(client_id, "2026-11-20", now="2026-11-20 10:01")
    return client_id


@pytest.fixture
def browser(world: World, sam: int) -> Iterator[Browser]:
    del sam
    with signed_in(world) as made:
        yield made


def deeds(world: World, action: str) -> list[dict[str, object]]:
    """The facts of every such line of the audit."""
    with world.store.read() as connection:
        found = connection.execute(sa.select(audit.c.detail).where(audit.c.action == action).order_by(audit.c.id))
        return [json.loads(detail) for detail in found.scalars()]


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))


def put(world: World, step: str, **fields: object) -> int:
    with world.store.write() as connection:
        changed = sa.update(emails).where(emails.c.step == step).values(fields).returning(emails.c.id)
        return int(connection.execute(changed).scalar_one())


# --- finding


def test_the_box_finds_and_the_line_says_what_matters(world: World, browser: Browser) -> None:
    page = words_of(browser.get("/clients?q=ree+sa").text)
    assert "Sam Reed Fri 20 Nov · " in page
    assert "Sat 21 Nov, 10:00 (tomorrow) gets e-mails" in page
    assert 'href="/clients/1"' in browser.get("/clients?q=960001").text
    assert "Treated on Fri 20 Nov" in browser.get("/clients?q=20+nov").text


def test_nothing_typed_shows_who_was_treated_last_and_nothing_found_says_what_to_do(browser: Browser) -> None:
    assert "Treated last" in browser.get("/clients").text
    page = browser.get("/clients?q=xyzzy").text
    assert "Nobody is found under that" in page
    assert 'value="xyzzy"' in page


def test_while_typing_only_the_list_is_answered(browser: Browser) -> None:
    part = browser.get("/clients?q=sam", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "Sam Reed" in part
    assert "1 found" in part


# --- the page and its story


def test_the_page_says_who_what_comes_next_and_that_somebody_looked(world: World, browser: Browser) -> None:
    page = browser.get("/clients/1").text
    assert "sam@example.com" in page
    assert 'href="tel:01632960001"' in page
    assert "next e-mail Sat 21 Nov, 10:00 (tomorrow)" in words_of(page)
    browser.get("/clients/1")
    assert len(deeds(world, "client opened")) == 1


def test_the_story_is_told_newest_first(world: World, sam: int) -> None:
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    put(world, "day-01", bounced_at=at("2026-11-21 10:30"), bounce_class="hard")
    with world.store.write() as connection:
        open_calls(
            connection,
            [{"clinic_id": 1, "client_id": sam, "email_id": None, "reason": "bounced"}],
            at("2026-11-21 10:31"),
        )
        given = {
            "clinic_id": 1, "client_id": sam, "treatment_id": 1, "day": 1, "answers": {"q1": ["none"]}, "level": "T",
            "rules": [], "rules_version": "x", "answered_at": at("2026-11-21 12:20"),
        }  # fmt: skip
        check_ins.add(connection, given)
    with signed_in(world, now="2026-11-21 14:00") as browser:
        browser.get("/calls/1")
        browser.post("/calls/1/close", {"outcome": "reached", "note": "coming at 16:00"})
        page = words_of(browser.get(f"/clients/{sam}").text)
    order = [
        "Called: reached",
        "Answered the questions on day 1",
        "Call wanted: an e-mail came back",
        "Day 1 came back",
        "Day 1: the mail server took it",
        "Treated on Fri 20 Nov",
        "Registered",
    ]
    places = [page.index(words) for words in order]
    assert places == sorted(places)
    assert "Note: coming at 16:00" in page
    assert "Reception Person" in page
    assert "Version 1 of the words" in page
    assert "Day 3: Mon 23 Nov, 10:00" in page


def test_who_registered_and_who_heard_the_consent_are_told_each_with_the_words(world: World) -> None:
    """The client's row holds the newest consent only; nobody may be named for what another did."""
    lou = world.client("Lou Day", consent=False, now="2026-11-20 10:00")
    seen = {"protocol": SMP, "on": "2026-11-20", "agreed": "yes", "nonce": "n" * 22}
    with signed_in(world) as browser:
        page = browser.get(f"/clients/{lou}/treatments/new").text
        page = browser.post(f"/clients/{lou}/treatments/new", {**seen, "step": "plan"}).text
        digest = re.search(r'name="seen" value="([^"]*)"', page)
        assert digest is not None
        browser.post(f"/clients/{lou}/treatments/new", {**seen, "seen": digest[1], "step": "save"})
        page = words_of(browser.get(f"/clients/{lou}").text)
    agreed, registered = page.partition("Agreed to these e-mails")[2].split(" Registered ", 1)
    assert agreed.startswith(" Fri 20 Nov, 12:00 (today) · Reception Person")
    assert f"Words read out, version {consent.NEWEST}: “{consent.WORDS[consent.NEWEST]}”" in agreed
    assert registered.startswith("Fri 20 Nov, 10:00 (today) · test ")
    assert "Said no to these e-mails." in registered
    assert "Agreed" not in registered


def test_a_consent_at_registration_is_told_with_its_day_and_its_words_if_they_are_known(world: World) -> None:
    ana = world.client("Ana Ruiz", consent_words=1, now="2026-11-20 10:00")
    kim = world.client("Kim Low", now="2026-11-20 10:00")
    with signed_in(world) as browser:
        said, unsaid = (words_of(browser.get(f"/clients/{one}").text) for one in (ana, kim))
    assert f"Agreed to these e-mails on Fri 20 Nov. Words read out, version 1: “{consent.WORDS[1]}”" in said
    assert "Agreed to these e-mails on Fri 20 Nov. Which words were read out is not recorded." in unsaid


def test_every_try_of_a_call_and_its_reopening_stay_in_the_story(world: World, sam: int) -> None:
    with world.store.write() as connection:
        wanted = {"clinic_id": 1, "client_id": sam, "email_id": None, "reason": "bounced"}
        open_calls(connection, [wanted], at("2026-11-20 11:00"))
    acts: tuple[tuple[Role, str, dict[str, str]], ...] = (
        (Role.RECEPTION, "close", {"outcome": "no_answer", "note": "rang twice"}),
        (Role.CLINICIAN, "close", {"outcome": "reached"}),
        (Role.OWNER, "reopen", {}),
    )
    for hour, (role, act, form) in enumerate(acts, 12):
        with signed_in(world, role, now=f"2026-11-20 {hour}:00") as browser:
            browser.get("/calls/1")
            assert browser.post(f"/calls/1/{act}", form).status_code == 303
            page = words_of(browser.get(f"/clients/{sam}").text).partition("What happened")[2]
    told = [
        "Call opened again Fri 20 Nov, 14:00 (today) · Owner Person",
        "Called: reached Fri 20 Nov, 13:00 (today) · Clinician Person",
        "Called: no answer Fri 20 Nov, 12:00 (today) · Reception Person",
        "Call wanted: an e-mail came back Fri 20 Nov, 11:00",
    ]
    places = [page.index(words) for words in told]
    assert places == sorted(places)
    assert page.count("More about: Called: ") == 2
    assert page.count("Note: rang twice") == 1


def test_the_exact_words_are_shown_and_proven(world: World, sam: int) -> None:
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    email_id = world.rows(emails.c.state == State.SENT)[0].id
    with signed_in(world, now="2026-11-21 14:00") as browser:
        page = browser.get(f"/clients/{sam}/emails/{email_id}").text
        frame = browser.get(f"/clients/{sam}/emails/{email_id}/words")
        assert "These are the exact words that went out." in page
        assert f'sandbox src="/clients/{sam}/emails/{email_id}/words"' in page
        assert "version 1" in page
        assert "Sam" in frame.text
        assert "script-src" not in frame.headers["content-security-policy"]
        assert "sandbox" in frame.headers["content-security-policy"]
        put(world, "day-01", digest="0" * 64)
        assert "the frame around it has been changed since" in browser.get(f"/clients/{sam}/emails/{email_id}").text
        with world.store.write() as connection:
            erase(connection, world.clinic, sam, Who("owner", at("2026-11-21 15:00")))
        gone = browser.get(f"/clients/{sam}/emails/{email_id}").text
        assert "was erased" in gone
        assert "<iframe" not in gone
        assert browser.get(f"/clients/{sam}/emails/{email_id}/words").status_code == 404


def test_an_email_that_has_not_gone_out_says_so(world: World, browser: Browser) -> None:
    assert "It has not gone out." in browser.get("/clients/1/emails/1").text


# --- acting, each twice: the second time does no harm


@pytest.mark.parametrize(
    ("path", "action", "states"),
    [
        ("stop", "client stopped", {"cancelled: stopped"}),
        ("pause", "client paused", {"held: paused"}),
        ("treatments/1/cancel", "treatment cancelled", {"cancelled: cancelled"}),
    ],
)
def test_stop_pause_and_cancel_need_a_reason_and_do_it_once(
    world: World, browser: Browser, path: str, action: str, states: set[str]
) -> None:
    assert browser.get(f"/clients/1/{path}").status_code == 200
    refused = browser.post(f"/clients/1/{path}", {"reason": " "})
    assert (refused.status_code, "The reason is empty" in refused.text) == (400, True)
    assert set(world.states().values()) == {"planned"}
    for _ in range(2):
        done = browser.post(f"/clients/1/{path}", {"reason": "asked on the phone"})
        page = words_of(browser.after(done))
    assert set(world.states().values()) == states
    assert [line["why"] for line in deeds(world, action)] == ["asked on the phone"]
    assert "Reason: asked on the phone" in page


def test_a_reason_names_nobody_because_it_stays(world: World, browser: Browser) -> None:
    for reason in ("Mrs reed asked", "sam@example.com is wrong", "call 01632 960001"):
        refused = browser.post("/clients/1/stop", {"reason": reason})
        assert (refused.status_code, "The reason names the client" in refused.text) == (400, True), reason
        assert reason in unescape(refused.text)
    assert deeds(world, "client stopped") == []


def test_a_stop_calls_and_can_be_undone(world: World, browser: Browser) -> None:
    browser.post("/clients/1/stop", {"reason": "asked"})
    page = words_of(browser.get("/clients/1").text)
    assert "Wants no e-mails, since" in page
    assert "wants no more e-mails" in page.lower()
    for _ in range(2):
        assert "The stop is undone" in browser.after(browser.post("/clients/1/unstop", {"reason": "asked again"}))
    assert len(deeds(world, "client stop undone")) == 1


def test_a_pause_ends_with_one_press(world: World, browser: Browser) -> None:
    browser.post("/clients/1/pause", {"reason": "away"})
    for _ in range(2):
        assert "Resumed" in browser.after(browser.post("/clients/1/resume"))
    assert set(world.states().values()) == {"planned"}
    assert len(deeds(world, "client resumed")) == 1


def test_an_address_is_written_to_again_with_a_reason(world: World, browser: Browser) -> None:
    with world.store.write() as connection:
        clients.suppress(connection, Dead(1, "sam@example.com", "dead"), at(NOON))
    assert "We do not write to this address" in browser.get("/clients/1").text
    for _ in range(2):
        browser.post("/clients/1/lift", {"reason": "confirmed on the phone"})
    page = words_of(browser.get("/clients/1").text)
    assert "We do not write to this address" not in page
    assert "We write to this address again" in page
    assert [line["why"] for line in deeds(world, "address written to again")] == ["confirmed on the phone"]


def test_one_email_is_left_out(world: World, browser: Browser) -> None:
    email_id = world.rows(emails.c.step == "day-03")[0].id
    for _ in range(2):
        page = browser.after(browser.post(f"/clients/1/emails/{email_id}/skip", {"reason": "told at the desk"}))
    assert "That e-mail will not go out." in page
    assert "Called off: day 3" in page
    assert world.states()["day-03"] == "cancelled: skipped"


def test_erasing_asks_for_a_typed_word_of_an_owner(world: World, browser: Browser) -> None:
    assert browser.get("/clients/1/erase").status_code == 403
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/clients/1/erase")
        assert owner.post("/clients/1/erase", {"word": "yes"}).status_code == 400
        for _ in range(2):
            page = owner.after(owner.post("/clients/1/erase", {"word": "Erase"}))
        assert "Sam" not in page
        assert "sam@example.com" not in page
        assert "Erased client" in page
        assert owner.post("/clients/1/stop", {"reason": "x"}).status_code == 409
        assert "Sam" not in owner.get("/clients?q=sam").text.partition("<table")[2]
    assert len(deeds(world, "client erased")) == 1


def test_a_copy_of_everything_is_a_file_and_is_noted(world: World, browser: Browser) -> None:
    browser.get("/clients/1")
    answer = browser.post("/clients/1/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="client-1.json"'
    document = answer.json()
    assert document["client"]["name"] == "Sam Reed"
    assert [row["step"] for row in document["emails"]] == ["day-10", "day-03", "day-01"]
    assert len(document["treatments"]) == 1
    assert len(deeds(world, "client exported")) == 1


# --- correcting


def seen_in(page: str) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', page)
    assert found is not None
    return found[1]


FIELDS = {"name": "Sam Reed", "email": "sam@example.com", "phone": "01632 960 001", "language": "en"}


def test_correcting_changes_what_differs_and_the_search_follows(world: World, browser: Browser) -> None:
    seen = seen_in(browser.get("/clients/1/correct").text)
    for _ in range(2):
        done = browser.post("/clients/1/correct", {**FIELDS, "name": "Sam O'Neill", "seen": seen})
        assert "Corrected." in browser.after(done)
    assert deeds(world, "client changed") == [{"fields": ["name"]}]
    assert "O&#39;Neill" in browser.get("/clients?q=neill").text


def test_a_mistake_is_said_beside_its_field_and_nothing_typed_is_lost(browser: Browser) -> None:
    seen = seen_in(browser.get("/clients/1/correct").text)
    refused = browser.post("/clients/1/correct", {**FIELDS, "email": "sam@", "name": "Sammy", "seen": seen})
    assert refused.status_code == 400
    assert 'id="email-error"' in refused.text
    assert 'value="Sammy"' in refused.text
    assert "aftercare client" not in refused.text


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_overwritten(world: World, browser: Browser) -> None:
    seen = seen_in(browser.get("/clients/1/correct").text)
    browser.post("/clients/1/correct", {**FIELDS, "phone": "01632 960 777", "seen": seen})
    late = browser.post("/clients/1/correct", {**FIELDS, "email": "reed@example.com", "seen": seen})
    assert late.status_code == 409
    assert "Somebody else has changed this client meanwhile" in late.text
    assert "01632 960 777" in late.text
    assert 'value="reed@example.com"' in late.text
    with world.store.read() as connection:
        stored = connection.execute(sa.select(people.c.email, people.c.phone)).one()
    assert tuple(stored) == ("sam@example.com", "01632 960 777")
    mine = {**FIELDS, "phone": "01632 960 777", "email": "reed@example.com", "seen": seen_in(late.text)}
    assert browser.post("/clients/1/correct", mine).status_code == 303


def test_the_new_plan_is_shown_before_a_treatments_day_is_saved(world: World, sam: int) -> None:
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    with signed_in(world, now="2026-11-21 14:00") as browser:
        path = f"/clients/{sam}/treatments/1/correct"
        page = browser.get(f"{path}?on=2026-11-19").text
        shown = words_of(page)
        assert "Day 1: Sat 21 Nov, 10:00 (today) stays: it went out Sat 21 Nov, 10:00 (today)" in shown
        assert "Day 3: Sun 22 Nov, 10:00 (tomorrow) will go out" in shown
        assert [row.state for row in world.rows()] == ["sent", "planned", "planned"]
        part = browser.get(f"{path}?on=2026-11-19", headers={"HX-Request": "true"}).text
        assert "<html" not in part
        for _ in range(2):
            done = browser.post(path, {"on": "2026-11-19", "seen": "2026-11-20"})
            assert "The day of the treatment is corrected." in browser.after(done)
        assert len(deeds(world, "treatment corrected")) == 1
        stale = browser.post(path, {"on": "2026-11-18", "seen": "2026-11-20"})
        assert (stale.status_code, "Somebody else has changed it meanwhile" in stale.text) == (409, True)
        assert browser.post(path, {"on": "2027-01-01", "seen": "2026-11-19"}).status_code == 400
        assert browser.post(path, {"on": "soon", "seen": "2026-11-19"}).status_code == 400


# --- sending once more


def test_what_did_not_arrive_is_sent_once_more_while_it_is_right(world: World, sam: int) -> None:
    lost = put(world, "day-03", state=State.FAILED, reason="refused", ended_at=at("2026-11-23 10:00"))
    with signed_in(world, now=DAY_THREE) as browser:
        assert "Not arrived, and still right today" in browser.get(f"/clients/{sam}").text
        assert "what it says is right until" in browser.get(f"/clients/{sam}/emails/{lost}/again").text
        for _ in range(2):
            browser.post(f"/clients/{sam}/emails/{lost}/again", {"do": "again"})
    rows = sorted((row.state, row.replaced_at is not None) for row in world.rows(emails.c.step == "day-03"))
    assert rows == [("failed", True), ("planned", False)]


def test_day_one_on_day_six_offers_todays_words_and_a_call(world: World, sam: int) -> None:
    lost = put(world, "day-01", state=State.FAILED, reason="refused", ended_at=at("2026-11-21 10:00"))
    with signed_in(world, now="2026-11-26 12:00") as browser:
        page = browser.get(f"/clients/{sam}/emails/{lost}/again").text
        assert "not right today any more" in page
        assert "What is right today, Thu 26 Nov" in page
        assert 'value="again"' not in page
        assert browser.post(f"/clients/{sam}/emails/{lost}/again", {"do": "again"}).status_code == 409
        for _ in range(2):
            assert "A call is on the list." in browser.after(
                browser.post(f"/clients/{sam}/emails/{lost}/again", {"do": "call"})
            )
    with world.store.read() as connection:
        assert list(connection.execute(sa.select(calls.c.reason)).scalars()) == ["ask_today"]


# --- who may not


PATHS = (
    "", "/correct", "/stop", "/unstop", "/pause", "/lift", "/treatments/1/correct", "/treatments/1/cancel",
    "/emails/1", "/emails/1/words", "/emails/1/skip", "/emails/1/again",
)  # fmt: skip
POSTS = (
    "/correct", "/stop", "/unstop", "/pause", "/resume", "/lift", "/export", "/treatments/1/correct",
    "/treatments/1/cancel", "/emails/1/skip", "/emails/1/again",
)  # fmt: skip


def test_another_clinics_client_is_not_there_for_reading_or_doing(world: World, sam: int) -> None:
    other = another_clinic(world, name="Southgate Clinic")
    with signed_in(other) as browser:
        for path in PATHS:
            assert browser.get(f"/clients/{sam}{path}").status_code == 404, path
        for path in POSTS:
            answer = browser.post(f"/clients/{sam}{path}", {"reason": "asked", "on": "2026-11-19", **FIELDS})
            assert answer.status_code == 404, path
        assert "Sam Reed" not in browser.get("/clients?q=sam").text
    assert set(world.states().values()) == {"planned"}
    assert deeds(world, "client opened") == []


def test_what_belongs_to_another_client_is_not_found_under_this_one(world: World, browser: Browser) -> None:
    lou = world.client("Lou Day", "lou@example.com", now="2026-11-20 11:00")
    for path in ("emails/1", "emails/1/words", "emails/1/again", "treatments/1/correct", "treatments/1/cancel"):
        assert browser.get(f"/clients/{lou}/{path}").status_code == 404, path
    for raw in ("0", "999", "x", "99999999999999999999"):
        assert browser.get(f"/clients/{raw}").status_code == 404, raw


def test_ops_open_no_client(world: World, sam: int) -> None:
    with signed_in(world, Role.OPS) as browser:
        assert browser.get("/clients").status_code == 403
        assert browser.get(f"/clients/{sam}").status_code == 403
        assert browser.post(f"/clients/{sam}/export").status_code == 403


def test_reading_changes_nothing_but_the_note_that_somebody_read(world: World, browser: Browser) -> None:
    before = [tuple(row) for row in world.rows()]
    for path in PATHS:
        browser.get(f"/clients/1{path}")
    browser.get("/clients/1/treatments/1/correct?on=2026-11-19")
    assert [tuple(row) for row in world.rows()] == before
    assert len(deeds(world, "client opened")) == 1
    assert deeds(world, "treatment corrected") == []
