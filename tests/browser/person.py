"""A person before a browser: what they press, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Page


@dataclass
class Keyboard:
    """Somebody who never touches the mouse. pressed: keys besides what they have to say."""

    page: Page
    pressed: int = 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.pressed += 1

    def say(self, words: str) -> None:
        """Type what only this person knows."""
        self.page.keyboard.type(words)

    def tab_to(self, what: str) -> None:
        """Tab until this has the focus. what: a CSS selector."""
        for _ in range(40):
            if self.page.evaluate("(what) => document.activeElement.matches(what)", what):
                return
            self.press("Tab")
        here = self.page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        raise AssertionError(f"Tab does not lead to {what}, but to {here}")

    def follow(self, what: str) -> None:
        """Tab to it, and press Enter; returns when the next page is there."""
        self.tab_to(what)
        self.enter()

    def enter(self) -> None:
        """Press Enter, and wait for the page it leads to."""
        with self.page.expect_navigation():
            self.press("Enter")
        self.sit_down()

    def sit_down(self) -> None:
        """Wait until the page has put the focus where it wants it: a moment after it is loaded."""
        if self.page.locator("[autofocus]").count():
            self.page.wait_for_selector("[autofocus]:focus")


def fill_in(keys: Keyboard, name: str, address: str) -> None:
    """Somebody new, treated today, down to the box that says they agreed."""
    keys.say(name)
    keys.press("Tab")
    keys.say(address)
    keys.tab_to("#phone")
    keys.say("020 7946 0018")
    keys.tab_to("#protocol")
    keys.press("ArrowDown")
    keys.tab_to("#adult")
    keys.press("Space")
    keys.tab_to("#agreed")
    keys.press("Space")


def answer_all(phone: Page, given: dict[str, str], most: int = 20) -> int:
    """Answer a check-in until there is advice: these options by question, else the clear one. How many taps it took."""
    taps = 0
    while phone.locator(".advice").count() == 0:
        assert taps < most, "the questions do not end"
        # The next page must be there before it is asked what it is.
        with phone.expect_navigation():
            taps += _answer(phone, given)
    return taps


def _answer(phone: Page, given: dict[str, str]) -> int:
    """Answer the question on this page. How many taps it took."""
    option = given.get(phone.locator("input[name=at]").get_attribute("value") or "", "")
    box = phone.locator(f"input[type=checkbox][value='{option}']")
    both = phone.locator("button.both")
    if option and box.count():
        box.check()
        phone.click("button.go")
        return 2
    if option:
        phone.click(f"button.answer[value='{option}']")
    elif both.count() and not _next_is_given(phone, given):
        both.click()
    else:
        phone.locator("button.answer:not(.both)").first.click()
    return 1


def _next_is_given(phone: Page, given: dict[str, str]) -> bool:
    """Whether the question that one button answers together with this one has something to say to it."""
    at = phone.locator("input[name=at]").get_attribute("value") or ""
    return f"q{int(at[1:]) + 1}" in given
