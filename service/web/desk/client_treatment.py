"""Correcting the day of a treatment, with the new plan before saving; and cancelling one, with a reason."""

from __future__ import annotations

from datetime import date
from typing import Any

from service.actions.register import NewTreatment, Planned
from service.actions.rehearse import rehearse_correction
from service.actions.revise import cancel_treatment, correct_treatment
from service.domain.protocol import FollowUpProtocol
from service.errors import BadInput, NotAllowed
from service.web.desk.client_acts import Act
from service.web.desk.people import living, opened, sentence, titles, treatment_of, with_reason
from service.web.desk.visit import Answer, Go, Page, Route, Visit
from service.web.desk.words import day

_CANCEL = Act(
    "Cancel this treatment?",
    (
        "Use this if the treatment was registered by mistake or never took place.",
        "Its e-mails that are still to come are called off.",
        "If it had taken over from an older treatment, what is still right of that one goes out again.",
    ),
    ("registered by mistake", "registered twice", "did not take place"),
    "Cancel the treatment",
    "cancelled",
    lambda *_: None,
)


def _found(visit: Visit) -> tuple[Any, Any, FollowUpProtocol]:
    """Client, treatment and its protocol. Raises NotFound, or NotAllowed if nothing can be done about it."""
    client = opened(visit)
    treatment = treatment_of(visit, client)
    living(client)
    protocol = visit.service.catalogue.protocols.get(treatment["protocol"])
    if protocol is None:
        raise NotAllowed("This kind of treatment is not offered any more", next_step="Ask whoever runs this program.")
    return client, treatment, protocol


def _form(visit: Visit) -> Answer:
    """The day, and once another one is chosen, the plan that would follow."""
    client, treatment, protocol = _found(visit)
    _still_there(treatment)
    typed = visit.query.get("on", "")
    plan, error = None, ""
    if typed and typed != treatment["treated_on"].isoformat():
        try:
            given = _given(client, treatment, protocol, typed)
            plan = rehearse_correction(visit.store, visit.clinic, treatment["id"], given, visit.who)
        except BadInput as problem:
            error = sentence(problem)
    return _page(visit, (client, treatment), typed or treatment["treated_on"].isoformat(), (plan, error))


def _page(visit: Visit, about: tuple[Any, Any], typed: str, found: tuple[Planned | None, str], stale: str = "") -> Page:
    (client, treatment), (plan, error) = about, found
    said = {
        "client": client,
        "treatment": treatment,
        "title": titles(visit).get(treatment["protocol"], treatment["protocol"]),
        "typed": typed,
        "plan": plan,
        "error": error,
        "stale": stale,
        "today": visit.now.astimezone(visit.clinic.zone).date().isoformat(),
    }
    template = "treatment_plan.html" if visit.fragment else "treatment_correct.html"
    return Page(template, said, 409 if stale else 400 if error and not visit.fragment else 200)


def _still_there(treatment: Any) -> None:
    if treatment["cancelled_at"] is not None:
        raise NotAllowed("This treatment is cancelled already", next_step="Register it again if it took place.")


def _given(client: Any, treatment: Any, protocol: FollowUpProtocol, typed: str) -> NewTreatment:
    try:
        on = date.fromisoformat(typed)
    except ValueError as error:
        raise BadInput("That is not a day", field="on", next_step="Choose the day of the treatment.") from error
    return NewTreatment(client["id"], protocol, on, treatment["treated_at"])


def _correct(visit: Visit) -> Answer:
    client, treatment, protocol = _found(visit)
    _still_there(treatment)
    typed, seen, stored = visit.form["on"], visit.form["seen"], treatment["treated_on"].isoformat()
    back = f"/clients/{client['id']}?done="
    if typed == stored:
        return Go(f"{back}moved" if seen != stored else f"{back}same")
    try:
        given = _given(client, treatment, protocol, typed)
        if seen != stored:
            plan = rehearse_correction(visit.store, visit.clinic, treatment["id"], given, visit.who)
            changed = f"Somebody else has changed it meanwhile: it is {day(visit, treatment['treated_on'])} now."
            return _page(visit, (client, treatment), typed, (plan, ""), changed)
        with visit.store.write() as connection:
            correct_treatment(connection, visit.clinic, treatment["id"], given, visit.who)
    except BadInput as error:
        return _page(visit, (client, treatment), typed, (None, sentence(error)))
    return Go(f"{back}moved")


def _ask_cancel(visit: Visit) -> Answer:
    client, treatment, _ = _found(visit)
    _still_there(treatment)
    return _cancel_page(visit, client, treatment, "")


def _cancel_page(visit: Visit, client: Any, treatment: Any, error: str) -> Page:
    here = f"/clients/{client['id']}"
    title = titles(visit).get(treatment["protocol"], treatment["protocol"])
    said = {
        "client": client,
        "act": _CANCEL,
        "about": f"{title}, {day(visit, treatment['treated_on'])}",
        "typed": visit.form["reason"],
        "error": error,
        "action": f"{here}/treatments/{treatment['id']}/cancel",
        "back": here,
    }
    return Page("client_act.html", said, 400 if error else 200)


def _cancel(visit: Visit) -> Answer:
    client, treatment, protocol = _found(visit)
    if treatment["cancelled_at"] is None:
        try:
            who = with_reason(visit, client)
        except BadInput as error:
            return _cancel_page(visit, client, treatment, sentence(error))
        with visit.store.write() as connection:
            cancel_treatment(connection, visit.clinic, treatment["id"], protocol, who)
    return Go(f"/clients/{client['id']}?done=cancelled")


_PATH = "/clients/{client_id}/treatments/{treatment_id}"
ROUTES = (
    Route("GET", f"{_PATH}/correct", _form),
    Route("POST", f"{_PATH}/correct", _correct),
    Route("GET", f"{_PATH}/cancel", _ask_cancel),
    Route("POST", f"{_PATH}/cancel", _cancel),
)
