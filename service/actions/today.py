"""What is normal today, for whoever opens a client's page: link -> treatment -> day in the clinic's zone -> words.

Only reads. Refuses to say what is not true of that day, approved and complete: then it tells why, and how to reach
the clinic is all there is to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa

from service.actions.answer import Link, clinic_of, is_theirs, links_in
from service.actions.shelf import Shelf
from service.actions.treated import planned_protocol
from service.actions.writing import sender
from service.domain.letter import Letter, SlotKind, facts
from service.domain.protocol import FollowUpProtocol
from service.domain.schedule import day_number, local_day
from service.errors import BadText
from service.mail.texts import CompiledText
from service.mail.words import Language, display
from service.store import clients
from service.store.clinics import Clinic

#: The language of whatever is said where no text says it.
PLAIN = "en"


class Why(StrEnum):
    """Why a page has no words for the day."""

    NO_VISIT = "no_visit"  # none that has been, or none that this reader may know of
    OVER = "over"
    NO_WORDS = "no_words"  # not approved, or without the numbers they need


@dataclass(frozen=True)
class Spoken:
    """The words for one treatment. day: days after it. html: what stands inside a page, escaped."""

    protocol: str
    day: int
    version: int
    language: Language
    tag: str
    title: str
    text: str
    html: str


@dataclass(frozen=True)
class Today:
    """What a page shows. on: the clinic's local date. spoken: newest treatment first; empty if there is a `why`.

    lines: whole sentences in PLAIN about when the clinic is open, for a page without words. asks: this client may
    answer a check-in.
    """

    clinic: Clinic
    on: date
    spoken: tuple[Spoken, ...]
    why: Why | None
    lines: tuple[str, ...]
    asks: bool = False


class _Silent(Exception):
    """Nothing may be said."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


def read_today(connection: sa.Connection, shelf: Shelf, link: Link, now: datetime) -> Today:
    """The page of a link at `now`. Raises NotFound like `clinic_of`, for an unknown client and an erased one."""
    clinic = clinic_of(connection, link.client_id)
    on = local_day(now, clinic.zone)
    try:
        spoken, why = _spoken(connection, shelf.for_one(), (clinic, link), now), None
    except _Silent as silent:
        spoken, why = (), silent.why
    protocol = shelf.catalogue.protocols[spoken[0].protocol] if spoken else None
    return Today(clinic, on, spoken, why, _lines(clinic, on, shelf), "check_in_url" in links_in(clinic, protocol))


def _spoken(connection: sa.Connection, shelf: Shelf, whose: tuple[Clinic, Link], now: datetime) -> tuple[Spoken, ...]:
    """The words for the newest treatment of each area. Raises _Silent unless there are some for every one not over."""
    clinic, link = whose
    client = clients.get(connection, clinic.id, link.client_id)
    on = local_day(now, clinic.zone)
    if not is_theirs(connection, client, link):
        raise _Silent(Why.NO_VISIT)
    newest = _newest(connection, client, on)
    if not newest:
        raise _Silent(Why.NO_VISIT)
    protocols = shelf.catalogue.protocols
    current = [row for row in newest if not _is_over(protocols.get(row["protocol"]), row, on)]
    if not current:
        raise _Silent(Why.OVER)
    wanted = {(row["protocol"], _text(protocols.get(row["protocol"]), row, on)) for row in current}
    shelf.refresh(connection, [clinic.id], now.date(), wanted)
    # All or none: who reads the words for one visit must not take them for another.
    return tuple(_said(connection, shelf, (clinic, client["language"], on), row) for row in current)


def _newest(connection: sa.Connection, client: sa.RowMapping, on: date) -> list[sa.RowMapping]:
    """The last treatment of each area up to that day that was not cancelled, newest first."""
    by_area = {
        row["area"]: row
        for row in clients.list_treatments(connection, client["clinic_id"], client["id"])
        if row["cancelled_at"] is None and row["treated_on"] <= on
    }
    return sorted(by_area.values(), key=lambda row: (row["treated_on"], row["id"]), reverse=True)


def _is_over(protocol: FollowUpProtocol | None, row: sa.RowMapping, on: date) -> bool:
    """Whether the last day that its page has words for is past."""
    last = protocol.today[-1].through_day if protocol and protocol.today else None
    return last is not None and day_number(row["treated_on"], on) > last


def _text(protocol: FollowUpProtocol | None, row: sa.RowMapping, on: date) -> str:
    """The name of the text for that day, "" if there is none."""
    found = protocol.today_on(day_number(row["treated_on"], on)) if protocol else None
    return found.text if found else ""


def _said(connection: sa.Connection, shelf: Shelf, reader: tuple[Clinic, str, date], row: sa.RowMapping) -> Spoken:
    clinic, language, on = reader
    protocol = shelf.catalogue.protocols.get(row["protocol"])
    version = shelf.choose(clinic, row["protocol"], _text(protocol, row, on), language)
    if protocol is None or version is None:
        raise _Silent(Why.NO_WORDS)
    planned = planned_protocol(connection, protocol, row["id"])
    try:
        return spoken_for(shelf.compiled(version), planned, (clinic, row["treated_on"], on), version.version)
    except BadText as error:
        # A clinic that has not said whom to call: no words about signs without a number beside them.
        raise _Silent(Why.NO_WORDS) from error


def spoken_for(
    compiled: CompiledText, protocol: FollowUpProtocol, when: tuple[Clinic, date, date], version: int
) -> Spoken:
    """One text of a page, filled. when: clinic, treated on, the local date it is for. Raises BadText like `values`."""
    clinic, treated_on, on = when
    letter = Letter(
        kind="today",
        protocol=protocol.key,
        day=day_number(treated_on, on),
        language=compiled.language,
        greeting_name="",
        treated_on=treated_on,
        for_on=on,
        missed_on=None,
        next_on=None,
        sender=sender(clinic, on),
    )
    done = compiled.render(facts(letter, protocol))
    return Spoken(
        protocol.key, letter.day, version, compiled.words, compiled.language, done.subject, done.text, done.html
    )


_LINES: Mapping[str, SlotKind] = {"hours_line": SlotKind.HOURS, "closed_line": SlotKind.DATED_LINE}


def _lines(clinic: Clinic, on: date, shelf: Shelf) -> tuple[str, ...]:
    said = sender(clinic, on)
    known = {"hours_line": said.hours, "closed_date": said.closed_on.isoformat() if said.closed_on else ""}
    language = shelf.catalogue.frames.languages[PLAIN]
    return tuple(line for line in display(known, _LINES, language).values() if line)
