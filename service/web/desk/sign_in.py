"""Signing in and out, the second factor, and the one-time link to choose a password.

Open to anybody, so it says nothing about anybody. What was typed before a session ended travels along, renamed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.actions import second_factor, sign_in
from service.actions.second_factor import Half
from service.actions.sign_in import Session, Typed
from service.errors import AftercareError, BadInput, NotAllowed
from service.store import staff
from service.web.desk.door import HEADERS, Door
from service.web.desk.forms import Form, Refused, read_form, sentence
from service.web.desk.keeping import NOT_YOURS
from service.web.desk.proof import address_of, csrf_of, is_from_here, is_typist, safe_path
from service.web.desk.visit import Answer, Go, Route, Visit

_WRONG = "The address or the password is not right."
_OVER = "That took too long. Please sign in again."
#: Before the names of fields that were typed into another form; that one may have an "email" too.
_KEPT = "kept:"
Act = Callable[[Door, Request, Form], Response]


def sign_in_routes(door: Door) -> APIRouter:
    """/login, and /welcome/{token} behind a one-time link."""
    routes = APIRouter()

    @routes.api_route("/login", methods=["GET", "HEAD"], response_model=None)
    def asks(then: str = "/") -> Response:
        return _page(door, {"then": safe_path(then)})

    @routes.api_route("/login", methods=["POST"], response_model=None)
    async def signs_in(request: Request) -> Response:
        return await _posted(door, request, _sign_in)

    @routes.api_route("/login/code", methods=["GET", "HEAD"], response_model=None)
    def asks_code(request: Request) -> Response:
        return _said(door, request, Form(), _ask_code)

    @routes.api_route("/login/code", methods=["POST"], response_model=None)
    async def takes_code(request: Request) -> Response:
        return await _posted(door, request, _give_code)

    @routes.api_route("/welcome/{token}", methods=["GET", "HEAD"], response_model=None)
    def welcomes(request: Request, token: str) -> Response:
        del token  # it is in the request's path
        return _said(door, request, Form(), _greet)

    @routes.api_route("/welcome/{token}", methods=["POST"], response_model=None)
    async def chooses(request: Request, token: str) -> Response:
        del token  # it is in the request's path
        return await _posted(door, request, _choose)

    return routes


async def _posted(door: Door, request: Request, act: Act) -> Response:
    try:
        form = await read_form(request)
    except Refused as refused:
        return door.problem(refused.status, "That did not work", "The form could not be read.")
    if not is_from_here(request):
        return door.problem(403, "Please try once more", "The request came from somewhere else.")
    response: Response = await run_in_threadpool(_said, door, request, form, act)
    return response


def _said(door: Door, request: Request, form: Form, act: Act) -> Response:
    try:
        return act(door, request, form)
    except AftercareError as error:
        return door.problem(503, "That is not possible at the moment", error.message, error.next_step or "")


def _sign_in(door: Door, request: Request, form: Form) -> Response:
    now = door.service.now()
    typed = Typed(form["email"], form["password"], address_of(request))
    try:
        made = sign_in.sign_in(door.service.store, typed, now)
    except NotAllowed as error:
        return _page(door, _again(form, sentence(error)), 429)
    if made is None:
        return _page(door, _again(form, _WRONG), 401)
    return _begun(door, request, made, form)


def _ask_code(door: Door, request: Request, _form: Form) -> Response:
    arrived = door.arrive(request)
    if not arrived.half:
        return RedirectResponse("/" if arrived.visit else "/login", 303, HEADERS)
    then = safe_path(request.query_params.get("then", "/"))
    return door.html("desk/sign_in_code.html", {"then": then, "kept": (), "typist": "", "problem": ""})


def _give_code(door: Door, request: Request, form: Form) -> Response:
    now = door.service.now()
    token = door.cookie.token(request, now)
    half = Half(sign_in.digest(token or ""), form["code"], address_of(request))
    try:
        made = second_factor.give(door.service.store, door.service.signer.keys(second_factor.USE), half, now)
    except (BadInput, NotAllowed) as error:
        status = 401 if isinstance(error, BadInput) else 429
        return door.html("desk/sign_in_code.html", _again(form, sentence(error)), status)
    if made is None:
        return _page(door, _again(form, _OVER), 401)
    return _begun(door, request, made, form)


def _again(form: Form, problem: str) -> dict[str, Any]:
    back = {"then": safe_path(form["then"]), "kept": _kept(form), "typist": form["typist"]}
    return {**back, "email": form["email"], "problem": problem}


def _kept(form: Form) -> list[tuple[str, str]]:
    return [(name.removeprefix(_KEPT), value) for name, value in form.pairs if name.startswith(_KEPT)]


def _begun(door: Door, request: Request, made: Session, form: Form) -> Response:
    """Signed in: on to the page that was asked for, or back to what was typed before the session ended."""
    then = safe_path(form["then"]) if form["then"] else "/"
    kept, signer = _kept(form), door.service.signer
    response: Response
    if not made.complete:
        said = {"then": then, "kept": kept, "typist": form["typist"], "problem": ""}
        response = door.html("desk/sign_in_code.html", said)
    elif kept and not is_typist(signer, form["typist"], made.staff_id):
        response = door.problem(403, *NOT_YOURS)
    elif kept:
        csrf = csrf_of(signer, made.token, made.staff_id)
        response = door.html("desk/kept.html", {"then": then, "kept": kept, "csrf": csrf, "who": ""})
    else:
        response = RedirectResponse(then, 303, HEADERS)
    door.cookie.set(request, response, made.token, door.service.now())
    return response


def _greet(door: Door, request: Request, _form: Form) -> Response:
    token = sign_in.digest(str(request.path_params["token"]))
    with door.service.store.read() as connection:
        person = staff.open_link(connection, token, door.service.now())
    return _no_link(door) if person is None else _welcome(door, person["email"])


def _choose(door: Door, request: Request, form: Form) -> Response:
    token = str(request.path_params["token"])
    if form["password"] != form["again"]:
        return _welcome(door, form["email"], "The two passwords are not the same.")
    try:
        made = sign_in.choose_password(door.service.store, token, form["password"], door.service.now())
    except BadInput as error:
        return _welcome(door, form["email"], sentence(error))
    return _no_link(door) if made is None else _begun(door, request, made, Form())


def _welcome(door: Door, email: str, problem: str = "") -> Response:
    said = {"problem": problem, "email": email}
    return door.html("desk/welcome.html", said, 400 if problem else 200)


def _page(door: Door, said: dict[str, Any], status: int = 200) -> Response:
    return door.html(
        "desk/sign_in.html", {"email": "", "problem": "", "kept": (), "typist": "", "ended": False} | said, status
    )


def _no_link(door: Door) -> Response:
    sentence = "It was used already, it is too old, or it belongs to another installation."
    return door.problem(
        404,
        "This link does not open anything",
        sentence,
        "Ask the owner of your clinic for a new one. Or on the machine itself: aftercare staff link EMAIL.",
    )


def _sign_out(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        row = staff.session(connection, visit.session, visit.now)
        if row is not None:
            sign_in.sign_out(connection, row, visit.now)
    return Go("/login", leaves=True)


ROUTES = (Route("POST", "/logout", _sign_out),)
