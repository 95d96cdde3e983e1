"""Staff at the desk of a world: signed in, in process, at a time that the test sets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from service.actions import clinic_setup, sign_in
from service.actions.revise import Who
from service.store.clinics import Clinic
from service.store.tables import Role
from service.web.app import WebParts, create_app
from service.wiring import Service
from tests.support.world import World, at

PASSWORD = "violet anchor biscuit moon"
NOON = "2026-11-20 12:00"


class Browser:
    """A browser of one staff member. It follows no redirect by itself; `post` brings the proof of the last page."""

    def __init__(self, http: TestClient, csrf: str = "") -> None:
        self.http = http
        self.csrf = csrf

    def get(self, path: str, **more: Any) -> Response:
        response: Response = self.http.get(path, **more)
        assert response.status_code < 500, response.text
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', response.text)
        self.csrf = found[1] if found else self.csrf
        return response

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> Response:
        response: Response = self.http.post(path, data={"csrf": self.csrf, **(data or {})}, **more)
        assert response.status_code != 500, response.text
        return response

    def after(self, response: Response) -> str:
        """The text of the page that a POST leads to."""
        assert response.status_code == 303, response.text
        return self.get(response.headers["location"]).text


@contextmanager
def web(world: World, now: str = NOON) -> Iterator[TestClient]:
    """The pages of this world at `now`, over https."""
    settings = world.service.settings.model_copy(update={"now": f"{at(now):%Y-%m-%dT%H:%M:%SZ}"})
    service = Service(settings, world.store)
    # Read once for a world, and a world may have words of its own.
    vars(service)["catalogue"] = world.service.catalogue
    parts = WebParts(
        maildir=world.service.maildir,
        is_ready=lambda: (True, ""),
        live_check=lambda: True,
        hosts={"testserver"},
        clock=service.now,
        desk=service,
    )
    with TestClient(create_app(parts), base_url="https://testserver", follow_redirects=False) as http:
        yield http


def staff_member(world: World, role: Role, clinic: Clinic | None = None, now: str = NOON) -> str:
    """The address of a new staff member who has the password."""
    clinic = clinic or world.clinic
    who = Who("test", at(now))
    email = f"{role}{clinic.id}@northgate-clinic.org"
    with world.store.write() as connection:
        given = {"email": email, "name": f"{role.title()} Person", "role": role}
        staff_id = clinic_setup.add_staff(connection, clinic, given, who)
        token = sign_in.make_link(connection, clinic.id, staff_id, who)
    sign_in.choose_password(world.store, token, PASSWORD, at(now))
    return email


@contextmanager
def signed_in(world: World, role: Role = Role.RECEPTION, now: str = NOON) -> Iterator[Browser]:
    """A new staff member of this role, signed in."""
    email = staff_member(world, role, now=now)
    with web(world, now) as http:
        assert http.post("/login", data={"email": email, "password": PASSWORD}).status_code == 303
        browser = Browser(http)
        browser.get("/keys")
        yield browser
