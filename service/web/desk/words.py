"""What the desk's templates may call: dates, states and reasons in plain words, the menu. No codes reach a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from service.domain.plain import call_reason, reason
from service.domain.reminder import State
from service.mail.words import phone_href, phone_shown
from service.store.tables import Role
from service.web.desk import dates
from service.web.desk.rights import RIGHTS
from service.web.desk.visit import Visit

#: State of an outgoing e-mail -> words, kind of badge.
STATES: Mapping[str, tuple[str, str]] = {
    State.PLANNED: ("will go out", "wait"),
    State.CLAIMED: ("going out now", "wait"),
    State.SENDING: ("going out now", "wait"),
    State.SENT: ("their mail server took it", "good"),
    State.IN_DOUBT: ("no answer yet; will be tried once more", "wait"),
    State.UNCONFIRMED: ("may not have arrived", "act"),
    State.FAILED: ("refused by their mail server", "act"),
    State.MISSED: ("not sent: its time was over", "act"),
    State.CANCELLED: ("will not go out", "past"),
    State.HELD: ("held back", "held"),
}
_MENU = (
    ("/", "Today"),
    ("/clients", "Clients"),
    ("/calls", "Calls"),
    ("/outbox", "E-mails"),
    ("/forecast", "Next days"),
    ("/texts", "Words"),
    ("/import", "Import"),
    ("/settings", "Settings"),
    ("/audit", "Audit"),
)


def install(pages: Environment) -> None:
    """Give the templates these words."""
    pages.globals.update(
        moment=moment,
        day=day,
        exact=dates.exact,
        menu=menu,
        state_words=state_words,
        reason_words=reason,
        call_words=call_reason,
    )
    pages.filters.update(attributes=attributes, phone_href=phone_href, phone_shown=phone_shown)


def moment(visit: Visit, instant: datetime) -> str:
    """Like "Sat 21 Nov, 10:00 (tomorrow)", in the clinic's zone."""
    return dates.moment_words(instant, visit.clinic.zone, visit.now)


def day(visit: Visit, on: date) -> str:
    """A local date, like "Sat 21 Nov"."""
    return dates.day_words(on, visit.now.astimezone(visit.clinic.zone).date())


def state_words(code: str) -> tuple[str, str]:
    return STATES.get(code, (code.replace("_", " "), "past"))


def menu(role: Role) -> list[tuple[str, str]]:
    """The pages this role may open: path and words."""
    return [(path, said) for path, said in _MENU if role in RIGHTS.get(f"GET {path}", ())]


def attributes(given: Mapping[str, Any]) -> Markup:
    """Further attributes of an input: True stands alone, False and None are left out, _ is written -."""
    said = Markup("")
    for name, value in given.items():
        if value is True:
            said += Markup(" ") + escape(name.replace("_", "-"))
        elif value is not False and value is not None:
            said += Markup(' {}="{}"').format(name.replace("_", "-"), value)
    return said
