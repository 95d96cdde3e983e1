"""Settings: what the clinic says about itself, and what is still missing before real clients can be written to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from zoneinfo import available_timezones

from service.actions import clinic_setup, words
from service.errors import BadInput
from service.mail.language_names import own_name
from service.store import clinics, staff
from service.store.clinics import NEEDED, Clinic
from service.store.tables import Role
from service.web.desk.forms import beside, sentence
from service.web.desk.installation import installation
from service.web.desk.rights import RIGHTS
from service.web.desk.visit import Answer, Go, Page, Route, Visit

_DONE = {"clinic": "The clinic's data is saved. E-mails that are planned already keep their hour."}


class Asked(NamedTuple):
    """A field of the clinic's form. kind: of input; "tick" for yes or no, "lines" for several."""

    label: str
    hint: str = ""
    kind: str = "text"


#: Heading -> the fields under it, by the names of clinic_setup.FIELDS.
CLINIC_FORM: Mapping[str, Mapping[str, Asked]] = {
    "Who you are": {
        "name": Asked("Name of the clinic", "As your staff know it. It does not stand in the e-mails."),
        "sender_name": Asked("Name in the e-mails", "Stands on lock screens: it must not tell what was treated."),
        "language": Asked("Language", "Of clients for whom nothing else is said."),
        "timezone": Asked("Time zone", "A day is a day there. Like Europe/London."),
    },
    "How clients reach you": {
        "phone": Asked("Phone", "The number in every e-mail.", "tel"),
        "hours": Asked("Opening hours", "Like mon-fri 09:00-18:00; sat 10:00-14:00"),
        "closed_days": Asked(
            "Closed days",
            "One a line: 2026-12-25, or from and to: 2026-12-24..2027-01-01. E-mails of these days say it.",
            "lines",
        ),
        "reply_to": Asked("Address for answers", "A mailbox that somebody reads.", "email"),
        "from_address": Asked("Address of the sender", "Empty: the address for answers.", "email"),
    },
    "When it is urgent": {
        "emergency_number": Asked(
            "Emergency number", "Like 999, 112 or 911. Never guessed: it differs by country.", "tel"
        ),
        "urgent_line_name": Asked("Urgent advice: its name", "Like NHS 111, or: your doctor or urgent care."),
        "urgent_line_number": Asked("Urgent advice: its number", "May stay empty.", "tel"),
    },
    "The e-mails": {
        "send_at": Asked(
            "Hour to write at", "On the clinic's clock. Holds for treatments registered from now on.", "time"
        ),
        "daily_cap": Asked("Most e-mails a day", "Empty: no limit. What is over it goes out the next day."),
        "wash_advice": Asked(
            "Your own advice on washing", "Whole sentences, or nothing. A clinician should agree to them."
        ),
        "check_in": Asked("Clients may answer questions through a link (check-in)", "", "tick"),
    },
}
_ALWAYS = ("name", "language", "timezone", "send_at")
FORM_FIELDS = tuple(name for fields in CLINIC_FORM.values() for name in fields)


def _overview(visit: Visit) -> Answer:
    role = visit.staff.role
    said: dict[str, Any] = {"done": _DONE.get(visit.query.get("done", ""), "")}
    said["installation"] = installation(visit, whole=role in (Role.OWNER, Role.OPS))
    said["lacking"] = lacking(visit) if role == Role.OWNER else None
    said["sees_figures"] = role in RIGHTS["GET /figures"]
    return Page("settings.html", said)


def lacking(visit: Visit) -> list[tuple[str, str]]:
    """What live mode still needs: a sentence, and the page where it is mended ("": where the program is installed)."""
    labels = {name: asked.label for fields in CLINIC_FORM.values() for name, asked in fields.items()}
    found = [(f"Not set yet: {labels[name]}", f"/settings/clinic#{name}") for name in visit.clinic.missing]
    with visit.store.read() as connection:
        people = staff.people(connection, visit.clinic.id, visit.now)
        unapproved = words.unapproved(connection, visit.service.catalogue, visit.clinic)
    if not any(one["role"] == Role.CLINICIAN and one["disabled_at"] is None for one in people):
        found.append(("There is no clinician who could approve the words.", "/settings/staff"))
    if unapproved:
        number = "1 text in use is" if len(unapproved) == 1 else f"{len(unapproved)} texts in use are"
        found.append((f"{number} not approved by a clinician.", "/texts"))
    if visit.service.settings.relay_host is None:
        found.append(("No mail relay is set: every e-mail stays on this machine.", ""))
    return found


def _clinic(visit: Visit) -> Answer:
    return _shown(visit, stored_fields(visit.clinic), [])


def seen_of(stored: Mapping[str, str]) -> str:
    """What a form was filled from: a short digest of each field, in the order of the form."""
    return ".".join(hashlib.sha256(stored[name].encode()).hexdigest()[:12] for name in FORM_FIELDS)


def _differing(seen: str, values: Mapping[str, str]) -> list[str]:
    """The fields that hold something else than what the form was filled from; all of them if nobody can tell."""
    before, now = seen.split("."), seen_of(values).split(".")
    if len(before) != len(now):
        return list(FORM_FIELDS)
    return [name for name, was, is_now in zip(FORM_FIELDS, before, now, strict=True) if was != is_now]


def stored_fields(clinic: Clinic) -> dict[str, str]:
    """The clinic's fields as they stand in the form."""
    return {name: _typed(getattr(clinic, name)) for name in FORM_FIELDS}


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)


def _shown(visit: Visit, values: Mapping[str, str], errors: list[tuple[str, str]], seen: str | None = None) -> Page:
    """seen: what the form was filled from when it was first shown; None: from what is stored now."""
    languages = sorted({*visit.service.catalogue.frames.languages, visit.clinic.language})
    said: dict[str, Any] = {"form": CLINIC_FORM, "values": values, "errors": errors, "error": beside(errors)}
    said |= {"languages": [(tag, own_name(tag)) for tag in languages], "zones": sorted(available_timezones())}
    said |= {"seen": seen_of(stored_fields(visit.clinic)) if seen is None else seen, "stale": []}
    return Page("settings_clinic.html", said, 400 if errors else 200)


def _stale(visit: Visit, typed: Mapping[str, str], clinic: Clinic) -> Page:
    """Somebody else was quicker. What was typed stays; a field that was left alone shows what is stored now."""
    seen, stored = visit.form["seen"], stored_fields(clinic)
    own = {name: typed[name] for name in _differing(seen, {**stored, **typed}) if name in typed}
    page = _shown(replace(visit, clinic=clinic), {**stored, **own}, [])
    labels = {name: asked.label for fields in CLINIC_FORM.values() for name, asked in fields.items()}
    words = {"on": "yes", "off": "no", "": "nothing"}
    changed = [(labels[name], words.get(stored[name], stored[name])) for name in _differing(seen, stored)]
    return page._replace(said={**page.said, "stale": changed}, status=409)


def _save(visit: Visit) -> Answer:
    """Every field is checked, so that all that is wrong is said at once; what is not in the form stays as it is."""
    typed = {name: visit.form[name].strip() for name in FORM_FIELDS if name in visit.form}
    typed["check_in"] = "on" if visit.form["check_in"] else "off"
    stored = stored_fields(visit.clinic)
    given = {name: raw for name, raw in typed.items() if raw != stored[name]}
    errors = _errors(given, live=visit.service.settings.live)
    if not errors and given:
        try:
            with visit.store.write() as connection:
                clinic = clinics.get(connection, visit.clinic.id, lock=True)
                if visit.form["seen"] != seen_of(stored_fields(clinic)):
                    return _stale(visit, typed, clinic)
                clinic_setup.change_clinic(connection, clinic, given, visit.who)
        except BadInput as error:
            errors = [(error.field or "name", sentence(error))]
    # Still the old `seen`: a mistake in one field must not hide what somebody changed in another.
    return _shown(visit, stored | typed, errors, visit.form["seen"]) if errors else Go("/settings?done=clinic")


def _errors(given: Mapping[str, str], *, live: bool) -> list[tuple[str, str]]:
    errors = []
    for name, raw in given.items():
        if not raw and (name in _ALWAYS or (live and name in NEEDED)):
            why = "Real clients are written to: this" if live else "This"
            errors.append((name, f"{why} cannot be empty."))
            continue
        try:
            clinic_setup.checked({name: raw})
        except BadInput as error:
            errors.append((name, sentence(error)))
    return errors


ROUTES = (
    Route("GET", "/settings", _overview),
    Route("GET", "/settings/clinic", _clinic),
    Route("POST", "/settings/clinic", _save),
)
