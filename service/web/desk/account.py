"""One's own account: another password, open sessions, the second factor. Nobody can do these for somebody else here."""

from __future__ import annotations

from typing import Any

from service.actions import second_factor, staffing
from service.actions.second_factor import USE, Begun, Confirming
from service.actions.sign_in import Signed
from service.errors import BadInput, NotAllowed
from service.store import staff
from service.web.desk.forms import beside, sentence
from service.web.desk.qr import picture
from service.web.desk.visit import Answer, Go, Page, Route, Visit

_DONE = {
    "password": "Your password is changed. You were signed out everywhere else.",
    "ended": "That session has ended.",
    "code": "Your second factor is set up. From now on you are asked for a code after your password.",
    "removed": "Your second factor is removed.",
}
#: So much of a session's digest tells one's own sessions apart.
_SHORT = 16
#: So many one-time links that were used are shown.
LINKS = 5
Errors = list[tuple[str, str]]


def _account(visit: Visit) -> Answer:
    return _shown(visit)


def _shown(visit: Visit, errors: Errors = []) -> Page:  # noqa: B006 - never changed
    with visit.store.read() as connection:
        rows = staff.sessions_of(connection, visit.clinic.id, visit.staff.id, visit.now)
        used = staff.links_used(connection, visit.clinic.id, visit.staff.id, LINKS)
    sessions = [
        {
            "short": row["id"][:_SHORT],
            "made_at": row["made_at"],
            "until": row["until"],
            "own": row["id"] == visit.session,
        }
        for row in rows
        if row["complete"]
    ]
    done = "" if errors else _DONE.get(visit.query.get("done", ""), "")
    said = {"sessions": sessions, "links": used, "errors": errors, "error": beside(errors), "done": done}
    return Page("account.html", said, 400 if errors else 200)


def _me(visit: Visit) -> Signed:
    return Signed(visit.clinic.id, visit.staff.id, visit.session, visit.address, visit.now)


def _password(visit: Visit) -> Answer:
    form = visit.form
    if form["password"] != form["password_again"]:
        return _shown(visit, [("password_again", "The two new passwords are not the same. Type both again.")])
    try:
        staffing.change_password(visit.store, _me(visit), form["password_old"], form["password"])
    except (BadInput, NotAllowed) as error:
        return _shown(visit, [(error.field or "password_old", sentence(error))])
    return Go("/account?done=password")


def _end(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        staffing.end_own(connection, _me(visit), visit.form["session"], visit.staff.email)
    return Go("/account?done=ended")


def _code(visit: Visit) -> Answer:
    if visit.staff.has_code:
        return _with_code()
    return _without_code(visit, second_factor.show(_keys(visit), visit.staff.email, visit.session))


def _keys(visit: Visit) -> tuple[bytes, ...]:
    return visit.service.signer.keys(USE)


def _with_code(errors: Errors = []) -> Page:  # noqa: B006 - never changed
    said = {"begun": None, "errors": errors, "error": beside(errors)}
    return Page("account_code.html", said, 400 if errors else 200)


def _without_code(visit: Visit, begun: Begun, errors: Errors = []) -> Page:  # noqa: B006 - never changed
    groups = " ".join(begun.secret[start : start + 4] for start in range(0, len(begun.secret), 4))
    said: dict[str, Any] = {"begun": begun, "groups": groups, "must": visit.clinic.asks_code}
    said["picture"] = picture(begun.uri, "Picture for the camera of your authenticator app")
    return Page("account_code.html", {**said, "errors": errors, "error": beside(errors)}, 400 if errors else 200)


def _confirm(visit: Visit) -> Answer:
    keys, form = _keys(visit), visit.form
    given = Confirming(form["sealed"], form["code"], form["password"])
    try:
        second_factor.confirm(visit.store, keys, _me(visit), given)
    except BadInput as error:
        again = second_factor.show_again(keys, visit.staff.email, visit.session, given.sealed)
        return _without_code(visit, again, [(error.field or "code", sentence(error))])
    return Go("/account?done=code")


def _remove(visit: Visit) -> Answer:
    try:
        second_factor.remove_own(visit.store, _me(visit), visit.form["password"])
    except BadInput as error:
        return _with_code([("password", sentence(error))])
    return Go("/account?done=removed")


ROUTES = (
    Route("GET", "/account", _account),
    Route("POST", "/account/password", _password),
    Route("POST", "/account/sessions/end", _end),
    Route("GET", "/account/code", _code),
    Route("POST", "/account/code", _confirm),
    Route("POST", "/account/code/remove", _remove),
)
