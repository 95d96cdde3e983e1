"""The machine's own Chromium. Without one these tests are skipped, and say so; AFTERCARE_REQUIRE_BROWSER=1 forbids that."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.site import CHROMIUM, Site, launch, site

# Milliseconds: a busy machine needs more than the usual five seconds to show what is expected.
expect.set_options(timeout=20_000)


# For one file, not for the session: while it is open an event loop runs in this thread, where other tests start theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser process for the tests of a file."""
    if CHROMIUM is None:
        told = "no Chromium on this machine: install Debian's package chromium to test the pages in a browser"
        if os.environ.get("AFTERCARE_REQUIRE_BROWSER") == "1":
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One installation for the tests of a file."""
    with site(tmp_path_factory.mktemp("site"), public_url="https://notes.northgate-clinic.org") as served:
        yield served
