"""Who may ask from where: the desk from elsewhere only over https, what is ours alone only from this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from httpx2 import Client
from starlette.requests import Request
from starlette.testclient import TestClient

from service.web.app import WebParts, create_app
from service.web.client_door import ClientParts
from service.web.limits import PublicDoor
from service.web.security import LOOPBACK_HOSTS, Secured
from service.web.serving import Pages
from tests.support.processes import free_port, wait_for
from tests.support.world import World

PUBLIC = "desk.northgate.org"
STAFF = ("/", "/login", "/login/code", "/welcome/x", "/clients", "/clients/7", "/settings", "/api/v1/clients")
CLIENTS = ("/s/x", "/n/x", "/t/x", "/c/x", "/static/desk.css", "/healthz", "/readyz")
OURS = ("/inbox", "/inbox/a", "/metrics")


def page(request: Request) -> dict[str, str]:
    """How the request looks to a page."""
    client = request.client.host if request.client else ""
    return {"scheme": request.url.scheme, "client": client}


def app() -> FastAPI:
    made = FastAPI(openapi_url=None)
    made.add_middleware(PublicDoor)
    made.add_middleware(Secured, hosts=LOOPBACK_HOSTS | {PUBLIC})
    made.add_api_route("/{path:path}", page)
    return made


def opened(scheme: str, host: str, client: str, paths: Sequence[str]) -> set[bool]:
    with TestClient(app(), base_url=f"{scheme}://{host}", client=(client, 40000)) as http:
        return {http.get(path).status_code == 200 for path in paths}


@pytest.mark.parametrize(
    ("scheme", "host", "client", "staff", "ours"),
    [
        ("http", "127.0.0.1:8025", "127.0.0.1", True, True),
        ("http", "localhost", "127.0.0.1", True, True),
        ("http", "[::1]:8025", "::1", True, True),
        ("https", PUBLIC, "203.0.113.7", True, False),
        ("http", PUBLIC, "203.0.113.7", False, False),
        ("http", "127.0.0.1", "203.0.113.7", False, False),
        # A proxy that does not say for whom it asks still passes on its public name.
        ("https", PUBLIC, "127.0.0.1", True, False),
        ("http", PUBLIC, "127.0.0.1", False, False),
    ],
)
def test_where_from_and_how_decides_what_is_there(scheme: str, host: str, client: str, staff: bool, ours: bool) -> None:
    assert opened(scheme, host, client, STAFF) == {staff}
    assert opened(scheme, host, client, OURS) == {ours}
    assert opened(scheme, host, client, CLIENTS) == {True}


@pytest.mark.parametrize("name", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP"])
def test_a_proxy_that_hides_the_public_name_does_not_open_what_is_ours(name: str) -> None:
    with TestClient(app(), base_url="http://127.0.0.1:8025", client=("127.0.0.1", 40000)) as http:
        assert {http.get(path, headers={name: "203.0.113.7"}).status_code for path in OURS} == {404}
        assert {http.get(path).status_code for path in OURS} == {200}


def test_the_inbox_beside_the_desk_answers_this_machine_alone(world: World) -> None:
    service = world.service
    parts = WebParts(
        maildir=service.maildir,
        is_ready=lambda: (True, ""),
        live_check=lambda: True,
        hosts=LOOPBACK_HOSTS | {PUBLIC},
        clients=ClientParts(service.store, service.signer, service.now),
        desk=service,
    )
    made, found = create_app(parts), []
    for base, client in ((f"https://{PUBLIC}", "203.0.113.7"), ("http://127.0.0.1:8025", "127.0.0.1")):
        with TestClient(made, base_url=base, client=(client, 40000)) as http:
            found.append([http.get(path).status_code for path in ("/inbox", "/inbox/a", "/inbox/a/source", "/login")])
    assert found == [[404, 404, 404, 200], [200, 404, 404, 200]]


@contextmanager
def serving(*proxies: str) -> Iterator[Client]:
    """A real server that trusts these; we ask from 127.0.0.1."""
    port = free_port()
    server = Pages.on(app(), "127.0.0.1", port, *([list(proxies)] if proxies else []))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        wait_for(lambda: server.started, "the server")
        with Client(base_url=f"http://127.0.0.1:{port}") as http:
            yield http
    finally:
        server.should_exit = True
        thread.join()


SAID = {"Host": PUBLIC, "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


def test_the_proxy_on_this_machine_is_believed_as_long_as_no_other_is_named() -> None:
    with serving() as http:
        assert http.get("/clients", headers=SAID).json() == {"scheme": "https", "client": "203.0.113.7"}
        # What a client wrote stands before what the proxy added.
        spoofed = {**SAID, "X-Forwarded-For": "127.0.0.1, 203.0.113.7"}
        assert http.get("/clients", headers=spoofed).json()["client"] == "203.0.113.7"
        assert http.get("/metrics", headers=spoofed).status_code == 404


def test_nobody_else_is_believed_about_where_they_come_from() -> None:
    with serving("10.9.8.7", "10.9.9.0/24") as http:
        assert http.get("/clients", headers=SAID).status_code == 404  # said to be https, which nobody proves
        told = http.get("/clients", headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"})
        assert told.json() == {"scheme": "http", "client": "127.0.0.1"}
