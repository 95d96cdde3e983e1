"""A client's check-in through a link: what it is about, how urgent the answers are, and the call that red ones ask for.

Whoever holds the link of the client's present address is believed, stopped or not. Refuses to lower a call: only a
person closes one. The audit says that there was an answer, never which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from service.actions.answer import ACTOR, Link, clinic_of, is_theirs
from service.domain.protocol import FollowUpProtocol, Level
from service.domain.schedule import day_number, local_day
from service.domain.triage import Outcome, check_in_of, read_answers, rules_version, triage
from service.errors import NotAllowed
from service.store import audit, check_ins, clients
from service.store.audit import Deed
from service.store.calls import RED_WITHIN, open_red
from service.store.check_ins import CORRECTED_WITHIN
from service.store.clinics import Clinic

#: Days after the treatment on which its link still asks.
LINK_DAYS = 60
Protocols = Mapping[str, FollowUpProtocol]
#: Question -> option ids, as a form said them.
Answers = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class About:
    """What a check-in is about. day: after the treatment, in the clinic's zone. language: the client's."""

    treatment_id: int
    protocol: FollowUpProtocol
    treated_on: date
    day: int
    language: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link opens. about: None where nothing is asked, and the clinic's phone is all there is to show."""

    clinic: Clinic
    about: About | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of answers that were saved. call_id: the open call they asked for, None if they are not red."""

    about: About
    outcome: Outcome
    check_in_id: int
    call_id: int | None


def open_check_in(connection: sa.Connection, protocols: Protocols, link: Link, now: datetime) -> Opened:
    """What a link is about at `now`; reads only. Raises NotFound like `answer.clinic_of`.

    The client's newest treatment, not cancelled, whose protocol has a check-in, up to LINK_DAYS after it. None where
    the clinic asks nothing, and for whoever got the link at an address that is not the client's (any more).
    """
    clinic = clinic_of(connection, link.client_id)
    client = clients.get(connection, clinic.id, link.client_id)
    if not clinic.check_in or not is_theirs(connection, client, link):
        return Opened(clinic, None)
    today = local_day(now, clinic.zone)
    rows = [
        row
        for row in clients.list_treatments(connection, clinic.id, link.client_id)
        if row["cancelled_at"] is None and row["treated_on"] <= today and _asks(protocols.get(row["protocol"]))
    ]
    if not rows or (day := day_number(rows[-1]["treated_on"], today)) > LINK_DAYS:
        return Opened(clinic, None)
    last = rows[-1]
    return Opened(clinic, About(last["id"], protocols[last["protocol"]], last["treated_on"], day, client["language"]))


def _asks(protocol: FollowUpProtocol | None) -> bool:
    return protocol is not None and protocol.check_in is not None


def answer_check_in(
    connection: sa.Connection, protocols: Protocols, link: Link, answers: Answers, now: datetime
) -> Answered:
    """Judge and keep answers, and open or raise the client's one open call if they are red.

    The same answers again within CORRECTED_WITHIN, as a page that is loaded anew sends them, change nothing. Raises
    NotFound like `open_check_in`, NotAllowed where nothing is asked, BadInput for answers that are none.
    """
    clinic = clinic_of(connection, link.client_id)
    clients.get(connection, clinic.id, link.client_id, lock=True)
    # Read anew under the lock: an erasure or a correction may just have been done.
    about = open_check_in(connection, protocols, link, now).about
    if about is None:
        raise NotAllowed("nothing is asked at this link", field="token", next_step="Call the clinic.")
    outcome = triage(about.protocol, about.day, answers)
    said = _in_order(about.protocol, answers)
    last = check_ins.newest(connection, clinic.id, about.treatment_id, link.client_id)
    if last is not None and last.answers == said and now - last.answered_at <= CORRECTED_WITHIN:
        return Answered(about, outcome, last.id, last.call_id)
    call_id = _call(connection, clinic, link.client_id, outcome.level, now)
    values = {
        "clinic_id": clinic.id,
        "client_id": link.client_id,
        "treatment_id": about.treatment_id,
        "day": about.day,
        "answers": said,
        "level": outcome.level,
        "rules": outcome.rules,
        "rules_version": rules_version(about.protocol),
        "email_id": check_ins.asked_by(connection, clinic.id, about.treatment_id),
        "call_id": call_id,
        "answered_at": now,
    }
    check_in_id = check_ins.add(connection, values)
    detail = {"check_in": check_in_id, "call": call_id}
    audit.note(connection, clinic.id, Deed(ACTOR, "check-in answered", f"client {link.client_id}", detail), now)
    return Answered(about, outcome, check_in_id, call_id)


def _call(connection: sa.Connection, clinic: Clinic, client_id: int, level: Level, now: datetime) -> int | None:
    return open_red(connection, clinic.id, client_id, level, now) if level in RED_WITHIN else None


def _in_order(protocol: FollowUpProtocol, answers: Answers) -> dict[str, list[str]]:
    """The same answers always in the same words: in the order of the protocol."""
    check_in = check_in_of(protocol)
    given = read_answers(check_in, answers)
    return {
        question.key: [option for option in question.options if option in given[question.key]]
        for question in check_in.questions
        if given.get(question.key)
    }
