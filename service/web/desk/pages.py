"""The desk put together: all rows of all pages behind one door, and the way in."""

from __future__ import annotations

from fastapi import APIRouter
from jinja2 import Environment

from service.web.desk import (
    account,
    audit,
    calls,
    card,
    check_ins,
    client,
    client_acts,
    client_correct,
    client_email,
    client_pack,
    client_remarks,
    client_sent,
    client_treatment,
    clients,
    figures,
    importing,
    outages,
    outbox,
    own_steps,
    protocols,
    register,
    registered,
    settings,
    sign_in,
    staffing,
    start,
    texts,
    words,
)
from service.web.desk.door import Door
from service.web.desk.visit import Route
from service.wiring import Service

#: Every page of the desk. A new module of pages is one more name here, and its rows in rights.py.
_MODULES = (
    sign_in,
    start,
    register,
    registered,
    card,
    importing,
    calls,
    check_ins,
    outbox,
    outages,
    figures,
    texts,
    account,
    settings,
    protocols,
    own_steps,
    staffing,
    audit,
    clients,
    client,
    client_correct,
    client_acts,
    client_treatment,
    client_remarks,
    client_email,
    client_sent,
    client_pack,
)
ROUTES: tuple[Route, ...] = tuple(route for module in _MODULES for route in module.ROUTES)


def desk_routes(service: Service, pages: Environment) -> tuple[APIRouter, ...]:
    """The routers of the desk: the way in, open to anybody, and the pages behind the door."""
    words.install(pages)
    door = Door(service, pages)
    return sign_in.sign_in_routes(door), door.routes(ROUTES)
