"""What reception does all day, from the first key to the last: register, treat again, mend an address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.actions.clinic_setup import change_clinic
from service.store.tables import Role, clients, emails, treatments
from tests.browser.person import Keyboard, fill_in
from tests.browser.site import Site, open_page, site
from tests.browser.story import REFUSED, fill
from tests.support.desk import PASSWORD
from tests.support.relay_script import recipients
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import World

PLAN = ("Sat 21 Nov, 10:00", "Mon 23 Nov, 10:00", "Mon 30 Nov, 10:00")
#: What reception presses to register somebody, besides what that person tells her.
MOST_KEYS = 60


def closed_on_saturday(world: World, now: str) -> None:
    """The usual story, two who were treated a week ago, and nobody there at the weekend."""
    with world.store.write() as connection:
        world.clinic = change_clinic(connection, world.clinic, {"hours": "mon-fri 09:00-18:00"}, world.who(now))
    fill(world, now, more=(("Noor", 7), ("Nadia", 7)))


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), story=closed_on_saturday) as served_clinic:
        yield served_clinic


@pytest.fixture(params=["with JavaScript", "without JavaScript"])
def window(request: pytest.FixtureRequest, chromium: Browser, clinic: Site) -> Iterator[Page]:
    """Somebody at reception has just signed in."""
    page = open_page(chromium, javascript=request.param == "with JavaScript")
    clinic.sign_in(page)
    yield page
    page.context.close()


def scripts(page: Page) -> bool:
    """Whether this window runs the desk's scripts."""
    return bool(page.evaluate("typeof htmx !== 'undefined'"))


def see_the_plan(page: Page) -> None:
    plan = page.locator("#plan")
    for moment in PLAN:
        expect(plan).to_contain_text(moment)


def see_that_nobody_is_there_on_saturday(page: Page) -> None:
    expect(page.locator("#plan")).to_contain_text(
        "Saturday is outside opening hours: the e-mail carries the weekend number."
    )


def test_reception_registers_a_client_by_keyboard(window: Page, clinic: Site) -> None:
    keys, quick = Keyboard(window), scripts(window)
    if quick:
        keys.press("n")
        window.wait_for_selector("#name:focus")
    else:
        keys.follow("a[href='/clients/new']")
    mistyped = f"karim.h{int(quick)}@gmial.com"
    fill_in(keys, "Karim", mistyped)
    if not quick:  # the first Enter shows, the second saves
        keys.enter()
    meant = mistyped.replace("gmial", "gmail")
    see_the_plan(window)
    see_that_nobody_is_there_on_saturday(window)
    expect(window.locator("#address-said")).to_contain_text(f"Did you mean {meant}?")
    go_back_to(keys, "button[name=take]")
    keys.enter()
    expect(window.locator("#email")).to_have_value(meant)
    expect(window.locator(".read-back")).to_contain_text(meant)
    see_the_plan(window)
    assert clinic.world.rows(emails.c.client_id.in_(find(clinic.world, meant))) == []
    keys.enter()
    assert "/registered" in window.url
    for moment in PLAN:
        expect(window.locator("main")).to_contain_text(moment)
    print(f"registered with {keys.pressed} keys")
    assert keys.pressed < MOST_KEYS
    see_the_hello_arrive(keys, quick)
    keys.follow("a[href*='/card']")
    expect(window.locator(".slip")).to_contain_text("Saturday 21 November 2026")
    expect(window.locator(".slip")).to_contain_text("Monday 30 November 2026")
    keys.follow("a[href*='/registered']")
    keys.follow("form[action$='/undo'] button")
    expect(window.locator("[role=status]")).to_contain_text("Taken back.")
    (client_id,) = find(clinic.world, meant) or (0,)
    left = clinic.world.rows(emails.c.client_id == client_id, emails.c.kind == "reminder")
    assert {row.state for row in left} <= {"cancelled"}


def go_back_to(keys: Keyboard, what: str) -> None:
    """Up the page, to what has just appeared."""
    for _ in range(15):
        if keys.page.evaluate("(what) => document.activeElement.matches(what)", what):
            return
        keys.press("Shift+Tab")
    raise AssertionError(f"Shift and Tab do not lead to {what}")


def find(world: World, address: str) -> list[int]:
    with world.store.read() as connection:
        return list(connection.execute(clients.select().where(clients.c.email == address)).scalars())


def see_the_hello_arrive(keys: Keyboard, quick: bool) -> None:
    """By itself while the page is open; without scripts, by looking again."""
    taken = keys.page.locator("#hello .state.past")
    if quick:
        keys.page.evaluate("window.stays = true")
        expect(taken).to_contain_text("stayed on this machine: trial mode")
        assert keys.page.evaluate("window.stays"), "the page was loaded again"
        expect(keys.page.locator("#said")).to_contain_text("Hello: stayed on this machine: trial mode")
        return
    for _ in range(200):
        if taken.count():
            break
        keys.follow("#hello a[href*='/registered']")
    expect(taken).to_contain_text("stayed on this machine: trial mode")


def test_another_treatment_of_somebody_who_is_known(window: Page, clinic: Site) -> None:
    name, known = ("Noor", 7) if scripts(window) else ("Nadia", 8)
    keys = Keyboard(window)
    if scripts(window):
        keys.press("/")
        window.wait_for_selector("#q:focus")
    else:
        keys.follow(".menu a[href='/clients']")
    keys.say(name)
    if scripts(window):
        expect(window.locator("#found table")).to_contain_text(name)
        expect(window.locator("#found tbody tr")).to_have_count(1)
    else:
        keys.enter()
    keys.follow(f"a[href='/clients/{known}']")
    if scripts(window):
        with window.expect_navigation():
            keys.press("s")
    else:
        keys.follow("a[href$='/treatments/new']")
    see_the_plan(window)
    expect(window.locator("#plan")).to_contain_text("Replaces day 10 of the treatment on Fri 13 Nov.")
    keys.enter()
    assert "/registered" in window.url
    print(f"treated again with {keys.pressed} keys")
    assert keys.pressed < (12 if scripts(window) else MOST_KEYS)
    reasons = [row.reason for row in clinic.world.rows(emails.c.client_id == known, emails.c.state == "cancelled")]
    assert reasons == ["superseded"]


def test_an_address_that_does_not_exist_is_told_while_the_client_is_here(chromium: Browser, tmp_path: Path) -> None:
    """Red, with what to do; the right address in the same place turns it green."""
    with ScriptedRelay(recipients({"karim@example.com": REFUSED})) as relay:
        settings = {"relay_host": "127.0.0.1", "relay_port": str(relay.port), "relay_tls": "none"}
        with site(tmp_path / "site", story=lambda *_: None, trial_allow="example.com", **settings) as clinic:
            page = open_page(chromium)
            clinic.sign_in(page)
            keys = Keyboard(page)
            page.goto(f"{clinic.url}/clients/new")
            fill_in(keys, "Karim", "karim@example.com")
            see_the_plan(page)
            keys.enter()
            expect(page.locator("#hello .state.act")).to_contain_text("this address does not exist")
            page.wait_for_selector("#email:focus")
            page.keyboard.press("Control+A")
            keys.say("karim.h@example.com")
            keys.enter()
            expect(page.locator("#hello .state.good")).to_contain_text("the mail server took it")
            assert [message.rcpt_to for message in relay.log] == [("karim.h@example.com",)]
            page.context.close()


def test_a_copy_of_everything_can_be_taken_again_from_the_same_page(chromium: Browser, clinic: Site) -> None:
    page = open_page(chromium)
    clinic.sign_in(page)
    page.goto(f"{clinic.url}/clients/1")
    for _ in range(2):
        with page.expect_download() as taken:
            page.locator("form[action$='/export'] button").click()
        assert taken.value.suggested_filename == "client-1.json"
    page.context.close()


def test_undo_says_until_when_and_goes_by_itself_when_it_is_over(chromium: Browser, clinic: Site) -> None:
    page = open_page(chromium)
    clinic.sign_in(page)
    keys = Keyboard(page)
    page.clock.install()
    page.goto(f"{clinic.url}/clients/new")
    fill_in(keys, "Una", "una@example.com")
    page.clock.run_for(1_000)
    see_the_plan(page)
    keys.enter()
    expect(page.locator("#undo")).to_contain_text("until 16:43:00")
    page.clock.run_for(4_000)
    expect(page.locator("#hello .state.past")).to_be_visible()
    (client_id,) = find(clinic.world, "una@example.com")
    page.locator("#take-back").focus()
    page.clock.run_for(12_000)
    expect(page.locator("#take-back")).to_be_focused()  # it asked again, and is still there
    with clinic.world.store.write() as connection:
        now = clinic.world.who("2026-11-20 16:41")
        connection.execute(treatments.update().where(treatments.c.client_id == client_id).values(cancelled_at=now.now))
    page.clock.run_for(16_000)
    expect(page.locator("#undo")).to_contain_text("It can no longer be taken back here.")
    expect(page.locator("#undo")).to_have_count(1)
    expect(page.locator("#take-back")).to_have_count(0)
    expect(page.locator("#hello")).to_have_count(1)
    page.context.close()


def test_what_is_typed_in_the_editor_outlives_signing_out_and_in_in_another_window(
    chromium: Browser, clinic: Site
) -> None:
    page = open_page(chromium)
    clinic.sign_in(page, Role.OWNER)
    page.goto(f"{clinic.url}/texts")
    page.locator("main tbody tr a").first.click()
    other = page.context.new_page()
    other.goto(f"{clinic.url}/keys")
    other.locator("form.out button").click()
    page.locator("#source").press_sequentially("Half a thought. ")
    page.wait_for_selector("#password")
    expect(page.locator(".notice")).to_contain_text("What you typed is kept")
    page.locator("#email").fill(clinic.staff[Role.OWNER])
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("text=Go on with it").click()
    expect(page.locator("#source")).to_have_value(re.compile("Half a thought. "))
    # Now the other way round: the form is older than the session.
    other.locator("#email").fill(clinic.staff[Role.OWNER])
    other.locator("#password").fill(PASSWORD)
    other.keyboard.press("Enter")
    other.wait_for_url(f"{clinic.url}/")
    page.locator("#source").press_sequentially("And another. ")
    page.locator("text=Go on with it").click()
    expect(page.locator("#source")).to_have_value(re.compile("And another. "))
    expect(page.locator("#editor button[value=save]")).to_be_visible()
    page.context.close()
