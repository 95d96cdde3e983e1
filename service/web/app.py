"""Builds the web application from its parts: health routes and, in trial mode, the inbox of the mail catcher.

No route answers GET by changing something; there is no script on any page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.clock import Clock, wall_clock
from service.errors import NotFound
from service.web.client_check_in import check_in_routes
from service.web.client_pages import ClientParts, client_routes
from service.web.client_today import today_routes
from service.web.desk.pages import desk_routes
from service.web.inbox import inbox_routes
from service.web.limits import PublicDoor
from service.web.ops import Read, metrics_routes
from service.web.security import LOOPBACK_HOSTS, Secured
from service.web.static_files import static_files
from service.wiring import Service

READ = ["GET", "HEAD"]
_HERE = Path(__file__).parent
_PROBLEMS = {
    404: ("There is no such page", "The address may be mistyped, or what it showed is no longer there."),
    405: ("That cannot be done here", "This page can only be read."),
}


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the pages stand on.

    maildir: of the catcher, None in live mode: no inbox then. is_ready: ready, and in words why not (no personal
    data). live_check: the process can do its work at all. hosts: names a browser may use for this server. read: opens
    a reading transaction for /metrics, None: no such page. clock: business time. clients: what the pages behind
    clients' links stand on, None: no such pages. desk: what the staff's pages stand on, None: no such pages.
    """

    maildir: Path | None
    is_ready: Callable[[], tuple[bool, str]]
    live_check: Callable[[], bool]
    hosts: Collection[str] = LOOPBACK_HOSTS
    read: Read | None = None
    clock: Clock = wall_clock
    clients: ClientParts | None = None
    desk: Service | None = None


def load_pages() -> Environment:
    """The page templates: escaped always, and a name without a value is an error."""
    return Environment(loader=FileSystemLoader(_HERE / "pages"), autoescape=True, undefined=StrictUndefined)


def create_app(parts: WebParts) -> FastAPI:
    """The application. Calling it twice makes two that share nothing."""
    app = FastAPI(title="Aftercare", docs_url=None, redoc_url=None, openapi_url=None)
    if parts.clients is not None:
        app.add_middleware(PublicDoor)
    app.add_middleware(Secured, hosts=parts.hosts)
    pages = load_pages()
    _add_health(app, parts)
    if parts.read is not None:
        app.include_router(metrics_routes(parts.read, parts.clock))
    _add_problems(app, pages, has_start=parts.maildir is not None)
    if parts.clients is not None:
        app.include_router(client_routes(parts.clients, pages))
        if parts.clients.shelf is not None:
            app.include_router(today_routes(parts.clients, parts.clients.shelf, pages))
            app.include_router(check_in_routes(parts.clients, parts.clients.shelf.catalogue, pages))
    app.mount("/static", static_files(), name="static")
    if parts.maildir is not None:
        app.include_router(inbox_routes(parts.maildir, pages))
    if parts.desk is not None:
        for router in desk_routes(parts.desk, pages):
            app.include_router(router)
    elif parts.maildir is not None:

        @app.api_route("/", methods=READ)
        def front() -> RedirectResponse:
            return RedirectResponse("/inbox", status_code=303)

    return app


def _add_health(app: FastAPI, parts: WebParts) -> None:
    @app.api_route("/healthz", methods=READ)
    def live() -> JSONResponse:
        alive = parts.live_check()
        return JSONResponse({"live": alive}, 200 if alive else 503)

    @app.api_route("/readyz", methods=READ)
    def ready() -> JSONResponse:
        is_ready, why = parts.is_ready()
        return JSONResponse({"ready": is_ready, "message": why}, 200 if is_ready else 503)


def _add_problems(app: FastAPI, pages: Environment, *, has_start: bool) -> None:
    """Pages for what is not there; the sentences never repeat what was asked for."""

    def page(status: int, headers: dict[str, str] | None = None) -> Response:
        title, sentence = _PROBLEMS.get(status, ("That did not work", "The request could not be understood."))
        words = pages.get_template("problem.html").render(title=title, sentence=sentence, has_start=has_start)
        return HTMLResponse(words, status, headers)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        return page(error.status_code, dict(error.headers or {}))

    @app.exception_handler(NotFound)
    def not_found(_: Request, _error: NotFound) -> Response:
        return page(404)
