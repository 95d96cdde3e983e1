"""Signing in and out, and the one-time link to choose a password. Open to anybody, so it says nothing about anybody."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.actions import sign_in
from service.actions.sign_in import Session, Typed
from service.errors import AftercareError, BadInput, NotAllowed
from service.store import staff
from service.web.desk.door import HEADERS, Door, csrf_of, is_from_here, safe_path
from service.web.desk.forms import Form, Refused, read_form
from service.web.desk.visit import Answer, Go, Route, Visit

_WRONG = "The address or the password is not right."
#: Fields of the sign-in form itself; whatever else it holds was typed before and comes back.
_OWN = ("email", "password", "then")


def sign_in_routes(door: Door) -> APIRouter:
    """/login, and /welcome/{token} behind a one-time link."""
    routes = APIRouter()

    @routes.api_route("/login", methods=["GET", "HEAD"], response_model=None)
    def asks(then: str = "/") -> Response:
        return _page(door, {"then": safe_path(then)})

    @routes.api_route("/login", methods=["POST"], response_model=None)
    async def signs_in(request: Request) -> Response:
        return await _posted(door, request, _sign_in)

    @routes.api_route("/welcome/{token}", methods=["GET", "HEAD"], response_model=None)
    def welcomes(token: str) -> Response:
        with door.service.store.read() as connection:
            person = staff.open_link(connection, sign_in.digest(token), door.service.now())
        if person is None:
            return _no_link(door)
        return _welcome(door, person["email"])

    @routes.api_route("/welcome/{token}", methods=["POST"], response_model=None)
    async def chooses(request: Request, token: str) -> Response:
        del token  # it is in the request's path
        return await _posted(door, request, _choose)

    return routes


async def _posted(door: Door, request: Request, act: Any) -> Response:
    try:
        form = await read_form(request)
    except Refused as refused:
        return door.problem(refused.status, "That did not work", "The form could not be read.")
    if not is_from_here(request):
        return door.problem(403, "Please try once more", "The request came from somewhere else.")
    response: Response = await run_in_threadpool(_said, door, request, form, act)
    return response


def _said(door: Door, request: Request, form: Form, act: Any) -> Response:
    try:
        response: Response = act(door, request, form)
    except AftercareError as error:
        return door.problem(503, "That is not possible at the moment", error.message, error.next_step or "")
    return response


def _sign_in(door: Door, request: Request, form: Form) -> Response:
    now = door.service.now()
    typed = Typed(form["email"], form["password"], request.client.host if request.client else "")
    try:
        made = sign_in.sign_in(door.service.store, typed, now)
    except NotAllowed as error:
        return _page(door, _again(form, f"{error.message.capitalize()}. {error.next_step}"), 429)
    if made is None:
        return _page(door, _again(form, _WRONG), 401)
    return _begun(door, request, made, form)


def _again(form: Form, problem: str) -> dict[str, Any]:
    kept = [(name, value) for name, value in form.pairs if name not in _OWN]
    return {"then": safe_path(form["then"]), "email": form["email"], "problem": problem, "kept": kept}


def _begun(door: Door, request: Request, made: Session, form: Form) -> Response:
    """Signed in: on to the page that was asked for, or back to what was typed before the session ended."""
    then = safe_path(form["then"]) if form["then"] else "/"
    kept = [(name, value) for name, value in form.pairs if name not in _OWN]
    response: Response
    if not made.complete:
        said = {"then": then, "kept": kept, "problem": ""}
        response = door.html("desk/sign_in_code.html", said)
    elif kept:
        response = door.html("desk/kept.html", {"then": then, "kept": kept, "csrf": csrf_of(made.token)})
    else:
        response = RedirectResponse(then, 303, HEADERS)
    door.cookie.set(request, response, made.token, door.service.now())
    return response


def _choose(door: Door, request: Request, form: Form) -> Response:
    token = str(request.path_params["token"])
    if form["password"] != form["again"]:
        return _welcome(door, form["email"], "The two passwords are not the same.")
    try:
        made = sign_in.choose_password(door.service.store, token, form["password"], door.service.now())
    except BadInput as error:
        return _welcome(door, form["email"], f"{error.message.capitalize()}.", error.next_step or "")
    return _no_link(door) if made is None else _begun(door, request, made, Form())


def _welcome(door: Door, email: str, problem: str = "", next_step: str = "") -> Response:
    said = {"problem": problem, "next_step": next_step, "email": email}
    return door.html("desk/welcome.html", said, 400 if problem else 200)


def _page(door: Door, said: dict[str, Any], status: int = 200) -> Response:
    return door.html("desk/sign_in.html", {"email": "", "problem": "", "kept": (), "ended": False} | said, status)


def _no_link(door: Door) -> Response:
    sentence = "It was used already, or it is too old."
    return door.problem(
        404, "This link does not open anything", sentence, "Ask the owner of your clinic for a new one."
    )


def _sign_out(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        row = staff.session(connection, visit.session, visit.now)
        if row is not None:
            sign_in.sign_out(connection, row, visit.now)
    return Go("/login")


ROUTES = (Route("POST", "/logout", _sign_out),)
