"""The form for one step of a protocol: its day, hour and window at this clinic, beside what the protocol says."""

from __future__ import annotations

from collections.abc import Mapping

from service.actions.correcting import Stale
from service.actions.own_steps import FIELDS, as_typed, change_step, fingerprint, own_step, read_step
from service.domain.own_steps import OwnStep, days_allowed
from service.domain.protocol import FollowUpProtocol, Step
from service.errors import BadInput
from service.store import clinics
from service.store.clinics import Clinic
from service.web.desk.forms import beside, sentence
from service.web.desk.visit import Answer, Go, Page, Route, Visit

LABELS = {
    "day": "Day",
    "send_at": "Goes out at",
    "useful_until_day": "Right until: day",
    "useful_until_at": "Right until: hour",
}
_LIST = "/settings/protocols"
About = tuple[FollowUpProtocol, Step]


def _named(visit: Visit, names: Mapping[str, str]) -> About | None:
    """The step that a query or a form names; None if there is none."""
    protocol = visit.service.catalogue.protocols.get(names.get("protocol", ""))
    step = protocol.step(names.get("step", "")) if protocol else None
    return (protocol, step) if protocol and step else None


def _form(visit: Visit) -> Answer:
    """The step that is named; the first of all if none is."""
    first = next(iter(visit.service.catalogue.protocols.values()), None)
    about = (first, first.steps[0]) if first and "protocol" not in visit.query else _named(visit, visit.query)
    if about is None:
        return Go(_LIST)
    protocol, step = about
    return _page(visit, about, as_typed(own_step(visit.clinic, protocol, step.key)), [])


def _page(
    visit: Visit, about: About, typed: Mapping[str, str], errors: list[tuple[str, str]], stale: Clinic | None = None
) -> Page:
    """stale: somebody else was quicker; the clinic as it is now stands beside what was typed."""
    protocol, step = about
    stored = own_step(stale or visit.clinic, protocol, step.key)
    now = as_typed(stored)
    said = {
        "protocol": protocol,
        "step": step,
        "typed": typed,
        "errors": errors,
        "error": beside(errors),
        "labels": LABELS,
        "stale": [(LABELS[name], now[name]) for name in FIELDS if now[name] != typed[name]] * (stale is not None),
        "seen": fingerprint(stored),
        "days": days_allowed(protocol, step),
        "is_set": stored != OwnStep(protocol.key, step.key),
    }
    return Page("settings_step.html", said, 409 if stale else 400 if errors else 200)


def _save(visit: Visit) -> Answer:
    """Every field is read, so that all that is wrong is said at once; "reset" gives the step back to the protocol."""
    about = _named(visit, {name: visit.form[name] for name in ("protocol", "step")})
    if about is None:
        return Go(_LIST)
    protocol, step = about
    typed = {name: visit.form[name].strip() for name in FIELDS}
    wanted = {} if visit.form["reset"] else typed
    errors = _errors(protocol, step, wanted)
    if errors:
        return _page(visit, about, typed, errors)
    try:
        given = (read_step(protocol, step.key, wanted), visit.form["seen"])
        with visit.store.write() as connection:
            changed = change_step(connection, visit.clinic, protocol, given, visit.who)
    except Stale:
        with visit.store.read() as connection:
            return _page(visit, about, typed, [], clinics.get(connection, visit.clinic.id))
    except BadInput as error:
        field = error.field if error.field in FIELDS else None
        return _page(visit, about, typed, [(field or "day", sentence(error))])
    done = "same" if changed.own_steps == visit.clinic.own_steps else "step"
    return Go(f"{_LIST}?done={done}")


def _errors(protocol: FollowUpProtocol, step: Step, wanted: Mapping[str, str]) -> list[tuple[str, str]]:
    errors = []
    for name, raw in wanted.items():
        try:
            read_step(protocol, step.key, {name: raw})
        except BadInput as error:
            errors.append((name, sentence(error)))
    return errors


ROUTES = (Route("GET", f"{_LIST}/step", _form), Route("POST", f"{_LIST}/step", _save))
