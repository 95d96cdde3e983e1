"""Today, the calls and the e-mails as staff see them."""

from __future__ import annotations

import re
from html import unescape

import pytest

from service.actions import revise
from service.actions.answer import link_of
from service.actions.check_in import answer_check_in
from service.store.calls import open_calls
from service.store.tables import Role, calls, emails
from tests.support.desk import signed_in
from tests.support.world import World, at


def opened(world: World, reason: str = "bounced", now: str = "2026-11-20 11:00") -> int:
    """A call to a new client."""
    client_id = world.client("Karim Haddad", phone="01632 960 002", now="2026-11-20 09:00")
    with world.store.write() as connection:
        row = {"clinic_id": world.clinic.id, "client_id": client_id, "email_id": None, "reason": reason}
        open_calls(connection, [row], at(now))
    return client_id


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page))).replace(" .", ".")


def test_today_says_first_what_a_person_must_do(world: World) -> None:
    opened(world)
    with signed_in(world) as browser:
        page = browser.get("/").text
    assert "1 call to make, the first by Fri 20 Nov, 13:00 (today)" in page
    assert "An e-mail came back" in page
    assert 'href="tel:' in page


def test_today_without_anything_says_what_will_appear(world: World) -> None:
    with signed_in(world) as browser:
        page = browser.get("/").text
    assert "No calls to make" in page
    assert "Nothing is planned" in page


def test_a_call_closes_only_with_an_outcome(world: World) -> None:
    opened(world)
    with signed_in(world) as browser:
        browser.get("/calls/1")
        refused = browser.post("/calls/1/close", {"note": "rang twice"})
        assert refused.status_code == 400
        assert "Choose how the call ended." in refused.text
        assert "rang twice" in refused.text
        done = browser.post("/calls/1/close", {"note": "coming at 16:00", "outcome": "reached"})
        assert "The call is done." in browser.after(done)
        history = browser.get("/calls?show=closed").text
    assert "Reached" in history
    assert "coming at 16:00" in history
    assert "reception1@northgate-clinic.org" in history


def test_nobody_answered_keeps_the_call_with_a_new_deadline(world: World) -> None:
    opened(world)
    with signed_in(world) as browser:
        page = browser.after(browser.post("/calls/1/close", {"outcome": "no_answer"}))
        assert "Nobody answered" in page
        assert "Fri 20 Nov, 14:00 (today)" in page
        assert "tried 1 times" in page


def test_a_call_that_is_done_can_be_opened_again_and_not_twice(world: World) -> None:
    opened(world)
    with signed_in(world) as browser:
        browser.post("/calls/1/close", {"outcome": "reached"})
        assert browser.post("/calls/1/close", {"outcome": "reached"}).status_code == 409
        assert "open again" in browser.after(browser.post("/calls/1/reopen"))
        assert browser.post("/calls/1/reopen").status_code == 409
    with world.store.read() as connection:
        assert connection.execute(calls.select()).mappings().one()["state"] == "open"


def test_what_the_second_of_two_typed_about_one_call_is_shown_again_with_who_was_first(world: World) -> None:
    opened(world)
    with signed_in(world, now="2026-11-20 12:40") as first:
        first.get("/calls/1")
        first.post("/calls/1/close", {"outcome": "reached", "note": "coming at 16:00"})
    with signed_in(world, Role.CLINICIAN, now="2026-11-20 12:45") as second:
        second.get("/calls/1")
        late = second.post("/calls/1/close", {"outcome": "wrong_number", "note": "line 1\nno such <number>"})
        assert late.status_code == 409
        said = words_of(late.text)
        assert "This call was closed before you, Fri 20 Nov, 12:40 (today) by Reception Person." in said
        assert "Nothing of yours was saved." in said
        assert "line 1\nno such &lt;number&gt;</textarea>" in late.text
        assert "Note: coming at 16:00" in said
    with world.store.read() as connection:
        call = connection.execute(calls.select()).mappings().one()
    assert (call["outcome"], call["note"]) == ("reached", "coming at 16:00")


def put_day_one(world: World, client_id: int, **fields: object) -> None:
    with world.store.write() as connection:
        mine = (emails.c.day == 1) & (emails.c.client_id == client_id)
        connection.execute(emails.update().where(mine).values(fields))


def test_mail_that_came_back_is_told_beside_what_was_sent(world: World) -> None:
    for number in (1, 2, 3):
        world.treat(world.client(f"Client {number}", f"c{number}@example.com"), "2026-11-20")
        put_day_one(world, number, state="sent", sent_at=at("2026-11-21 10:00"), marked_at=at("2026-11-21 10:00"))
    with signed_in(world, now="2026-11-22 12:00") as browser:
        assert "Yesterday: 3 of 3 sent, nothing missed." in words_of(browser.get("/").text)
        put_day_one(world, 1, bounced_at=at("2026-11-21 10:30"), bounce_class="hard")
        assert "Yesterday: 3 of 3 sent, 1 came back." in words_of(browser.get("/").text)
        put_day_one(world, 2, state="failed", reason="refused", sent_at=None, ended_at=at("2026-11-21 10:00"))
        assert "Yesterday: 2 of 3 sent, 1 went wrong, 1 came back." in words_of(browser.get("/").text)
    with signed_in(world, Role.CLINICIAN, now="2026-11-21 12:00") as browser:
        assert "Went wrong today 1 Came back 1" in words_of(browser.get("/").text)


def test_trial_mode_is_told_as_it_is(world: World) -> None:
    """The addresses of the trial list do get e-mails."""
    with signed_in(world, Role.OWNER) as browser:
        for path in ("/", "/settings"):
            assert "only the addresses of the trial list can get an e-mail" in browser.get(path).text
        assert "nothing reaches" not in browser.get("/").text


@pytest.mark.parametrize("path", ["/calls/2", "/calls/0", "/calls/x", "/calls/99999999999999999999"])
def test_a_call_that_is_not_there_is_no_page(world: World, path: str) -> None:
    opened(world)
    with signed_in(world) as browser:
        assert browser.get(path).status_code == 404


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "\u202e right to left", "=?utf-8?q?x?="])
def test_a_note_is_shown_as_it_was_typed(world: World, hostile: str) -> None:
    opened(world)
    with signed_in(world) as browser:
        answer = browser.post("/calls/1/close", {"note": hostile, "outcome": "reached"})
        assert answer.status_code in (303, 400)
        assert "<script>alert" not in browser.get("/calls?show=closed").text


def test_what_went_wrong_says_what_to_do(world: World) -> None:
    client_id = world.client()
    world.treat(client_id, "2026-11-20")
    with world.store.write() as connection:
        connection.execute(
            emails.update()
            .where(emails.c.day == 1)
            .values(state="failed", reason="refused", ended_at=at("2026-11-21 10:00"))
        )
    with signed_in(world, now="2026-11-21 12:00") as browser:
        page = browser.get("/outbox").text
    assert "Sam Reed" in page
    assert "Phone, and check the address." in page
    assert "failed" not in page
    assert "550" not in page


def test_each_list_of_e_mails_can_be_read_to_its_end(world: World) -> None:
    for number in range(18):
        world.treat(world.client(f"Client {number}", f"c{number}@example.com"), "2026-11-20")
    with signed_in(world) as browser:
        for show, expected in (("waiting", 54), ("all", 54)):
            first = browser.get(f"/outbox?show={show}").text
            more = first.split('class="next"><a class="button quiet-button" href="')[1].split('"')[0]
            second = browser.get(more.replace("&amp;", "&")).text
            assert first.count("<tr>") - 1 == 50
            assert second.count("<tr>") - 1 == expected - 50


@pytest.mark.parametrize("query", ["?show=../x", "?at=x&id=y", "?at=20261120T100000.000000&id=99999999999999999999999"])
def test_an_invented_query_shows_the_list_from_its_beginning(world: World, query: str) -> None:
    with signed_in(world) as browser:
        assert browser.get(f"/outbox{query}").status_code == 200


def test_the_forecast_counts_by_the_clinics_day(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with signed_in(world) as browser:
        page = browser.get("/forecast").text
    assert "2 e-mails will go out" in page
    assert page.index("Sat 21 Nov") < page.index("Mon 23 Nov")


def test_ops_see_outages_and_no_clients(world: World) -> None:
    opened(world)
    with signed_in(world, Role.OPS) as browser:
        assert browser.get("/outages").status_code == 200
        assert browser.get("/calls").status_code == 403
        assert browser.get("/outbox").status_code == 403
        assert "Karim" not in browser.get("/outages").text


def listed(page: str) -> list[str]:
    """Who stands in the list, with what."""
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in page.split("<tbody>")[1].split("</tr>")[:-1]]


def test_a_list_of_e_mails_can_be_narrowed_to_a_day_of_the_clinic_and_a_kind(world: World) -> None:
    world.treat(world.client("Ann Later", "ann@example.com"), "2026-11-20")
    world.treat(world.client("Bea Early", "bea@example.com"), "2026-11-18")
    with signed_in(world) as browser:
        day = browser.get("/outbox?show=all&on=2026-11-23").text
        third = browser.get("/outbox?show=all&what=3").text
        both = browser.get("/outbox?show=all&on=2026-11-21&what=3").text
        nothing = browser.get("/outbox?show=sent&on=2026-11-23").text
    assert ["Ann Later" in row for row in listed(day)] == [True]
    assert ["day 3" in row for row in listed(third)] == [True, True]
    assert ["Bea Early" in row for row in listed(both)] == [True]
    assert "There is none of these here" in nothing


def test_a_narrowed_list_stays_narrow_when_it_goes_on_and_under_each_heading(world: World) -> None:
    for number in range(52):
        world.treat(world.client(f"Client {number}", f"c{number}@example.com"), "2026-11-20")
    with signed_in(world) as browser:
        first = browser.get("/outbox?show=all&what=10").text
        more = first.split('class="next"><a class="button quiet-button" href="')[1].split('"')[0].replace("&amp;", "&")
        second = browser.get(more).text
    assert (len(listed(first)), len(listed(second))) == (50, 2)
    assert all("day 10" in row for row in listed(first) + listed(second))
    assert "/outbox?show=waiting&amp;what=10" in first


@pytest.mark.parametrize("on", ["2026-02-30", "20.11.2026", "0001-01-01", "9999-12-31", "x"])
def test_a_day_that_is_none_is_told_beside_the_field(world: World, on: str) -> None:
    with signed_in(world) as browser:
        answer = browser.get("/outbox", params={"show": "all", "on": on})
    assert answer.status_code == 400
    assert "This is not a date" in answer.text


@pytest.mark.parametrize("what", ["x", "99999999999999999999", "-1", "reminder'"])
def test_an_invented_kind_of_e_mail_has_nothing_to_show(world: World, what: str) -> None:
    world.treat(world.client(), "2026-11-20")
    with signed_in(world) as browser:
        answer = browser.get("/outbox", params={"show": "all", "what": what})
    assert answer.status_code == 200
    assert "There is none of these here" in answer.text


def test_each_day_of_the_forecast_leads_to_its_e_mails(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with signed_in(world) as browser:
        page = browser.get("/forecast").text
        path = re.findall(r'href="(/outbox\?show=waiting&amp;on=2026-11-23)"', page)[0].replace("&amp;", "&")
        rows = listed(browser.get(path).text)
    assert ["day 3" in row for row in rows] == [True]


def told(world: World, answers: dict[str, tuple[str, ...]]) -> None:
    """A client three days after a treatment answers the questions."""
    client_id = world.client("Karim Haddad", "karim@example.com", phone="01632 960 002", now="2026-11-20 09:00")
    world.treat(client_id, "2026-11-20")
    with world.store.write() as connection:
        link = link_of(client_id, "karim@example.com")
        answer_check_in(connection, world.service.catalogue.protocols, link, answers, at("2026-11-23 11:00"))


@pytest.mark.parametrize(
    ("answers", "level", "chosen", "sentence"),
    [
        ({"q1": ("breathing",)}, "emergency", "breathe", "Our page told you to call 999 now."),
        ({"q3": ("wider",)}, "call today", "wider", "Our page asked you to call us today."),
    ],
)
def test_the_call_after_a_red_answer_tells_what_was_answered_and_what_to_say(
    world: World, answers: dict[str, tuple[str, ...]], level: str, chosen: str, sentence: str
) -> None:
    told(world, answers)
    with signed_in(world, now="2026-11-23 11:30") as browser:
        listed, page = words_of(browser.get("/calls").text), words_of(browser.get("/calls/1").text)
    assert level in listed.lower()
    assert level in page.lower()
    assert "Day 3 after the treatment." in page
    assert chosen in page
    assert sentence in page
    assert "Ask how the skin feels" not in page


@pytest.mark.parametrize("reason", ["stopped", "missed", "bounced"])
def test_a_call_hands_over_the_signs_of_the_day_in_approved_words(world: World, reason: str) -> None:
    world.treat(opened(world, reason), "2026-11-20")
    with signed_in(world, now="2026-11-21 11:30") as browser:
        page = words_of(browser.get("/calls/1").text)
    assert "What to watch for, to read out" in page
    assert "breathe" in page
    assert "999" in page


def test_without_approved_words_a_call_hands_over_the_protocols_own_signs(world: World) -> None:
    object.__setattr__(world.service, "settings", world.service.settings.model_copy(update={"mode": "live"}))
    world.treat(opened(world, "stopped"), "2026-11-20")
    with signed_in(world, now="2026-11-21 11:30") as browser:
        page = words_of(browser.get("/calls/1").text)
    assert "Call 999 at once Hard to breathe or swallow, throat tight, wheeze" in page
    assert "Medical help the same day: their doctor or NHS 111" in page
    assert "111 111" not in page


def test_of_an_erased_client_a_call_knows_no_more(world: World) -> None:
    told(world, {"q1": ("breathing",)})
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, 1, world.who("2026-11-23 11:20"))
    with signed_in(world, now="2026-11-23 11:30") as browser:
        page = words_of(browser.get("/calls/1").text)
    assert "breathe" not in page
