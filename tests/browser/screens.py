"""`python -m tests.browser.screens FOLDER`: a picture of every page, for eyes. Both schemes, a desk and a telephone.

Three installations: full/ (long names, names from right to left, everything that can happen), empty/ (the first
morning) and many/ (lists of some hundred rows). Pictures are named after the path.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from service.actions.answer import CHECK_IN, NOT_ME, STOP, TODAY
from service.store.tables import Role
from tests.browser import story
from tests.browser.looking import set_to
from tests.browser.person import answer_all
from tests.browser.places import CLIENT_PAGES, OTHERS, PATHS, prepare, role_for
from tests.browser.site import PHONE, WIDE, Site, launch, open_page, site
from tests.support.world import World

LOOKS = tuple(product((WIDE, PHONE), ("light", "dark")))
#: Without a row, these have nothing to be about.
ABOUT_NOTHING = [path for path in PATHS if "{" not in path]
LISTS = ("/", "/clients", "/calls", "/outbox", "/outbox?show=all", "/forecast", "/audit", "/check-ins")
#: What a list shows only when it is asked for.
FURTHER = (
    "/calls?show=closed",
    "/outbox?show=wrong",
    "/outbox?show=sent",
    "/clients?q=zo",
    "/clients?q=nobody",
    "/audit?verify=1",
    "/clients/3",
    "/clients/5",
    "/clients/6",
    "/texts/1",
    "/inbox",
)
MANY = 260


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path, help="where the pictures go")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="aftercare-screens-") as away, sync_playwright() as playwright:
        browser = launch(playwright)
        for name, pictures in (("full", full), ("empty", empty), ("many", many)):
            for path in pictures(browser, Path(away) / name, given.folder / name):
                sys.stdout.write(f"{path}\n")
        browser.close()


def full(browser: Browser, data: Path, folder: Path) -> Iterator[Path]:
    with site(data, public_url="https://notes.northgate-clinic.org") as clinic:
        yield from signed_out(browser, clinic, folder)
        yield from behind_links(browser, clinic, folder)
        ids = prepare(clinic)
        windows = {role: signed_in(browser, clinic, role) for role in Role}
        pages = [(role_for(path), ids.filled(path), path) for path in PATHS]
        pages += [(role, ids.filled(path), f"{path} {role}") for role, path in OTHERS]
        pages += [(Role.OWNER, path, path) for path in FURTHER]
        for role, path, name in pages:
            windows[role].goto(clinic.url + path)
            yield from pictures_of(windows[role], folder, name)
        page = windows[Role.OWNER]
        page.goto(f"{clinic.url}/clients/new")
        page.fill("#name", "ليلى")
        page.fill("#email", "leila@gmial.com")
        page.select_option("#protocol", index=1)
        page.wait_for_selector("#plan .plan")
        yield from pictures_of(page, folder, "/clients/new half filled in")
        page.click("button[value=save]")
        page.wait_for_selector("#errors")
        yield from pictures_of(page, folder, "/clients/new with mistakes")


def behind_links(browser: Browser, clinic: Site, folder: Path) -> Iterator[Path]:
    """Every page that a client can come to."""
    phone = open_page(browser)
    for letter, purpose in CLIENT_PAGES:
        phone.goto(clinic.client_page(letter, purpose, story.link(story.SENT)))
        yield from pictures_of(phone, folder, f"client {purpose}")
    answers: tuple[dict[str, str], ...] = ({"q1": "breathing"}, {"q2": "unwell"}, {"q3": "wider"}, {})
    for given, kind in zip(answers, ("emergency", "doctor", "today", "normal"), strict=True):
        phone.goto(clinic.client_page("c", CHECK_IN, story.link(story.TODAY)))
        answer_all(phone, given)
        yield from pictures_of(phone, folder, f"client advice {kind}")
    for number in (2, 3, 4, 5):
        phone.goto(clinic.client_page("c", CHECK_IN, story.link(story.TODAY)))
        for _ in range(number - 1):
            phone.locator("button.answer:not(.both)").last.click()
        if number == 3:
            phone.locator("button.go").click()
        yield from pictures_of(phone, folder, f"client question {number}")
    for letter, purpose in (("s", STOP), ("n", NOT_ME)):
        phone.goto(clinic.client_page(letter, purpose, story.link(story.TODAY)))
        phone.click("main button")
        yield from pictures_of(phone, folder, f"client {purpose} done")
    phone.goto(clinic.client_page("t", TODAY, story.link(story.TODAY)) + "x")
    yield from pictures_of(phone, folder, "client no link")
    phone.context.close()


def signed_out(browser: Browser, clinic: Site, folder: Path) -> Iterator[Path]:
    page = open_page(browser)
    page.goto(f"{clinic.url}/login")
    yield from pictures_of(page, folder, "/login")
    page.fill("#email", "nobody@example.com")
    page.fill("#password", "nothing")
    page.click("button")
    yield from pictures_of(page, folder, "/login refused")
    page.goto(f"{clinic.url}/welcome/nothing")
    yield from pictures_of(page, folder, "/welcome without a link")
    page.context.close()


def empty(browser: Browser, data: Path, folder: Path) -> Iterator[Path]:
    with site(data, story=lambda _world, _now: None) as clinic:
        page = signed_in(browser, clinic, Role.OWNER)
        for path in (*ABOUT_NOTHING, *FURTHER[:3]):
            page.goto(clinic.url + path)
            yield from pictures_of(page, folder, path)


def many(browser: Browser, data: Path, folder: Path) -> Iterator[Path]:
    def crowd(world: World, now: str) -> None:
        story.fill(world, now, more=tuple((f"{NAMES[n % len(NAMES)]} {n}", n % 4) for n in range(MANY)))

    with site(data, story=crowd) as clinic:
        page = signed_in(browser, clinic, Role.OWNER)
        for path in LISTS:
            page.goto(clinic.url + path)
            yield from pictures_of(page, folder, path)


NAMES = ("Alex Thompson", "Oluwaseun Adébáyọ̀", "محمد بن عبد العزيز آل سعود", "Jean-Baptiste de La Rochefoucauld", "Li")


def signed_in(browser: Browser, clinic: Site, role: Role) -> Page:
    page = open_page(browser)
    clinic.sign_in(page, role)
    return page


def pictures_of(page: Page, folder: Path, name: str) -> Iterator[Path]:
    """The page that is open, in every look."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = name.strip("/").replace("/", "_").replace("{", "").replace("}", "") or "today"
    for width, scheme in LOOKS:
        # As high as its page, and at least so high; a frame outside the window is not painted.
        set_to(page, width, scheme, height=2400 if page.locator("iframe").count() else 300)
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        path = folder / f"{plain.replace(' ', '-').replace('?', '-')}.{width}.{scheme}.png"
        page.screenshot(path=path, full_page=True, animations="disabled")
        yield path


if __name__ == "__main__":
    main()
