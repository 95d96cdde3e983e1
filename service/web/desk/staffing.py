"""Who works here: adding, one-time links, roles, sessions, leaving and coming back, and whether all need a code."""

from __future__ import annotations

from typing import Any

from service.actions import clinic_setup, second_factor, sign_in, staffing
from service.errors import BadInput
from service.store import clinics, staff
from service.store.tables import Role
from service.web.desk.forms import beside, sentence
from service.web.desk.one_link import new_nonce, shown_link, token_of, was_made
from service.web.desk.visit import Answer, Go, Page, Route, Visit

_DONE = {
    "role": "The role is changed, from their next click on.",
    "ended": "They are signed out everywhere.",
    "code": "Their second factor is removed. They can set up a new one after signing in.",
    "disabled": "They cannot sign in any more, and are signed out everywhere.",
    "enabled": "They may sign in again. Make a link for them: the old password is forgotten.",
    "asked": "Saved. Whoever has no second factor yet sets it up at the next click.",
    "not-asked": "Saved. A second factor is everybody's own choice.",
}
ROLES = (
    (Role.RECEPTION, "Reception: clients, calls, e-mails"),
    (Role.CLINICIAN, "Clinician: also approves the words"),
    (Role.OWNER, "Owner: also settings, staff and the audit"),
    (Role.OPS, "Ops: looks after the machine, sees no client"),
)


def _list(visit: Visit) -> Answer:
    return _shown(visit)


def _shown(visit: Visit, errors: list[tuple[str, str]] | None = None, link: dict[str, Any] | None = None) -> Page:
    with visit.store.read() as connection:
        people = staff.people(connection, visit.clinic.id, visit.now)
    done = "" if errors or link else _DONE.get(visit.query.get("done", ""), "")
    said = {
        "people": people,
        "roles": ROLES,
        "typed": beside(visit.form.typed().items() if errors else ()),
        "link": link,
        "nonce": new_nonce(),
        "done": done,
    }
    return Page(
        "settings_staff.html", {**said, "errors": errors, "error": beside(errors or [])}, 400 if errors else 200
    )


def _add(visit: Visit) -> Answer:
    given = {name: visit.form[name].strip() for name in ("email", "name", "role")}
    token = token_of(visit, f"new {given['email']}")
    try:
        with visit.store.write() as connection:
            clinics.get(connection, visit.clinic.id, lock=True)  # a second press waits here for the first
            if not was_made(connection, visit, token):
                clinic_setup.invite(connection, visit.clinic, given, visit.who, token)
            link = shown_link(connection, visit, token)
    except BadInput as error:
        return _shown(visit, [(error.field or "email", sentence(error))])
    return _shown(visit, link=link)


def _make_link(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        person = staff.get(connection, visit.clinic.id, visit.id("staff_id"), lock=True)
        token = token_of(visit, f"of {person['id']}")
        if not was_made(connection, visit, token):
            sign_in.make_link(connection, visit.clinic.id, person["id"], visit.who, token)
        link = shown_link(connection, visit, token)
    return _shown(visit, link=link)


def _role(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        staffing.change_role(connection, visit.clinic, visit.id("staff_id"), visit.form["role"], visit.who)
    return Go("/settings/staff?done=role")


def _end(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        staffing.end_sessions(connection, visit.clinic, visit.id("staff_id"), visit.who)
    return Go("/settings/staff?done=ended")


def _remove_code(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        second_factor.remove_for(connection, visit.clinic, visit.id("staff_id"), visit.who)
    return Go("/settings/staff?done=code")


def _disable(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        staffing.disable_staff(connection, visit.clinic, visit.id("staff_id"), visit.who)
    return Go("/settings/staff?done=disabled")


def _enable(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        staffing.enable_staff(connection, visit.clinic, visit.id("staff_id"), visit.who)
    return Go("/settings/staff?done=enabled")


def _ask_code(visit: Visit) -> Answer:
    asked = "on" if visit.form["asks_code"] else "off"
    with visit.store.write() as connection:
        clinic_setup.change_clinic(connection, visit.clinic, {"asks_code": asked}, visit.who)
    return Go(f"/settings/staff?done={'asked' if asked == 'on' else 'not-asked'}")


ROUTES = (
    Route("GET", "/settings/staff", _list),
    Route("POST", "/settings/staff", _add),
    Route("POST", "/settings/staff/code", _ask_code),
    Route("POST", "/settings/staff/{staff_id}/link", _make_link),
    Route("POST", "/settings/staff/{staff_id}/role", _role),
    Route("POST", "/settings/staff/{staff_id}/sessions/end", _end),
    Route("POST", "/settings/staff/{staff_id}/code/remove", _remove_code),
    Route("POST", "/settings/staff/{staff_id}/disable", _disable),
    Route("POST", "/settings/staff/{staff_id}/enable", _enable),
)
