"""A client is registered at the desk: the plan before it is saved, the plan read back, the hello, the card, undo."""

from __future__ import annotations

import asyncio
import html
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from markupsafe import escape

from service import wiring
from service.actions import clinic_setup, revise
from service.clock import stopped_at
from service.store import audit, clients, clinics, hellos
from service.store.audit import Sought
from service.store.tables import Kind, Role, emails
from service.store.tables import clients as people
from tests.support.desk import PASSWORD, Browser, signed_in, web
from tests.support.scripted_relay import Reply, ScriptedRelay, recipients
from tests.support.world import SMP, TATTOO, World, another_clinic, at

FRIDAY = "2026-11-20 16:40"
#: How a page asks for a part of itself.
PART = {"hx-request": "true"}
KARIM = {
    "name": "Karim Haddad",
    "email": "karim.h@example.com",
    "phone": "020 7946 0001",
    "protocol": SMP,
    "on": "2026-11-20",
    "adult": "yes",
    "agreed": "yes",
}


def closed_at_weekends(world: World) -> None:
    with world.store.write() as connection:
        clinic_setup.change_clinic(connection, world.clinic, {"hours": "mon-fri 09:00-18:00"}, world.who(FRIDAY))
        world.clinic = clinics.get(connection, world.clinic.id)


def words(page: str) -> str:
    """What somebody reads, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<main")[2] or page)).split())


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return html.unescape(found[1]) if found else ""


def plan(browser: Browser, given: dict[str, Any], path: str = "/clients/new") -> dict[str, Any]:
    """The form as it stands after its plan was shown."""
    nonce = hidden(browser.get(path).text, "nonce")
    page = browser.post(path, {**given, "nonce": nonce, "step": "plan"}).text
    return {**given, "nonce": nonce, "seen": hidden(page, "seen")}


def register(browser: Browser, given: dict[str, Any] | None = None, path: str = "/clients/new") -> str:
    """The path of the page that registering leads to."""
    answer = browser.post(path, {**plan(browser, given or KARIM, path), "step": "save"})
    assert answer.status_code == 303, words(answer.text)
    return str(answer.headers["location"])


def counted(world: World) -> int:
    with world.store.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(people)).scalar_one())


def test_a_day_marked_as_closed_is_told_in_the_plan(world: World) -> None:
    with world.store.write() as connection:
        given = {"closed_days": "2026-11-23"}
        clinic_setup.change_clinic(connection, world.clinic, given, world.who(FRIDAY))
    with signed_in(world, now=FRIDAY) as browser:
        nonce = hidden(browser.get("/clients/new").text, "nonce")
        page = browser.post("/clients/new", {**KARIM, "nonce": nonce, "step": "plan"}).text
    assert "Monday is outside opening hours: the e-mail carries the number for closed days." in page
    assert page.count("outside opening hours") == 1


def test_the_plan_is_shown_before_anything_is_saved_and_read_back_after(world: World) -> None:
    closed_at_weekends(world)
    with signed_in(world, now=FRIDAY) as browser:
        filled = plan(browser, KARIM)
        shown = browser.post("/clients/new", {**filled, "step": "plan"})
        for page in (words(shown.text), words(browser.get(register(browser)).text)):
            assert "Sat 21 Nov, 10:00 (tomorrow) day 1 will go out" in page
            assert "Mon 23 Nov, 10:00 day 3 will go out" in page
            assert "Mon 30 Nov, 10:00 day 10 will go out" in page
            assert "Saturday is outside opening hours: the e-mail carries the weekend number." in page
            assert "Monday is outside" not in page
    assert shown.status_code == 200


def test_showing_the_plan_writes_nothing(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        plan(browser, KARIM)
        browser.post("/clients/new", {**KARIM, "step": "plan"}, headers=PART)
    assert counted(world) == 0
    assert world.rows() == []


def test_the_plan_appears_while_the_form_is_filled(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        typed = {"step": "plan", "email": "kar", "protocol": SMP, "on": "2026-11-20"}
        part = browser.post("/clients/new", typed, headers=PART)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "Still to fill in: their name, a whole e-mail address, adult or guardian, their agreement." in words(
        part.text
    )
    assert "Mon 30 Nov, 10:00" in part.text
    assert 'role="alert"' not in part.text


def test_enter_saves_what_is_on_the_screen_and_shows_it_first(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        first = browser.post("/clients/new", {**KARIM, "nonce": "n" * 22})
        assert first.status_code == 200
        assert counted(world) == 0
        second = browser.post("/clients/new", {**KARIM, "nonce": "n" * 22, "seen": hidden(first.text, "seen")})
    assert second.status_code == 303
    assert counted(world) == 1


def test_what_was_changed_after_the_plan_is_shown_again_before_it_is_saved(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        filled = plan(browser, KARIM)
        answer = browser.post("/clients/new", {**filled, "on": "2026-11-19", "step": "save"})
        assert answer.status_code == 200
        assert "not quite what was shown before" in answer.text
        assert counted(world) == 0
        again = {**filled, "on": "2026-11-19", "seen": hidden(answer.text, "seen"), "step": "save"}
        assert browser.post("/clients/new", again).status_code == 303


def test_a_second_visit_says_what_it_replaces(world: World) -> None:
    client_id = world.client("Karim Haddad", now="2026-11-13 16:00")
    world.treat(client_id, "2026-11-13", now="2026-11-13 16:00")
    path = f"/clients/{client_id}/treatments/new"
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.get(path).text
        assert "Replaces day 1, day 3, day 10 of the treatment on Fri 13 Nov." in words(page)
        assert f'value="{SMP}" selected' in page
        assert 'value="2026-11-20"' in page
        # The day is right, the treatment is the usual one: Enter.
        typed = {name: hidden(page, name) for name in ("nonce", "seen")}
        done = browser.after(browser.post(path, {**typed, "protocol": SMP, "on": "2026-11-20"}))
    assert "Mon 30 Nov, 10:00" in done
    assert {row.reason for row in world.rows(emails.c.state == "cancelled")} == {"superseded"}


def test_all_mistakes_are_told_at_once_beside_their_fields_and_nothing_is_lost(world: World) -> None:
    typed = {"name": "  ", "email": "karim@@x", "phone": "call me", "protocol": "nose", "on": "yesterday"}
    with signed_in(world, now=FRIDAY) as browser:
        answer = browser.post("/clients/new", {**typed, "step": "save"})
    assert answer.status_code == 400
    for name in ("name", "email", "phone", "protocol", "on", "guardian", "agreed"):
        assert f'id="{name}-error"' in answer.text, name
        assert f'href="#{name}"' in answer.text
    assert "karim@@x" in answer.text
    assert "call me" in answer.text
    assert "aftercare client" not in answer.text


def test_a_minor_needs_a_guardian_and_an_adult_has_none(world: World) -> None:
    minor = {**KARIM, "adult": ""}
    with signed_in(world, now=FRIDAY) as browser:
        assert "Tick adult, or give" in browser.post("/clients/new", {**minor, "step": "save"}).text
        register(browser, {**minor, "guardian": "Kim Haddad"})
        register(browser, {**KARIM, "name": "Ada Lane", "guardian": "left over"})
    with world.store.read() as connection:
        guardians = connection.execute(sa.select(people.c.guardian).order_by(people.c.id)).scalars()
        assert list(guardians) == ["Kim Haddad", ""]


def test_without_agreement_nothing_is_saved_and_the_words_shown_are_recorded(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.get("/clients/new").text
        assert "words, version 1" in page
        refused = browser.post("/clients/new", {**plan(browser, KARIM), "agreed": "", "step": "save"})
        assert "Nothing can be sent unless they agree" in refused.text
        register(browser)
    with world.store.read() as connection:
        (client,) = clients.listed(connection, world.clinic.id)
    assert (client["consent_words"], client["consent_by"]) == (1, "reception1@northgate-clinic.org")


def test_a_likely_slip_in_the_address_is_one_key_to_mend(world: World) -> None:
    slip = {**KARIM, "email": "karim@gmial.com"}
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.post("/clients/new", {**slip, "step": "plan"}).text
        assert 'name="take" value="karim@gmail.com"' in page
        taken = browser.post("/clients/new", {**slip, "take": "karim@gmail.com"}).text
        assert 'value="karim@gmail.com"' in taken
        assert "Did you mean" not in taken
        assert counted(world) == 0
        # It is a hint: whoever insists is believed.
        register(browser, slip)


def test_others_with_the_address_are_named_and_each_keeps_their_own_e_mails(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser)
        page = words(browser.post("/clients/new", {**KARIM, "name": "Ada Haddad", "step": "plan"}).text)
        assert "Also with this address: Karim Haddad" in page
        register(browser, {**KARIM, "name": "Ada Haddad"})
    assert counted(world) == 2


def test_who_is_registered_already_gets_the_treatment_added(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser, {**KARIM, "on": "2026-11-13"})
        page = words(browser.post("/clients/new", {**KARIM, "name": "karim haddad", "step": "plan"}).text)
        assert "Add the treatment to Karim Haddad" in page
        assert "Replaces day 10 of the treatment on Fri 13 Nov." in page
        with world.store.read() as connection:
            looks = audit.search(connection, world.clinic.id, Sought(action="client opened"), 99)
        assert [row["subject"] for row in looks] == ["client 1"]
        register(browser, {**KARIM, "name": "karim haddad"})
    assert counted(world) == 1


def test_a_second_click_the_back_button_and_a_second_desk_add_nothing(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        filled = plan(browser, KARIM)
        places = [browser.post("/clients/new", {**filled, "step": "save"}).headers["location"] for _ in range(3)]
        assert set(places[1:]) == {f"{places[0]}&done=known"}
        assert "This was saved already" in browser.get(places[1]).text
        changed = browser.post("/clients/new", {**filled, "name": "Karim Hadad", "step": "save"})
        assert changed.headers["location"] == places[1]
        assert register(browser) == places[1]
    assert counted(world) == 1
    assert len(world.rows()) == 4


def test_two_clicks_at_the_same_instant_are_one_client(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        filled = {**plan(browser, KARIM), "csrf": browser.csrf, "step": "save"}
        together, answers = threading.Barrier(4), []

        def press() -> None:
            together.wait()
            answers.append(browser.http.post("/clients/new", data=filled).headers.get("location", ""))

        presses = [threading.Thread(target=press) for _ in range(4)]
        for one in presses:
            one.start()
        for one in presses:
            one.join()
    assert {answer.partition("&")[0] for answer in answers} == {"/clients/1/registered?treatment=1"}
    assert counted(world) == 1
    assert len(world.rows()) == 4


HOSTILE = {
    "a line break": "Karim\r\nBcc: a@example.com",
    "a NUL": "Karim\0",
    "a bell": "Karim\x07",
    "a C1 control": "Karim\x85",
    "a direction override": "Karim\u202ehctib",
    "an encoded word": "=?utf-8?q?Karim?=",
    "ten thousand letters": "K" * 10_000,
    "nothing that shows": "\u200b\u200b",
}


def test_what_could_break_a_header_or_mislead_a_reader_is_refused_beside_its_field(world: World) -> None:
    accepted = []
    with signed_in(world, now=FRIDAY) as browser:
        for field in ("name", "email", "phone", "guardian"):
            for what, value in HOSTILE.items():
                typed = {**KARIM, "adult": "", "guardian": "Kim", field: value}
                answer = browser.post("/clients/new", {**typed, "step": "save"})
                if answer.status_code != 400 or f'id="{field}-error"' not in answer.text:
                    accepted.append((field, what))
    assert accepted == []
    assert counted(world) == 0


NAMES = (
    "محمد عبد الله", "יעל כהן", "王小明", "Nguyễn Thị Ánh", "Ольга Ивановна", "अनिता शर्मा", "O'Neill-Ørsted", "𐌺𐌰𐍂𐌹𐌼",
    "<b>&\"'", "K" * 200,
)  # fmt: skip


def test_names_of_any_script_are_kept_and_shown_as_they_are(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        for name in NAMES:
            page = browser.get(register(browser, {**KARIM, "name": name})).text
            assert f"<h1><bdi>{escape(name)}</bdi> is registered</h1>" in page
    with world.store.read() as connection:
        assert [row["name"] for row in clients.listed(connection, world.clinic.id)] == list(NAMES)


def test_invented_values_never_break_the_page(world: World) -> None:
    odd = []
    with signed_in(world, now=FRIDAY) as browser:
        for field in ("protocol", "on", "language", "nonce", "seen", "step", "take", "adult", "invented"):
            for value in ("\0", "9" * 400, "../../etc", "2026-02-30", "½", "{{7*7}}"):
                whole = browser.post("/clients/new", {**KARIM, "step": "save", field: value})
                part = browser.post("/clients/new", {**KARIM, "step": "plan", field: value}, headers=PART)
                if whole.status_code not in (200, 400) or part.status_code != 200:
                    odd.append((field, value, whole.status_code, part.status_code))
    assert odd == []
    assert counted(world) == 0


def test_a_day_that_cannot_be_is_refused_beside_its_field(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        for on in ("2026-11-21", "1969-01-01", "0001-01-01", "9999-12-31"):
            answer = browser.post("/clients/new", {**KARIM, "on": on, "step": "save"})
            assert answer.status_code == 400
            assert 'id="on-error"' in answer.text


def test_late_steps_are_said_in_words(world: World) -> None:
    with signed_in(world, now="2026-11-21 16:00") as browser:
        page = words(browser.post("/clients/new", {**KARIM, "on": "2026-11-20", "step": "plan"}).text)
        assert "goes out now It comes late, and is still right until Sun 22 Nov, 12:00 (tomorrow)." in page
        page = words(browser.post("/clients/new", {**KARIM, "on": "2026-11-17", "step": "plan"}).text)
        assert "day 1 too late: will not go out" in page
        assert "a call is put on the list" in page


def test_who_wants_no_e_mails_is_not_planned_for_in_silence(world: World) -> None:
    client_id = world.client("Karim Haddad", KARIM["email"])
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, client_id, world.who(FRIDAY))
    with signed_in(world, now=FRIDAY) as browser:
        page = words(browser.post("/clients/new", {**KARIM, "step": "plan"}).text)
        assert "Nothing goes to this client: the client wants no more." in page
        page = words(browser.get(register(browser)).text)
    assert "will not go out" in page
    assert "none was sent" in page


def test_who_had_said_no_is_asked_again_at_the_next_visit(world: World) -> None:
    client_id = world.client("Karim Haddad", consent=False)
    path = f"/clients/{client_id}/treatments/new"
    with signed_in(world, now=FRIDAY) as browser:
        assert "They agree to these e-mails now" in browser.get(path).text
        register(browser, {"protocol": SMP, "on": "2026-11-20", "agreed": "yes"}, path)
    assert {row.state for row in world.rows()} == {"planned"}


@contextmanager
def back_at(world: World, now: str) -> Iterator[Browser]:
    """Whoever registered the client, at the desk again."""
    with web(world, now) as http:
        email = f"reception{world.clinic.id}@northgate-clinic.org"
        assert http.post("/login", data={"email": email, "password": PASSWORD}).status_code == 303
        browser = Browser(http)
        browser.get("/keys")
        yield browser


def set_up(world: World, **given: Any) -> None:
    object.__setattr__(world.service, "settings", world.service.settings.model_copy(update=given))


def hello(world: World, answer: str = "") -> str:
    """What the page says about the hello of a client, once the relay has answered so; "" for a good answer."""
    script = recipients({KARIM["email"]: Reply(int(answer[:3]), answer[4:])}) if answer else None
    with signed_in(world, now=FRIDAY) as browser:
        register(browser)
        with ScriptedRelay(script) if script else ScriptedRelay() as relay:
            world.tick(relay, FRIDAY)
        return browser.get("/clients/1/hello?was=wait", headers=PART).text


def test_a_hello_that_was_taken_is_green_with_its_time(world: World) -> None:
    part = hello(world)
    assert "Hello to karim.h@example.com the mail server took it (16:40:00)" in words(part)
    assert 'state good"' in part
    assert 'hx-swap-oob="innerHTML">Hello: the mail server took it' in part


def test_a_hello_that_the_trial_kept_here_is_no_proof_and_not_green(world: World) -> None:
    set_up(world, trial_allow="staff.example.org", data_dir=Path(world.service.settings.data_dir))

    async def send() -> None:
        async with wiring.post_office(world.service) as route:
            await wiring.delivery(world.service, route, "w1").until_idle(stopped_at(at(FRIDAY)))

    with signed_in(world, now=FRIDAY) as browser:
        register(browser)
        asyncio.run(send())
        part = browser.get("/clients/1/hello?was=wait", headers=PART).text
        story, sent = browser.get("/clients/1").text, browser.get("/outbox?show=sent").text
    assert "Hello to karim.h@example.com stayed on this machine: trial mode (16:40:00)" in words(part)
    assert "state good" not in part
    assert "come back" not in part
    assert "Hello: stayed on this machine" in words(story)
    assert "stayed on this machine: trial mode" in sent
    assert "the mail server took it" not in story + sent
    with world.store.read() as connection:
        assert hellos.accepted_at(connection, 1, "karim.h@example.com") is None


def test_a_dead_address_is_red_and_mended_on_the_spot(world: World) -> None:
    part = hello(world, "550 5.1.1 no such user")
    assert "their mail server says this address does not exist: please ask again" in words(part)
    assert "550" not in part
    with signed_in(world, Role.OWNER, now=FRIDAY) as browser:
        browser.get("/clients/1/registered")
        refused = browser.post("/clients/1/address", {"email": KARIM["email"], "treatment": "1"})
        assert refused.status_code == 400
        assert "That is the address we have." in refused.text
        page = browser.after(browser.post("/clients/1/address", {"email": "karim@example.org", "treatment": "1"}))
    assert "a new hello is on its way" in page
    assert "karim@example.org" in page
    assert "no answer yet" in page
    assert len(world.rows(emails.c.state == "planned")) == 4


def asks_again(page: str, what: str = "hello") -> int:
    """After how many seconds a part of the page asks again by itself; 0: it does not."""
    found = re.search(rf'<\w+ id="{what}"[^>]* hx-trigger="load delay:(\d+)s"', page)
    return int(found[1]) if found else 0


def test_no_answer_is_never_green_and_is_asked_for_while_the_client_is_there(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.get(register(browser)).text
    assert "no answer yet" in page
    assert asks_again(page) == 2
    assert 'state good"' not in page
    looked = []
    for minute in ("16:41", "16:42:55", "16:43"):
        with back_at(world, f"2026-11-20 {minute}") as browser:
            page = browser.get("/clients/1/registered").text
            looked.append((asks_again(page), "It is tried and checked again later" in page))
    assert looked == [(10, False), (10, False), (0, True)]


def test_what_was_taken_is_watched_for_three_minutes_and_said_to_be_no_more_than_that(world: World) -> None:
    """A mail that comes back in the third minute still turns red while the client is at the desk."""
    set_up(world, bounce_domain="bounces.example.com")
    part = hello(world)
    assert "Nothing has come back so far, at 16:40:00." in part
    with back_at(world, "2026-11-20 16:42") as browser:
        part = browser.get("/clients/1/hello?was=good", headers=PART).text
        assert "Nothing has come back so far, at 16:42:00." in part
        assert asks_again(part) == 10
        assert "hx-swap-oob" not in part  # said once
        with world.store.write() as connection:
            came = {"bounced_at": at("2026-11-20 16:42"), "bounce_class": "hard"}
            connection.execute(sa.update(emails).where(emails.c.kind == Kind.HELLO).values(**came))
        part = browser.get("/clients/1/hello?was=good", headers=PART).text
    assert 'hx-swap-oob="innerHTML">Hello: it came back' in part
    assert asks_again(part) == 0


def test_where_no_mail_can_come_back_the_page_does_not_say_that_none_has(world: World) -> None:
    set_up(world, bounce_domain=None)
    part = hello(world)
    assert "Nothing has come back" not in part
    assert "Whether it comes back later cannot be seen here." in part


def test_a_hello_that_came_back_is_red(world: World) -> None:
    hello(world)
    with world.store.write() as connection:
        mine = emails.c.kind == Kind.HELLO
        connection.execute(sa.update(emails).where(mine).values(bounced_at=at(FRIDAY), bounce_class="hard"))
    with signed_in(world, Role.OWNER, now=FRIDAY) as browser:
        page = words(browser.get("/clients/1/registered").text)
    assert "it came back: please ask for the address again" in page
    assert "Change it and say hello again" in page


def test_undo_takes_everything_back_within_three_minutes(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.get(register(browser)).text
        assert "until 16:43:00." in page
        done = browser.after(browser.post("/clients/1/undo", {"treatment": "1"}))
        assert "Taken back." in done
        assert browser.get("/clients/1/registered").status_code == 404
        assert browser.post("/clients/1/undo", {"treatment": "1"}).status_code == 303
    assert {row.state for row in world.rows()} == {"cancelled"}


def test_the_call_about_an_undone_visit_says_so_and_is_not_opened_again(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser, {**KARIM, "on": "2026-11-17"})
        browser.post("/clients/1/undo", {"treatment": "1"})
        page, done, story = (words(browser.get(path).text) for path in ("/calls/1", "/calls?show=closed", "/clients/1"))
    assert "Registration undone" in page
    assert "Open it again" not in page
    assert "Registration undone" in done
    assert "Call not needed: the registration was undone" in story
    assert "later e-mail" not in page + story


def test_after_three_minutes_there_is_no_undo(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser)
    with signed_in(world, Role.OWNER, now="2026-11-20 16:44") as browser:
        assert "Undo" not in browser.get("/clients/1/registered").text
        assert browser.post("/clients/1/undo", {"treatment": "1"}).status_code == 409
    assert {row.state for row in world.rows()} == {"planned"}


def test_the_undo_says_until_when_and_goes_when_that_is_over_also_for_somebody_known(world: World) -> None:
    hello(world)
    path = "/clients/1/treatments/new"
    with back_at(world, "2026-11-20 18:10:20") as browser:
        page = browser.get(register(browser, {"protocol": TATTOO, "on": "2026-11-20"}, path)).text
    assert asks_again(page) == 0  # the hello is an old one
    shown = []
    for second in ("10:20", "13:18", "13:20"):
        with back_at(world, f"2026-11-20 18:{second}") as browser:
            part = browser.get("/clients/1/hello", headers=PART).text
            shown.append((asks_again(part, "undo"), "until 18:13:20" in part, 'action="/clients/1/undo"' in part))
    assert shown == [(15, True, True), (3, True, True), (0, False, False)]


def test_what_has_gone_out_cannot_be_taken_back(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser, {**KARIM, "on": "2026-11-19"})
        with ScriptedRelay() as relay:
            world.tick(relay, FRIDAY)
        assert "Undo" not in browser.get("/clients/1/registered").text
        assert browser.post("/clients/1/undo", {"treatment": "1"}).status_code == 409


def test_the_card_has_the_days_and_the_phone_and_nothing_about_the_treatment(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        register(browser)
        page = browser.get("/clients/1/card").text
    card = words(page[page.index("<article") : page.index("</article>")])
    card, _, numbers = card.partition(" Words of these notes: ")
    assert re.fullmatch(r"(\d+ v1( · )?){3}", numbers)
    assert card == (
        "Northgate We will write to you on Saturday 21 November 2026 Monday 23 November 2026 Monday 30 November 2026 "
        "Questions? Call 01632 960 001"
    )


def test_the_card_leads_to_the_clients_own_page_where_there_is_one(world: World) -> None:
    set_up(world, public_url="https://care.example.com")
    with signed_in(world, now=FRIDAY) as browser:
        register(browser)
        page = browser.get("/clients/1/card").text
    assert "<svg" in page[page.index("<article") :]
    assert "style=" not in page
    assert "care.example.com" not in page


def test_what_the_card_promises_is_what_is_planned(world: World) -> None:
    client_id = world.client("Karim Haddad")
    world.treat(client_id, "2026-11-20")
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, client_id, world.who(FRIDAY))
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.get(f"/clients/{client_id}/card").text
    assert "We will write" not in page


def test_another_clinics_clients_are_not_there(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    theirs = other.client("Karim Haddad")
    treatment = other.treat(theirs, "2026-11-20").treatment_id
    mine = world.client("Ada Lane")
    world.treat(mine, "2026-11-20")
    with signed_in(world, now=FRIDAY) as browser:
        for path in ("registered", "hello", "card", "treatments/new"):
            assert browser.get(f"/clients/{theirs}/{path}").status_code == 404, path
        for path in (
            f"registered?treatment={treatment}",
            f"hello?treatment={treatment}",
            f"card?treatment={treatment}",
        ):
            assert browser.get(f"/clients/{mine}/{path}").status_code == 404, path
        browser.get("/clients/new")
        posts = {"treatments/new": {"protocol": SMP, "on": "2026-11-20"}, "address": {"email": "a@example.com"}}
        for path, data in {**posts, "undo": {"treatment": str(treatment)}}.items():
            assert browser.post(f"/clients/{theirs}/{path}", data).status_code == 404, path
        assert browser.post(f"/clients/{mine}/undo", {"treatment": str(treatment)}).status_code == 404


def test_no_name_address_or_treatment_stands_in_a_path(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        place = register(browser)
    assert re.fullmatch(r"/clients/\d+/registered\?treatment=\d+", place)


def test_every_field_is_one_tab_after_the_other_in_the_order_in_which_it_is_asked(world: World) -> None:
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.get("/clients/new").text
    form = page[page.index('id="register"') :]
    asked, folded = re.split("<details", form, maxsplit=1)
    order, more = (re.findall(r'<(?:input|select) id="(\w+)"', part) for part in (asked, folded))
    assert order == ["name", "email", "phone", "protocol", "on", "adult", "guardian", "agreed"]
    assert more == ["lot", "note"]
    assert re.search(r'id="name"[^>]* autofocus', form)
    assert "tabindex" not in form.replace('tabindex="-1" aria-hidden="true"', "")
