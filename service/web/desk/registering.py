"""What was typed into the forms of register.py: checked field by field, with a sentence for each that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from service.actions.addresses import check_address
from service.actions.foresee import Given
from service.actions.register import NewClient
from service.domain import consent
from service.domain.persons import NAME_LIMIT, clean_line, clean_name, clean_phone
from service.domain.protocol import FollowUpProtocol
from service.domain.remarks import LIMITS, Remarks, clean_remark
from service.errors import BadInput
from service.web.desk.visit import Visit

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass
class Typed:
    """What a form says. given, client: None while something they need is missing. errors: field -> sentence.

    missing: what is still to be filled in, in words. address: the one typed, if it is one.
    """

    given: Given | None = None
    client: NewClient | None = None
    address: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def refuse(self, name: str, error: BadInput) -> None:
        self.errors.setdefault(name, told(error))


def told(error: BadInput) -> str:
    """A refusal as a sentence of the desk, and what to do; never a command."""
    sentence = f"{error.message[:1].upper()}{error.message[1:]}."
    fix = error.next_step or ""
    return f"{sentence} {fix}".strip() if "`" not in fix else sentence


def read_treatment(visit: Visit, client_id: int, asks: bool) -> Typed:
    """The form for somebody who is known. asks: they have not agreed yet, so the form asks."""
    typed = Typed()
    protocol, on, remarks = _protocol(visit, typed), _on(visit, typed), _remarks(visit, typed)
    agreed = consent.NEWEST if asks and visit.form["agreed"] == "yes" else None
    if protocol is not None and on is not None:
        typed.given = Given(protocol, on, client_id, agreed=agreed, remarks=remarks)
    return typed


def read_client(visit: Visit) -> Typed:
    """The form for somebody new. Every field is looked at, so that all mistakes are told at once."""
    typed, form = Typed(), visit.form
    name = _read(typed, form["name"], ("name", "their name", "Give the name to greet."), clean_name)
    email = _read(typed, form["email"], ("email", "a whole e-mail address", "Give an e-mail address."), check_address)
    typed.address = email
    phone = _read(typed, form["phone"], ("phone", "", ""), clean_phone)
    protocol, on, remarks = _protocol(visit, typed), _on(visit, typed), _remarks(visit, typed)
    guardian = _guardian(visit, typed)
    if form["agreed"] != "yes":
        typed.missing.append("their agreement")
        typed.errors["agreed"] = "Nothing can be sent unless they agree. Read the words out, ask, and tick."
    language = form["language"]
    if language and language not in visit.service.catalogue.frames.languages:
        typed.errors["language"] = "Choose one of the languages in the list."
    if protocol is not None and on is not None:
        agreed = consent.NEWEST if form["agreed"] == "yes" else None
        typed.given = Given(protocol, on, 0, name, email, agreed, remarks)
    if not typed.errors:
        words = consent.NEWEST
        typed.client = NewClient(name, email, phone, language, guardian=guardian, consent_words=words)
    return typed


def _read(typed: Typed, raw: str, said: tuple[str, str, str], check: Callable[[str], str]) -> str:
    """A checked field, "" if it is not right. said: its name, what is missing without it, and what to do then."""
    name, wanted, fix = said
    if not raw.strip():
        if wanted:
            typed.missing.append(wanted)
            typed.errors[name] = fix
        return ""
    try:
        return check(raw)
    except BadInput as error:
        typed.refuse(name, error)
        typed.missing.append(wanted or "a phone number that is one")
        return ""


def _guardian(visit: Visit, typed: Typed) -> str:
    """Whoever answers for a minor; nobody's business for an adult."""
    if visit.form["adult"] == "yes":
        return ""
    said = ("guardian", "adult or guardian", "Tick adult, or give the guardian's name.")
    return _read(typed, visit.form["guardian"], said, lambda raw: clean_line("guardian", raw, NAME_LIMIT))


def _remarks(visit: Visit, typed: Typed) -> Remarks:
    """What only the clinic reads; nothing of it has to be there."""
    said = {}
    for name in LIMITS:
        try:
            said[name] = clean_remark(name, visit.form[name])
        except BadInput as error:
            typed.refuse(name, error)
    return Remarks(**said)


def _protocol(visit: Visit, typed: Typed) -> FollowUpProtocol | None:
    protocol = visit.service.catalogue.protocols.get(visit.form["protocol"])
    if protocol is None:
        typed.errors["protocol"] = "Choose what was done."
        typed.missing.append("the treatment")
    return protocol


def _on(visit: Visit, typed: Typed) -> date | None:
    raw = visit.form["on"].strip()
    try:
        found = date.fromisoformat(raw) if _DAY.fullmatch(raw) else None
    except ValueError:
        found = None
    if found is None:
        typed.errors["on"] = "Give the day it was done, like 2026-11-20."
        typed.missing.append("the day")
    return found
