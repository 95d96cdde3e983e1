"""A whole installation to look at with a real browser: the program as a process, a clinic, staff, a story behind it."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

from service.actions.answer import Link, write_link
from service.store.engine import Store
from service.store.schema import migrate
from service.store.tables import Role
from tests.browser.story import fill
from tests.support.desk import PASSWORD, staff_member
from tests.support.processes import Process, Program, free_port, wait_for
from tests.support.world import World, at, make_world

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: A Friday afternoon at the desk, while the clinic is open. UTC, which is London's clock in winter.
NOW = "2026-11-20 16:40"
WIDE, PHONE, NARROW = 1280, 375, 320


@dataclass(frozen=True)
class Site:
    """url: where a browser finds it. staff: address by role; all have PASSWORD."""

    url: str
    world: World
    staff: dict[Role, str] = field(default_factory=dict)

    def sign_in(self, page: Page, role: Role = Role.RECEPTION) -> None:
        """Through the sign-in page, by keyboard."""
        page.goto(f"{self.url}/login")
        page.wait_for_selector("#email:focus")
        page.keyboard.type(self.staff[role])
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/login" not in url)

    def client_page(self, letter: str, purpose: str, link: Link) -> str:
        """The address of a page behind a client's link. letter: of its path."""
        return f"{self.url}/{letter}/{write_link(self.world.service.signer, purpose, link)}"


@contextmanager
def site(folder: Path, now: str = NOW, story: Callable[[World, str], None] = fill, **settings: str) -> Iterator[Site]:
    """Serve a clinic at a time that stands still until the block ends. story: what has happened before."""
    folder.mkdir(exist_ok=True)
    store = Store(f"sqlite:///{folder / 'aftercare.db'}")
    migrate(store)
    world = make_world(store, folder, public_url=settings.get("public_url"))
    staff = {role: staff_member(world, role, now=now) for role in Role}
    aside(story, world, now)
    try:
        with served(folder, now, **settings) as url:
            yield Site(url, world, staff)
    finally:
        store.close()


def aside(work: Callable[..., object], *given: object) -> None:
    """Do something that has a loop of events of its own: in this thread a browser's may be running."""
    with ThreadPoolExecutor(1) as other:
        other.submit(work, *given).result()


@contextmanager
def served(folder: Path, now: str, **settings: str) -> Iterator[str]:
    """`aftercare serve` over a data folder until the block ends; its address."""
    port = free_port()
    given = {
        "data_dir": str(folder),
        "bind": f"127.0.0.1:{port}",
        "now": f"{at(now):%Y-%m-%dT%H:%M:%SZ}",
        "tick_seconds": "1",
        **settings,
    }
    url = f"http://127.0.0.1:{port}"
    with Program(folder, given) as program:
        process = program.start("serve")
        wait_for(lambda: _is_ready(url, process), "the pages")
        yield url
        process.stop()


def _is_ready(url: str, process: Process) -> bool:
    assert process.popen.poll() is None, process.log.read_text("utf-8", "replace")[-3000:]
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def launch(playwright: Playwright) -> Browser:
    """The machine's own Chromium, without a window."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def open_page(browser: Browser, width: int = WIDE, scheme: str = "light", *, javascript: bool = True) -> Page:
    """A fresh browser window of a person: own cookies."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=javascript,
        locale="en-GB",
        timezone_id="Europe/London",
    )
    return context.new_page()
