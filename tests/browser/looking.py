"""How a page is looked at: what axe finds, how much came over the wire, whether it scrolls sideways, what it says."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from service.store.tables import Role
from tests.browser.site import NARROW, PHONE, WIDE, Site, open_page

MOST_BYTES = 100_000
#: Rules that judge what is seen; all the others judge what stands in the page, which is the same in every look.
OF_LOOKS = ("color-contrast", "scrollable-region-focusable", "link-in-text-block")
_AXE = Axe()
#: Sizes of what makes up the page, compressed as they came; the same if the browser had them already.
_WEIGHTS = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
    .map((entry) => [new URL(entry.name).pathname, entry.encodedBodySize])"""


class Windows:
    """A signed-in window for each role, opened when first asked for, and what their consoles said."""

    def __init__(self, browser: Browser, clinic: Site) -> None:
        self._browser, self._clinic = browser, clinic
        self._open: dict[Role, Page] = {}
        self.said: list[str] = []

    def of(self, role: Role) -> Page:
        if role not in self._open:
            page = open_page(self._browser)
            page.on("console", lambda message: self.said.append(message.text))
            page.on("pageerror", lambda error: self.said.append(str(error)))
            self._clinic.sign_in(page, role)
            self._open[role] = page
        self.said.clear()
        return self._open[role]

    def close(self) -> None:
        for page in self._open.values():
            page.context.close()


def set_to(page: Page, width: int, scheme: str, height: int = 900) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")


def serious(page: Page, *rules: str) -> list[tuple[str, list[str]]]:
    """What axe finds serious or critical, and where. rules: only these; none: all of them."""
    options: dict[str, object] = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = _AXE.run(page, options=options).response["violations"]
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def sideways(page: Page) -> bool:
    return not page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def weight(page: Page) -> dict[str, int]:
    """Bytes over the wire by path."""
    found: dict[str, int] = dict(page.evaluate(_WEIGHTS))
    return found


def check(page: Page) -> None:
    """The page that is open: light and wide, dark on a phone, and on a very narrow one."""
    for width, scheme, rules in ((WIDE, "light", OF_LOOKS), (PHONE, "dark", ())):
        set_to(page, width, scheme)
        assert not sideways(page), f"it scrolls sideways at {width} px"
        found = serious(page, *rules)
        assert found == [], f"{scheme} at {width} px: {found}"
    set_to(page, NARROW, "light")
    assert not sideways(page), f"it scrolls sideways at {NARROW} px"
    bytes_of = weight(page)
    assert 0 < sum(bytes_of.values()) < MOST_BYTES, bytes_of
    set_to(page, WIDE, "light")
