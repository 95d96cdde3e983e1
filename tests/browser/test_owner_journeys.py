"""The owner's two rare days: the first one, and the Monday after a weekend on which nothing could be sent."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect

from service.store import calls
from service.store.outages import close_outage, open_outage
from service.store.tables import Role
from tests.browser.person import Keyboard, fill_in
from tests.browser.site import aside, open_page, served, site
from tests.support.desk import PASSWORD
from tests.support.processes import Program
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import NORTHGATE, World, at

#: Day of the treatment in 2026, and how many clients had one. The last two were seen on a day without reception.
TREATED = (("11-25", 2), ("12-02", 3), ("12-03", 3), ("12-04", 4), ("12-05", 2))
MONDAY = "2026-12-07 08:05"


def a_weekend_without_a_mail_server(world: World, _now: str) -> None:
    """From Friday 23:10 to Monday 07:40. Fourteen notes fell due."""
    number = 0
    for on, how_many in TREATED:
        for _ in range(how_many):
            number += 1
            seen = f"2026-{on} 09:30"
            client = world.client(f"Client {number}", f"client{number}@example.com", seen, phone=f"01632 9601{number}")
            world.treat(client, f"2026-{on}", seen)
    with ScriptedRelay() as relay:
        for on in ("11-26", "11-28", "12-03", "12-04"):
            world.tick(relay, f"2026-{on} 10:00")
        with world.store.write() as connection:
            open_outage(connection, "relay", at("2026-12-04 23:10"), "connection refused")
        world.tick(relay, "2026-12-07 07:40")
        with world.store.write() as connection:
            close_outage(connection, "relay", at("2026-12-07 07:40"))


def test_on_monday_the_owner_learns_what_the_weekend_did_and_whom_to_phone(chromium: Browser, tmp_path: Path) -> None:
    with site(tmp_path / "site", MONDAY, a_weekend_without_a_mail_server) as clinic:
        page = open_page(chromium)
        clinic.sign_in(page, Role.OWNER)
        keys = Keyboard(page)
        expect(page.locator("h1")).to_have_text("9 calls to make, the first by Mon 7 Dec, 09:40 (today)")
        page.goto(f"{clinic.url}/outages")
        expect(page.locator("article h2")).to_contain_text("Fri 4 Dec, 23:10")
        expect(page.locator("article h2")).to_contain_text("Mon 7 Dec, 07:40 (today)")
        told = "14 e-mails were due: 5 late but still right, 9 missed (5 made up for by a catch-up note)"
        expect(page.locator("article")).to_contain_text(told)
        expect(page.locator("article")).to_contain_text("No client got a note that was out of date.")
        keys.tab_to("summary")
        keys.press("Enter")
        expect(page.locator("article tbody tr")).to_have_count(14)

        for _ in range(2):
            keys.press("c")
            page.wait_for_url("**/calls")
            keys.follow("article h2 a")
            expect(page.locator("main")).to_contain_text("We could not send you the note for these days")
            keys.follow("button[value=reached]")
            expect(page.locator("[role=status]")).to_have_text("The call is done.")
        keys.follow("article h2 a")
        keys.follow("button[value=no_answer]")
        expect(page.locator("[role=status]")).to_contain_text("the call stays, with a new deadline")
        expect(page.locator("article")).to_have_count(7)

        aside(_tick_at_ten, clinic.world)
        page.goto(f"{clinic.url}/calls?show=covered")
        expect(page.locator("tbody tr")).to_have_count(covered(clinic.world))
        page.context.close()


def _tick_at_ten(world: World) -> None:
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-12-07 10:00")


def covered(world: World) -> int:
    """Of Friday's four, those whom nobody has phoned before their next note went out."""
    with world.store.read() as connection:
        rows = calls.listed(connection, world.clinic.id, "covered")
    assert 2 <= len(rows) <= 4
    return len(rows)


def test_from_the_link_of_init_to_words_that_are_signed(chromium: Browser, tmp_path: Path) -> None:
    """The list of what is missing gets shorter with every step, down to what only the machine's own people can do."""
    now, folder = "2026-11-20 16:40", tmp_path / "new"
    folder.mkdir()
    with Program(tmp_path, {"data_dir": str(folder), "now": "2026-11-20T16:40:00Z"}) as program:
        words = ("--clinic", "Northgate", "--timezone", "Europe/London", "--owner", "owner@northgate-clinic.org")
        made = json.loads(program.run("init", "--json", *words))
    with served(folder, now) as url:
        owner = Keyboard(open_page(chromium))
        choose_a_password(owner, url, made["sign_in_link"])
        owner.follow(".notice a[href='/settings']")
        assert len([line for line in lacking(owner.page) if "Not set yet" in line]) == len(made["missing"])
        while owner.page.locator("a[href^='/settings/clinic#']").count():
            owner.follow("a[href^='/settings/clinic#']")
            for name in ("sender_name", "phone", "hours", "reply_to", "emergency_number", "urgent_line_name"):
                owner.tab_to(f"#{name}")
                owner.page.keyboard.press("Control+A")
                owner.say(NORTHGATE[name])
            owner.enter()
            expect(owner.page.locator("[role=status]")).to_contain_text("The clinic's data is saved.")
        owner.follow(".box a[href='/settings/staff']")
        owner.tab_to("#name")
        owner.say("Dr Adaeze Obi")
        owner.press("Tab")
        owner.say("adaeze@northgate-clinic.org")
        owner.tab_to("#role")
        owner.say("clinician")
        owner.follow("form[action='/settings/staff'] button")
        clinician = Keyboard(open_page(chromium))
        choose_a_password(clinician, url, owner.page.locator(".notice .key").inner_text())
        register_somebody(owner)
        drafts = unsigned(owner.page, url)
        for signed in (1, 2):
            clinician.follow(".menu a[href='/texts']")
            clinician.follow(f"main tbody tr:nth-child({signed}) a")
            clinician.tab_to("#signed")
            clinician.press("Space")
            clinician.enter()
            expect(clinician.page.locator("main > .notice.good")).to_have_text("Approved.")
            assert unsigned(owner.page, url) == drafts - signed
        assert [line.partition(":")[0] for line in lacking(owner.page)] == [
            f"{drafts - 2} texts in use are not approved by a clinician.",
            "No mail relay is set",
        ]
        for window in (owner, clinician):
            window.page.context.close()


def choose_a_password(keys: Keyboard, url: str, link: str) -> None:
    """Behind a one-time link, which opens no second time."""
    path = urlsplit(link.strip()).path
    keys.page.goto(url + path)
    keys.sit_down()
    keys.say(PASSWORD)
    keys.press("Tab")
    keys.say(PASSWORD)
    keys.enter()
    assert keys.page.url == f"{url}/"
    again = keys.page.request.get(url + path)
    assert again.status == 404


def register_somebody(keys: Keyboard) -> None:
    """Words count as missing once a treatment needs them."""
    keys.press("n")
    keys.page.wait_for_selector("#name:focus")
    fill_in(keys, "Sam Reed", "sam@example.com")
    expect(keys.page.locator("#plan")).to_contain_text("Sat 21 Nov, 10:00")
    keys.enter()


def lacking(page: Page) -> list[str]:
    """What is missing before real clients are written to, as the page of settings says it."""
    return page.locator(".box:first-child li").all_inner_texts()


def unsigned(page: Page, url: str) -> int:
    page.goto(f"{url}/settings")
    (line,) = [line for line in lacking(page) if "not approved by a clinician" in line]
    return int(line.split()[0])
