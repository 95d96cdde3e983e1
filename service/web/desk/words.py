"""What the desk's templates may call: dates, states and reasons in plain words, the menu. No codes reach a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from service.domain.plain import call_reason, reason
from service.domain.reminder import Reason, State
from service.domain.replies import was_caught
from service.mail.words import phone_href, phone_shown
from service.store.calls import UNDONE
from service.store.tables import Role
from service.web.desk import dates
from service.web.desk.rights import RIGHTS
from service.web.desk.visit import Visit

#: State of an outgoing e-mail -> words, kind of badge.
STATES: Mapping[str, tuple[str, str]] = {
    State.PLANNED: ("will go out", "wait"),
    State.CLAIMED: ("going out now", "wait"),
    State.SENDING: ("going out now", "wait"),
    State.SENT: ("the mail server took it", "good"),
    State.IN_DOUBT: ("no answer yet; will be tried once more", "wait"),
    State.UNCONFIRMED: ("may not have arrived", "act"),
    State.FAILED: ("refused by their mail server", "act"),
    State.MISSED: ("not sent: its time was over", "act"),
    State.CANCELLED: ("will not go out", "past"),
    State.HELD: ("held back", "held"),
}
#: What an e-mail is that the trial kept back; it has reached nobody.
CAUGHT_HERE = ("stayed on this machine: trial mode", "past")
OUTCOMES = (
    ("reached", "Reached"),
    ("no_answer", "No answer"),
    ("referred", "Sent to a doctor"),
    ("wrong_number", "Wrong number"),
)
#: How a call ended: by a person's choice, or without one.
_ENDS = {**dict(OUTCOMES), UNDONE: "Registration undone"}
_KINDS = {"catch_up": "catch-up note", "hello": "hello", "notice": "notice"}
#: What to do about an e-mail that went wrong or waits, by its reason, else by its state.
_NEXT: Mapping[str, str] = {
    "came back": "It came back. Phone, and ask for the address.",
    Reason.SUPPRESSED: "Their address is not written to. Phone, and ask for another one.",
    Reason.REFUSED: "Their mail server refused it. Phone, and check the address.",
    Reason.REGISTERED_LATE: "It was registered after its time. Phone if the visit was not long ago.",
    Reason.TOO_LATE: "Its time was over before it could go out. See Calls: phone, or a later e-mail has done it.",
    Reason.UNAPPROVED: "Its words are not approved. A clinician can approve them under Words.",
    Reason.RENDER_ERROR: "It could not be written. Tell whoever runs this program.",
    Reason.PAUSED: "The client is paused. Resume on the client's page.",
    Reason.RESTORED: "The data came from a backup. Whoever runs this program must say what was sent.",
    State.UNCONFIRMED: "The mail server's answer was lost, so it may have arrived or not. Phone.",
    State.FAILED: "It could not be handed over. Phone, and check the address.",
    State.MISSED: "It did not go out in time. See Calls: phone, or a later e-mail has done it.",
    State.HELD: "A person must clear the cause first.",
}
_FATES = {
    "late": "sent late, still right",
    "missed": "missed; a call was opened",
    "failed": "refused",
    "cancelled": "called off",
    "unconfirmed": "may not have arrived",
    "open": "still to come",
}
#: Level of a check-in -> words, kind of badge.
_LEVELS: Mapping[str, tuple[str, str]] = {
    "E": ("emergency", "act"),
    "D": ("a doctor today", "act"),
    "T": ("call today", "act"),
    "S": ("call in 2 working days", "wait"),
    "V": ("mention at the next visit", "past"),
    "N": ("as expected", "good"),
}
_MENU = (
    ("/", "Today"),
    ("/clients", "Clients"),
    ("/calls", "Calls"),
    ("/check-ins", "Check-ins"),
    ("/outbox", "E-mails"),
    ("/forecast", "Next days"),
    ("/texts", "Words"),
    ("/import", "Import"),
    ("/settings", "Settings"),
    ("/audit", "Audit"),
)


#: Role -> who that is.
ROLES: Mapping[str, str] = {
    Role.RECEPTION: "reception",
    Role.CLINICIAN: "clinician",
    Role.OWNER: "owner",
    Role.OPS: "ops",
}


def install(pages: Environment) -> None:
    """Give the templates these words."""
    pages.globals.update(
        moment=moment,
        day=day,
        exact=dates.exact,
        menu=menu,
        state_words=state_words,
        email_state=email_state,
        reason_words=reason,
        call_words=call_reason,
        outcome_words=_ENDS.get,
        outcomes=OUTCOMES,
        step_words=step_words,
        next_words=next_words,
        fate_words=lambda one: "missed; a catch-up note made up for it" if one.replaced else _FATES.get(one.fate, ""),
        level_words=lambda level: _LEVELS.get(level, (level, "past")),
        text_words=text_words,
        role_words=ROLES.get,
        few=few,
    )
    pages.filters.update(attributes=attributes, phone_href=phone_href, phone_shown=phone_shown)


def moment(visit: Visit, instant: datetime) -> str:
    """Like "Sat 21 Nov, 10:00 (tomorrow)", in the clinic's zone."""
    return dates.moment_words(instant, visit.clinic.zone, visit.now)


def few(number: int) -> str:
    """A number that may be shown around: one from 1 to 4 could tell of a single person."""
    return "<5" if 0 < number < 5 else str(number)


def day(visit: Visit, on: date) -> str:
    """A local date, like "Sat 21 Nov"."""
    return dates.day_words(on, visit.now.astimezone(visit.clinic.zone).date())


def email_state(row: Mapping[str, Any]) -> tuple[str, str]:
    """Words and kind of badge for an e-mail with its last reply."""
    if row["state"] == State.SENT and was_caught(row["last_reply"]):
        return CAUGHT_HERE
    return state_words(row["state"])


def state_words(code: str) -> tuple[str, str]:
    return STATES.get(code, (code.replace("_", " "), "past"))


def step_words(kind: str, on_day: int | None) -> str:
    """What an e-mail is: "day 3", "catch-up note", "hello"."""
    return _KINDS.get(kind, f"day {on_day}")


_TEXT = re.compile(r"(day|today)-0*(\d+)")


def text_words(name: str) -> str:
    """What a text is for: "day 3", "page of the day, from day 3 on", "catch-up note"."""
    found = _TEXT.fullmatch(name)
    if found is None:
        return "catch-up note" if name == "catch-up" else name.replace("-", " ")
    return f"day {found[2]}" if found[1] == "day" else f"page of the day, from day {found[2]} on"


def next_words(row: Mapping[str, Any]) -> str:
    """What to do about an e-mail that went wrong or waits."""
    if row["bounced_at"] is not None:
        return _NEXT["came back"]
    return _NEXT.get(row["reason"] or "", _NEXT.get(row["state"], ""))


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
