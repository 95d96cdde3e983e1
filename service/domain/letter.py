"""The typed context of each e-mail: every slot a text may use, and the facts that fill them.

Facts are plain strings (dates as ISO), so they can be frozen in a row and rendered to the same bytes later.
Refuses to know a language: how a date or a sentence looks is the business of mail/texts.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from service.domain.protocol import FollowUpProtocol

LetterKind = Literal["reminder", "catch_up", "hello", "today"]


class SlotKind(StrEnum):
    """What stands in a slot, and so how it is shown and whether it may be empty."""

    TEXT = "text"
    LINE = "line"  # whole sentences; may be empty
    DATE = "date"
    DATED_LINE = "dated_line"  # next_line: the language's sentence around the fact next_date; empty without it
    HOURS = "hours"  # the language's sentence about opening hours; empty without them
    PHONE = "phone"
    CONTACT = "contact"  # facts <slot>_name and <slot>_number; the number may be empty
    LINK = "link"  # written by the frame only; may be empty


@dataclass(frozen=True)
class Sender:
    """What a clinic puts into its e-mails. hours: as str(OpeningHours), or "". closed_on: the letter's date, if the
    clinic is closed on it. wash_line: whole sentences in the letter's language, or "".
    """

    sender_name: str
    phone: str
    hours: str
    closed_on: date | None
    emergency_number: str
    urgent_line_name: str
    urgent_line_number: str
    wash_line: str
    reply_to: str


@dataclass(frozen=True)
class Letter:
    """One e-mail to one client. day: days after treated_on; picks the band of a catch-up. *_on: local dates.

    treated_on may be None for a hello only. missed_on: the day a catch-up is sorry for. next_on: of the next e-mail.
    """

    kind: LetterKind
    protocol: str
    day: int
    language: str
    greeting_name: str
    treated_on: date | None
    for_on: date
    missed_on: date | None
    next_on: date | None
    sender: Sender
    stop_url: str = ""
    stop_mailto: str = ""
    today_url: str = ""
    check_in_url: str = ""


_EVERY_KIND = {
    "greeting_name": SlotKind.TEXT,
    "sender_name": SlotKind.TEXT,
    "phone": SlotKind.PHONE,
    "hours_line": SlotKind.HOURS,
    "closed_line": SlotKind.DATED_LINE,
    "stop_url": SlotKind.LINK,
    "stop_mailto": SlotKind.LINK,
    "today_url": SlotKind.LINK,
    "check_in_url": SlotKind.LINK,
}
_CARE = {
    "emergency_number": SlotKind.PHONE,
    "urgent_line": SlotKind.CONTACT,
    "wash_line": SlotKind.LINE,
    "treated_date": SlotKind.DATE,
    "for_date": SlotKind.DATE,
    "next_line": SlotKind.DATED_LINE,
}


#: A page may be opened by whoever holds the link: it greets nobody, promises no e-mail and writes its own links.
_NOT_ON_A_PAGE = frozenset({
    "greeting_name", "stop_url", "stop_mailto", "today_url", "check_in_url", "next_line", "next_date",
})  # fmt: skip
#: Slots whose value is one client's own; all others are the same for a clinic, a step and a day.
PERSONAL = frozenset({"greeting_name", "stop_url", "stop_mailto", "today_url", "check_in_url"})


def slot_kinds(protocol: FollowUpProtocol | None, kind: LetterKind) -> dict[str, SlotKind]:
    """Every slot that a text of this kind, or its frame, may use. "today": the page behind a client's link."""
    kinds = dict(_EVERY_KIND)
    if kind == "hello" or protocol is None:
        return kinds
    kinds |= _CARE
    if kind == "catch_up":
        kinds["missed_date"] = SlotKind.DATE
    if kind == "today":
        kinds = {slot: slot_kind for slot, slot_kind in kinds.items() if slot not in _NOT_ON_A_PAGE}
    return kinds | dict.fromkeys(_days_of(protocol), SlotKind.DATE)


def _days_of(protocol: FollowUpProtocol) -> dict[str, int]:
    """Slot -> days after the treatment, for the dates a protocol defines."""
    days = {f"{step.key.replace('-', '_')}_date": step.day for step in protocol.steps}
    for limit in protocol.limits.values():
        days[f"{limit.key}_ok_until"] = limit.ok_through_day
        days[f"{limit.key}_over_from"] = limit.ok_through_day + 1
    return days


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""


def facts(letter: Letter, protocol: FollowUpProtocol | None) -> dict[str, str]:
    """All that rendering needs: one fact a slot (a contact has two), the day, and the reply address."""
    sender = letter.sender
    found = {
        "day": str(letter.day),
        "reply_to": sender.reply_to,
        "greeting_name": letter.greeting_name,
        "sender_name": sender.sender_name,
        "phone": sender.phone,
        "hours_line": sender.hours,
        "closed_date": _iso(sender.closed_on),
        "stop_url": letter.stop_url,
        "stop_mailto": letter.stop_mailto,
        "today_url": letter.today_url,
        "check_in_url": letter.check_in_url,
    }
    if letter.kind == "hello" or protocol is None:
        return found
    found |= {
        "emergency_number": sender.emergency_number,
        "urgent_line_name": sender.urgent_line_name,
        "urgent_line_number": sender.urgent_line_number,
        "wash_line": sender.wash_line,
        "treated_date": _iso(letter.treated_on),
        "for_date": _iso(letter.for_on),
        "next_date": _iso(letter.next_on),
    }
    if letter.kind == "catch_up":
        found["missed_date"] = _iso(letter.missed_on)
    if letter.treated_on:
        found |= {slot: _days_after(letter.treated_on, days) for slot, days in _days_of(protocol).items()}
    if letter.kind == "today":
        return {name: fact for name, fact in found.items() if name not in _NOT_ON_A_PAGE}
    return found


@lru_cache(maxsize=4096)
def _days_after(day: date, days: int) -> str:
    return (day + timedelta(days=days)).isoformat()
