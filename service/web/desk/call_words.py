"""What to say on a call: what the client answered, the sentences to begin with, and the signs to hand over by phone.

The signs are those of the day: from the words that a clinician approved, else from the protocol's own table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.actions.answer import link_of
from service.actions.today import Today, read_today
from service.domain.protocol import FollowUpProtocol, Level
from service.domain.schedule import day_number, local_day
from service.store import check_ins, clients
from service.store.clinics import Clinic
from service.web.desk.client_email import desk_of
from service.web.desk.timeline import answer_words
from service.web.desk.visit import Visit

_ASK = "Ask how the skin feels today: heat, swelling, pain that gets worse, fluid, lumps, a high temperature."
_DOCTOR = "If any of these is there, or you are not sure: a clinician or a doctor, today."
#: What a call is for, by its reason: said first.
_SCRIPTS: Mapping[str, str] = {
    "missed": "We could not send you the note for these days, so I am calling instead.",
    "failed": "Our e-mail to you was refused. May I check your address?",
    "bounced": "Our e-mail to you came back. May I check your address?",
    "check_address": "Several of our e-mails came back. May I check your address?",
    "unconfirmed": "We are not sure that our last e-mail reached you. Did it?",
    "wrong_day": "We wrote to you for the wrong day. Please go by the newer note.",
    "stopped": "You get no more e-mails from us. May I tell you what to watch for?",
    "registered_late": "We registered your visit late, so a note is missing. I am calling instead.",
    "reply": "You answered one of our e-mails. How can I help?",
    "asked_to_stop": "Somebody asked us to stop these e-mails. Was that you?",
    "wrong_person": "Our e-mails seem to reach somebody else. May I check your address?",
}
#: After a red answer, by its level: what the page told the client, and what must come of the call.
_RED: Mapping[str, tuple[str, ...]] = {
    Level.EMERGENCY: (
        "Our page told you to call {emergency} now. Have you called?",
        "If not, ask them to end this call and to call {emergency} now.",
    ),
    Level.DOCTOR: (
        "Our page told you to get medical help today. Whom have you reached?",
        "If nobody yet: their doctor or {urgent}, now. If they get worse: {emergency}.",
    ),
    Level.TODAY: (
        "Our page asked you to call us today. Please tell me what you see and feel.",
        "A clinician hears this today. If none can: {urgent}. If they get worse: {emergency}.",
    ),
}
#: Heading over the signs of a level.
_SIGNS: Mapping[str, str] = {
    Level.EMERGENCY: "Call {emergency} at once",
    Level.DOCTOR: "Medical help the same day: their doctor or {urgent}",
    Level.TODAY: "Call us the same day",
}
_LOOKED_AT = 50


def call_words(visit: Visit, connection: Any, call: Any) -> dict[str, Any]:
    """For the call's page. answered: what the client said that opened it, or None; today: approved words, or None;
    signs: heading -> signs where no words are approved.
    """
    client = clients.get(connection, visit.clinic.id, call["client_id"])
    said: dict[str, Any] = {"script": _script(visit.clinic, call), "answered": None, "today": None, "signs": {}}
    if client["erased_at"] is not None:
        return said
    treatments = clients.list_treatments(connection, visit.clinic.id, client["id"])
    answers = check_ins.listed(connection, visit.clinic.id, client["id"], _LOOKED_AT)
    mine = [one for one in answers if one.call_id == call["id"]]
    if mine:
        said["answered"] = mine[-1]
        said["answer_lines"] = answer_words(visit.service.catalogue.protocols, treatments, mine[-1])
    today = _today(visit, connection, client)
    said["today"] = today if today.spoken else None
    said["signs"] = {} if today.spoken else _signs(visit, treatments)
    return said


def _today(visit: Visit, connection: Any, client: Any) -> Today:
    return read_today(connection, desk_of(visit).shelf, link_of(client["id"], client["email"]), visit.now)


def _script(clinic: Clinic, call: Any) -> list[str]:
    """Medical matters are left to the clinic's own people, but for what the client was told already."""
    red = [_numbers(clinic, one) for one in _RED.get(call["level"] or "", ())]
    if red:
        return red
    return [_SCRIPTS.get(call["reason"], "I am calling about your visit."), _ASK, _DOCTOR]


def _signs(visit: Visit, treatments: Sequence[Any]) -> dict[str, list[str]]:
    """Of the newest treatment that is not over, as far as anything is known of its day."""
    standing = [row for row in treatments if row["cancelled_at"] is None]
    protocol = visit.service.catalogue.protocols.get(standing[-1]["protocol"]) if standing else None
    if protocol is None:
        return {}
    day = max(day_number(standing[-1]["treated_on"], local_day(visit.now, visit.clinic.zone)), 0)
    return {_numbers(visit.clinic, words): _of(protocol, level, day) for level, words in _SIGNS.items()}


def _of(protocol: FollowUpProtocol, level: str, day: int) -> list[str]:
    column = protocol.column(day)
    return [flag.says for flag in protocol.red_flags if flag.levels[column] == level]


def _numbers(clinic: Clinic, words: str) -> str:
    name, number = clinic.urgent_line_name, clinic.urgent_line_number
    # "NHS 111" names its number already.
    urgent = name if not number or number in name else f"{name} {number}".strip()
    return words.format(emergency=clinic.emergency_number or "the emergency number", urgent=urgent or "urgent advice")
