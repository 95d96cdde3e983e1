"""From a claimed row to the bytes of its e-mail. Asks no clock and no random source: a repeat gives the same bytes.

Decides nothing about sending; what cannot be written is a Withheld with its reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from service.actions.answer import STOP_MAILTO, link_of, links_in, write_links
from service.domain.contact import Withheld
from service.domain.letter import Letter, LetterKind, Sender, facts
from service.domain.own_steps import as_planned
from service.domain.persons import greeting_name
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason, State, ended
from service.domain.schedule import local_day
from service.errors import AftercareError
from service.mail.compose import Head, compose
from service.mail.draft import Draft, draft
from service.mail.signing import Signer
from service.mail.texts import CompiledText
from service.store.clinics import Clinic
from service.store.outbox import ClaimedEmail
from service.store.tables import Kind
from service.store.texts import TextVersion


class Written(NamedTuple):
    """A finished e-mail and what the mark must keep to make it again.

    facts: the client's own, JSON. shared: those of its clinic, step and day. dated: its Date, ISO 8601 with offset.
    """

    row: ClaimedEmail
    message: bytes
    mail_from: str
    message_id: str
    text_id: int | None
    text_version: int | None
    frame_version: str
    facts: str
    shared_id: str
    shared: str
    dated: str
    digest: str


@dataclass(frozen=True, slots=True)
class Words:
    """The version chosen for a row, compiled. version: None for a notice, which ships with the program."""

    version: TextVersion | None
    compiled: CompiledText


@dataclass(frozen=True, slots=True)
class Around:
    """What is not in a letter's own row. *_on: local dates of neighbouring steps. days: see own_steps.other_days."""

    next_on: date | None = None
    missed_on: date | None = None
    days: tuple[tuple[str, int], ...] = ()


#: So many kinds of letter are kept ready; a clinic's busy day has a handful.
KEPT = 500
_json = json.JSONEncoder(ensure_ascii=False).encode
_LETTER_KINDS: dict[str, LetterKind] = {Kind.REMINDER: "reminder", Kind.CATCH_UP: "catch_up", Kind.HELLO: "hello"}


def text_name(row: ClaimedEmail, protocol: FollowUpProtocol) -> str | None:
    """Which text a row needs; None if its protocol no longer has that step."""
    if row.kind == Kind.CATCH_UP:
        return protocol.catch_up.text if protocol.catch_up else None
    step = protocol.step(row.step or "")
    return step.text if step else None


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all e-mails of a clinic, a step and a day have in common. facts: content as JSON, kept under `id`."""

    content: dict[str, str]
    facts: str
    id: str
    draft: Draft
    links: frozenset[str]


class Writer:
    """Writes e-mails for clinics; keeps what is the same for a clinic, a step and a day.

    public_url: the https address clients reach the pages under; None: no links, stop goes by mailto alone.
    stop_domain: of each client's own stop address; None: a stop by mail goes to the clinic's reply address.
    """

    def __init__(self, signer: Signer, public_url: str | None = None, stop_domain: str | None = None) -> None:
        self._signer = signer
        self._places = (public_url.rstrip("/") if public_url else "", stop_domain)
        self._shared: dict[Hashable, _Shared] = {}

    def write(
        self,
        row: ClaimedEmail,
        clinic: Clinic,
        protocol: FollowUpProtocol | None,
        words: Words,
        at: tuple[datetime, Around],
    ) -> Written | Withheld:
        """The bytes for a row: anew, or exactly as an earlier copy that may be out. at: now, and what is around it."""
        now, around = at
        try:
            if row.in_doubt:
                return self._again(row, words)
            dated = now.astimezone(clinic.zone).replace(microsecond=0)
            shared = self._in_common(row, clinic, protocol, words, (dated.date(), around))
            mine = {"greeting_name": greeting_name(row.client_name, ""), "to_address": row.address}
            mine |= write_links(self._signer, self._places, link_of(row.client_id, row.address), shared.links)
            message_id = row.message_id or self._message_id(row, shared.content["from_address"])
            head = _head(shared.content, mine, words, (dated, message_id))
            message = compose(head, shared.draft, words.compiled.personal(mine))
            return _written(row, words, head, (message, _json(mine), shared.id, shared.facts))
        except AftercareError:
            return Withheld(ended(in_doubt=row.in_doubt, otherwise=State.HELD), Reason.RENDER_ERROR)

    def _again(self, row: ClaimedEmail, words: Words) -> Written | Withheld:
        """P2: the same bytes or none at all."""
        content = json.loads(row.shared_facts or "{}") | json.loads(row.facts or "{}")
        if content.get("to_address") != row.address or row.dated is None or row.message_id is None:
            return Withheld(State.UNCONFIRMED, Reason.CHANGED)
        head = _head(content, content, words, (datetime.fromisoformat(row.dated), row.message_id))
        program, values = words.compiled.prepare(content)
        kept = (row.facts or "", row.shared_id or "", row.shared_facts or "")
        written = _written(row, words, head, (compose(head, program, values), *kept))
        return written if written.digest == row.digest else Withheld(State.UNCONFIRMED, Reason.CHANGED)

    def _in_common(
        self,
        row: ClaimedEmail,
        clinic: Clinic,
        protocol: FollowUpProtocol | None,
        words: Words,
        said: tuple[date, Around],
    ) -> _Shared:
        for_on = local_day(row.due_at, clinic.zone)
        key = (clinic, row.kind, row.protocol, row.step, row.treated_on, for_on, words.compiled, said)
        known = self._shared.get(key)
        if known is None:
            if len(self._shared) > KEPT:
                self._shared.clear()
            letter = _letter(row, clinic, (words.compiled.language, for_on), said)
            content = facts(letter, protocol and as_planned(protocol, said[1].days)) | {
                "from_address": clinic.from_address or clinic.reply_to
            }
            links = links_in(clinic, protocol) if self._places[0] else frozenset[str]()
            links |= {STOP_MAILTO} if self._places[1] else set()
            content |= dict.fromkeys(links, "https:")  # not empty: the frame leaves places for a client's own
            own = links | {"greeting_name"}
            program, values = words.compiled.prepare(content)
            common = {name: value for name, value in values.items() if name not in own}
            shared = _json({name: fact for name, fact in content.items() if name not in own})
            name = hashlib.sha256(f"{clinic.id} {shared}".encode()).hexdigest()[:32]
            known = self._shared[key] = _Shared(content, shared, name, draft(program, common), links)
        return known

    def _message_id(self, row: ClaimedEmail, from_address: str) -> str:
        # The instant of planning keeps ids apart that a restored database hands out twice.
        return self._signer.message_id(row.id, row.planned_at.isoformat(), from_address.partition("@")[2])


def _letter(row: ClaimedEmail, clinic: Clinic, to: tuple[str, date], said: tuple[date, Around]) -> Letter:
    """The letter without its client. to: language, the day it is for; said: its Date's day, what is around it."""
    (language, for_on), (dated_on, around) = to, said
    return Letter(
        kind=_LETTER_KINDS[row.kind],
        protocol=row.protocol or "",
        day=row.day or 0,
        language=language,
        greeting_name="",
        treated_on=row.treated_on,
        for_on=for_on,
        missed_on=around.missed_on,
        next_on=around.next_on,
        sender=sender(clinic, dated_on),
        stop_mailto=f"mailto:{clinic.reply_to}?subject=Stop",
    )


def _head(content: dict[str, str], mine: dict[str, str], words: Words, stamp: tuple[datetime, str]) -> Head:
    """content: facts of the letter; mine: those that are the client's own."""
    dated, message_id = stamp
    return Head(
        sender_name=content["sender_name"],
        from_address=content["from_address"],
        to_address=mine["to_address"],
        reply_to=content["reply_to"],
        date=dated,
        message_id=message_id,
        language=words.compiled.language,
        stop_mailto=mine.get("stop_mailto") or content["stop_mailto"] or None,
        stop_url=mine.get("stop_url") or None,
    )


def _written(row: ClaimedEmail, words: Words, head: Head, made: tuple[bytes, str, str, str]) -> Written:
    message, own, shared_id, shared = made
    return Written(
        row=row,
        message=message,
        mail_from=head.from_address,
        message_id=head.message_id,
        text_id=words.version.id if words.version else None,
        text_version=words.version.version if words.version else None,
        frame_version=words.compiled.frame_version,
        facts=own,
        shared_id=shared_id,
        shared=shared,
        dated=head.date.isoformat(),
        digest=hashlib.sha256(message).hexdigest(),
    )


def sender(clinic: Clinic, on: date) -> Sender:
    """The clinic's side of a letter dated `on`. Hours are left out when the clinic has set none."""
    return Sender(
        sender_name=clinic.sender_name or clinic.name,
        phone=clinic.phone,
        hours=str(clinic.opening or ""),
        closed_on=on if clinic.is_closed_on(on) else None,
        emergency_number=clinic.emergency_number,
        urgent_line_name=clinic.urgent_line_name,
        urgent_line_number=clinic.urgent_line_number,
        wash_line=clinic.wash_advice,
        reply_to=clinic.reply_to,
    )


def frozen_values(written: Written, marked_at: datetime) -> tuple[object, ...]:
    """What the mark keeps, in the order of store/marking.MARKED."""
    words = (written.text_id, written.text_version, written.frame_version)
    said = (written.facts, written.shared_id, written.dated, written.digest)
    return (written.row.id, marked_at, written.message_id, *words, *said)
