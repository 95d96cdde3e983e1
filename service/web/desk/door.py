"""The one door of the desk: who is it, may they, did they mean it; then the page. Everything else is refused here.

A session that has ended in the middle of a form loses nothing, nor does one that began anew in another window: what
was typed comes back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter
from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.actions.sign_in import digest
from service.errors import AftercareError, BadInput, NotAllowed, NotFound, Unavailable
from service.store import calls, clinics, staff
from service.store.tables import Role
from service.web.desk.cookie import Cookie
from service.web.desk.forms import MOST_BODY, Form, Refused, read_form
from service.web.desk.keeping import NOT_YOURS, kept_of
from service.web.desk.proof import address_of, csrf_of, is_meant, is_typist, safe_path
from service.web.desk.rights import RIGHTS
from service.web.desk.visit import Answer, File, Frame, Go, Route, Staff, Visit
from service.web.security import FOREIGN_HTML_POLICY
from service.wiring import Service

POLICY = (
    "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# With no-referrer older browsers would not say that a form comes from a page of ours (Origin: null).
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
}
_TROUBLE: tuple[tuple[type[AftercareError], int, str], ...] = (
    (NotFound, 404, "There is no such page"),
    (NotAllowed, 409, "That cannot be done now"),
    (Unavailable, 503, "That is not possible at the moment"),
    (BadInput, 400, "That did not work"),
)
#: What somebody may do who must set up their second factor first.
_WITHOUT_CODE = ("/account/code", "/logout")
_PLAIN = {400: "The request could not be understood.", 413: "That is too much at once.", 415: "This is no form."}


@dataclass(frozen=True)
class Arrived:
    """A request as it stands before the door: who it is, if anybody."""

    visit: Visit | None
    half: bool = False
    """The password was right; the second factor is still to come."""


class Door:
    """Answers the desk's requests for one application."""

    def __init__(self, service: Service, pages: Environment) -> None:
        self.service = service
        self.pages = pages
        self.cookie = Cookie(service.signer)

    def routes(self, rows: Iterable[Route]) -> APIRouter:
        """The rows as routes of the framework. KeyError for a row without rights: nothing is open by accident."""
        router = APIRouter()
        for row in rows:
            methods = ["GET", "HEAD"] if row.method == "GET" else [row.method]
            roles = RIGHTS[f"{row.method} {row.path}"]
            router.add_api_route(row.path, self._endpoint(row, roles), methods=methods, response_model=None)
        return router

    def _endpoint(self, row: Route, roles: frozenset[Role]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            form = Form()
            if row.method == "POST":
                stranger = await run_in_threadpool(self._stranger, row, request) if row.most > MOST_BODY else None
                if stranger is not None:
                    return stranger
                try:
                    form = await read_form(request, row.most or MOST_BODY)
                except Refused as refused:
                    return self.problem(refused.status, "That did not work", _PLAIN[refused.status])
            return await run_in_threadpool(self._answer, row, roles, request, form)

        return answer

    def _stranger(self, row: Route, request: Request) -> Response | None:
        """The answer to somebody who is not signed in, before a long form is read; None for staff."""
        try:
            arrived = self.arrive(request)
        except Unavailable as error:
            return self._unavailable(error)
        return self._to_sign_in(row, request, Form(), arrived) if arrived.visit is None else None

    def _answer(self, row: Route, roles: frozenset[Role], request: Request, form: Form) -> Response:
        try:
            arrived = self.arrive(request)
            if arrived.visit is None:
                return self._to_sign_in(row, request, form, arrived)
            visit = replace(
                arrived.visit,
                path=request.url.path,
                args={name: str(value) for name, value in request.path_params.items()},
                query={name: value.replace("\0", "") for name, value in request.query_params.items()},
                form=form,
                fragment=_is_fragment(request),
            )
            response = self._let_in(row, roles, request, visit)
        except Unavailable as error:
            return self._unavailable(error)
        self.cookie.renew(request, response, visit.now)
        return response

    def arrive(self, request: Request) -> Arrived:
        """Who asks. The session is looked up, and with it the staff member and the clinic as they are now."""
        now = self.service.now()
        token = self.cookie.token(request, now)
        if token is None:
            return Arrived(None)
        with self.service.store.read() as connection:
            row = staff.session(connection, digest(token), now)
            if row is None:
                return Arrived(None)
            clinic = clinics.get(connection, row["clinic_id"])
        if not row["complete"]:
            return Arrived(None, half=True)
        has_code = row["code_secret"] is not None
        who = Staff(row["id"], row["name"], row["email"], Role(row["role"]), has_code)
        visit = Visit(self.service, clinic, who, now, row["session_id"], csrf_of(self.service.signer, token, row["id"]))
        return Arrived(replace(visit, address=address_of(request)))

    def _to_sign_in(self, row: Route, request: Request, form: Form, arrived: Arrived) -> Response:
        """To the sign-in page; what was typed into a form of ours goes along and comes back."""
        kept, fragment = kept_of(request, row, form), _is_fragment(request)
        if kept:
            said = {**kept, "email": "", "problem": "", "ended": not arrived.half}
            template = "desk/sign_in_code.html" if arrived.half else "desk/sign_in.html"
            return self._whole(template, said, 401, fragment=fragment)
        then = request.url.path if request.method in ("GET", "HEAD") else "/"
        if fragment:
            then = safe_path(urlsplit(request.headers.get("hx-current-url", "")).path)
        where = "/login/code" if arrived.half else "/login"
        path = where if then == "/" else f"{where}?{urlencode({'then': then})}"
        return _away(path, fragment=fragment)

    def _whole(self, template: str, said: Mapping[str, Any], status: int, *, fragment: bool) -> Response:
        """A whole page, also where a part of one was asked for."""
        page = self.html(template, said, status)
        if fragment:  # htmx shows only what went well
            page.status_code = 200
            page.headers.update({"HX-Retarget": "body", "HX-Reswap": "innerHTML"})
        return page

    def _too_old(self, row: Route, request: Request, visit: Visit) -> Response:
        """A form without this session's proof changes nothing; one of ours comes back with it, to be pressed again."""
        kept = kept_of(request, row, visit.form)
        if kept and not is_typist(self.service.signer, kept["typist"], visit.staff.id):
            return self.problem(403, *NOT_YOURS, visit=visit)
        if kept:
            said = {**kept, "csrf": visit.csrf, "who": visit.staff.name}
            return self._whole("desk/kept.html", said, 403, fragment=visit.fragment)
        sentence = "The page was too old, or the request came from somewhere else. Nothing was changed."
        return self.problem(403, "Please try once more", sentence, "Go back, load the page again.", visit=visit)

    def _let_in(self, row: Route, roles: frozenset[Role], request: Request, visit: Visit) -> Response:
        if visit.clinic.asks_code and not visit.staff.has_code and row.path not in _WITHOUT_CODE:
            return _away("/account/code", fragment=visit.fragment)
        if visit.staff.role not in roles:
            if row.path == "/" and row.method == "GET":
                return RedirectResponse("/settings", 303, HEADERS)
            return self.problem(403, "Your role does not open this page", "Ask the owner of your clinic.", visit=visit)
        if row.method == "POST" and not is_meant(request, visit.form, visit.csrf):
            return self._too_old(row, request, visit)
        try:
            return self._done(request, visit, row.handler(visit))
        except AftercareError as error:
            for kind, status, title in _TROUBLE:
                if isinstance(error, kind):
                    # What the command line would do helps nobody at the desk.
                    fix = "" if "`" in (error.next_step or "") else error.next_step or ""
                    return self.problem(status, title, error.message, fix, visit=visit)
            raise

    def _done(self, request: Request, visit: Visit, answer: Answer) -> Response:
        response = self.respond(visit, answer)
        if isinstance(answer, Go) and answer.leaves:
            self.cookie.clear(request, response)
        return response

    def respond(self, visit: Visit, answer: Answer) -> Response:
        if isinstance(answer, Go):
            return RedirectResponse(answer.path, 303, HEADERS)
        if isinstance(answer, Frame):
            return HTMLResponse(answer.html, 200, {**HEADERS, "Content-Security-Policy": FOREIGN_HTML_POLICY})
        if isinstance(answer, File):
            headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{answer.name}"'}
            return Response(answer.content, 200, headers, answer.kind)
        return self.html(f"desk/{answer.template}", {**self._around(visit), **answer.said}, answer.status)

    def _around(self, visit: Visit) -> dict[str, Any]:
        """What every page of the desk shows beside its own matter."""
        with visit.store.read() as connection:
            waiting = calls.count_open(connection, visit.clinic.id, visit.now)
        return {"visit": visit, "calls_open": waiting}

    def _unavailable(self, error: Unavailable) -> Response:
        return self.problem(503, "That is not possible at the moment", error.message, error.next_step or "")

    def problem(
        self, status: int, title: str, sentence: str, next_step: str = "", *, visit: Visit | None = None
    ) -> Response:
        said: dict[str, Any] = {"title": title, "sentence": sentence, "next_step": next_step}
        if visit is None or visit.fragment:
            return self.html("desk/problem_alone.html", said, status)
        return self.html("desk/problem.html", {**self._around(visit), **said}, status)

    def html(self, template: str, said: Mapping[str, Any], status: int = 200) -> Response:
        return HTMLResponse(self.pages.get_template(template).render(said), status, HEADERS)


def _away(path: str, *, fragment: bool) -> Response:
    """To another page; htmx is told so in words of its own, or it would put that page into a part of the one shown."""
    return Response("", 401, {**HEADERS, "HX-Redirect": path}) if fragment else RedirectResponse(path, 303, HEADERS)


def _is_fragment(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"
