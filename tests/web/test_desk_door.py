"""The door of the desk: every route, every role, own and foreign ids. What is right stands in rights.py, once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from service.store import audit
from service.store.audit import Sought
from service.store.engine import Store
from service.store.tables import Role
from service.web.desk.pages import ROUTES
from service.web.desk.rights import RIGHTS
from service.web.desk.visit import Route
from tests.support.desk import web
from tests.support.desk_rights import Rows, Signed, everything, filled, new_staff, parameters
from tests.support.world import World, another_clinic, make_world

UNKNOWN = 999_999
#: Sent to a relay that is not there, or nothing of the kind was planned for this client: the door let it in all the same.
LET_IN = {200, 303, 400, 409, 502}


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


#: What a path's own ids are not enough for: the fields that name one more row.
FIELDS = {"POST /clients/{client_id}/undo": {"treatment": "treatment_id"}}
#: An e-mail that did not go out yet has no words to show: the page says so with the status of a page that is not there.
NOTHING_YET = {"GET /clients/{client_id}/emails/{email_id}/words"}
EVERY = {parameter for route in ROUTES for parameter in parameters(route.path)}
NAMES = [name(route) for route in ROUTES]


@pytest.fixture
def small(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """For what the database has no part in: on one of the two."""
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = Store(f"sqlite:///{path}")
    yield make_world(store, tmp_path)
    store.close()


@contextmanager
def seat(world: World, role: Role) -> Iterator[tuple[TestClient, Signed]]:
    with web(world) as http:
        yield http, new_staff(world, role)


def ask(http: TestClient, route: Route, ids: dict[str, int], csrf: str = "", **headers: str) -> Response:
    """The route with these ids in its path, and an otherwise empty form."""
    path = filled(route.path, ids)
    if route.method == "GET":
        return http.get(path, headers=headers)
    fields = {field: str(ids[parameter]) for field, parameter in FIELDS.get(name(route), {}).items()}
    return http.post(path, data={**fields, "csrf": csrf} if csrf else fields, headers=headers)


def test_every_route_has_its_rights_and_every_right_its_route() -> None:
    assert sorted(NAMES) == sorted(set(NAMES))
    assert set(NAMES) == set(RIGHTS)


def test_ops_see_no_client_and_only_owners_change_settings() -> None:
    clients = ("/clients", "/calls", "/outbox", "/forecast", "/texts", "/import")
    assert [
        right for right, roles in RIGHTS.items() if Role.OPS in roles and right.split()[1].startswith(clients)
    ] == []
    changes = {right for right in RIGHTS if right.startswith(("POST /settings", "GET /audit"))}
    assert {right for right in changes if RIGHTS[right] != {Role.OWNER}} == set()
    assert RIGHTS["POST /texts/{text_id}/approve"] == {Role.CLINICIAN}


def expected(route: Route, role: Role) -> str:
    if role in RIGHTS[name(route)]:
        return "in"
    return "elsewhere" if name(route) == "GET /" else "refused"


def verdict(route: Route, answer: Response) -> str:
    """in, refused, elsewhere (the start page of a role that has none), or the status."""
    if answer.status_code == 303 and name(route) == "GET /":
        return "elsewhere" if answer.headers["location"] == "/settings" else answer.headers["location"]
    leads_out = answer.status_code == 303 and answer.headers["location"].startswith("/login")
    if leads_out and route.path != "/logout":
        return str(answer.headers["location"])
    if answer.status_code in LET_IN or (answer.status_code == 404 and name(route) in NOTHING_YET):
        return "in"
    return "refused" if answer.status_code == 403 else str(answer.status_code)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_opens_what_its_rights_say_and_nothing_else(small: World, role: Role) -> None:
    differences = {}
    with seat(small, role) as (http, somebody):
        rows = Rows(small, somebody.id)
        for route in ROUTES:
            ids = rows.fresh(parameters(route.path))
            csrf = somebody.sit_down(http)
            before = everything(small) if expected(route, role) != "in" else None
            found = verdict(route, ask(http, route, ids, csrf))
            if found != expected(route, role):
                differences[name(route)] = found
            if before is not None and everything(small) != before:
                differences[name(route)] = "changed something"
    assert differences == {}


def said(answer: Response, given: int) -> str:
    """What stands on the page, with ID for the id that was asked for."""
    return re.sub(rf"\b{given}\b", "ID", answer.text.partition("<main")[2])


@pytest.mark.parametrize("role", list(Role))
def test_another_clinics_ids_are_as_unknown_as_those_that_never_were(world: World, role: Role) -> None:
    """Each id of a path is swapped for one of another clinic, alone, while the others are one's own."""
    southgate = another_clinic(world, name="Southgate")
    differences = {}
    with seat(world, role) as (http, somebody):
        mine, theirs = Rows(world, somebody.id), Rows(southgate, new_staff(southgate, role).id)
        for route in ROUTES:
            for swapped in (*parameters(route.path), *FIELDS.get(name(route), {}).values()):
                ids = mine.fresh(parameters(route.path))
                foreign = theirs.fresh([swapped])[swapped]
                csrf = somebody.sit_down(http)
                before = everything(world)
                answers = []
                for given in (foreign, UNKNOWN):
                    answer = ask(http, route, {**ids, swapped: given}, csrf)
                    answers.append((answer.status_code, said(answer, given)))
                if answers[0] != answers[1]:
                    differences[name(route), swapped] = "a foreign id is told from an unknown one"
                wanted = 404 if role in RIGHTS[name(route)] else 403
                if answers[0][0] != wanted:
                    differences[name(route), swapped] = f"{answers[0][0]}, not {wanted}"
                if everything(world) != before:
                    differences[name(route), swapped] = "changed something"
    assert differences == {}


@pytest.mark.parametrize("half", [False, True], ids=["signed out", "without the second factor"])
def test_who_is_not_signed_in_is_led_to_the_sign_in_page_everywhere(small: World, half: bool) -> None:
    wanted = "/login/code" if half else "/login"
    with seat(small, Role.OWNER) as (http, owner):
        ids = Rows(small, owner.id).fresh(EVERY)
        if half:
            owner.sit_down(http, with_code=False)
        before = everything(small, but_reads=False)
        for route in ROUTES:
            for given in (ids, dict.fromkeys(ids, UNKNOWN)):
                path = filled(route.path, given)
                answer = http.get(path) if route.method == "GET" else http.post(path)
                assert answer.status_code == 303, name(route)
                assert answer.headers["location"].partition("?")[0] == wanted
                assert not answer.text
    assert everything(small, but_reads=False) == before


@pytest.mark.parametrize(
    "around",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_a_post_that_no_page_of_ours_sent_changes_nothing(small: World, around: dict[str, str]) -> None:
    """Without the form's proof, or with it from another site."""
    with seat(small, Role.OWNER) as (http, owner):
        ids = Rows(small, owner.id).fresh(EVERY)
        csrf = owner.sit_down(http)
        before = everything(small, but_reads=False)
        posts = [route for route in ROUTES if route.method == "POST" and Role.OWNER in RIGHTS[name(route)]]
        for route in posts:
            for proof in ("0" * 64, "é", csrf) if around else ("", "0" * 64, "é", csrf[:-1]):
                answer = ask(http, route, ids, proof, **around)
                assert answer.status_code == 403, (name(route), proof)
        assert everything(small, but_reads=False) == before
        # What the browser proves with its own header, as htmx sends it, is enough.
        assert http.post("/account/password", data={}, headers={"x-csrf": csrf}).status_code == 400


def test_no_get_changes_anything(world: World) -> None:
    """But our own book: who opened a client's record is written down, once an hour."""
    with seat(world, Role.OWNER) as (http, owner):
        ids = Rows(world, owner.id).fresh(EVERY)
        owner.sit_down(http)
        before = everything(world)
        for route in ROUTES:
            if route.method == "GET":
                path = filled(route.path, ids)
                for answer in (
                    http.get(path),
                    http.head(path),
                    http.options(path),
                    http.get(path, params={"done": "x"}),
                ):
                    assert answer.status_code in (*LET_IN, 404, 405), name(route)
                assert everything(world) == before, name(route)


SHOW_A_CLIENT = [
    route for route in ROUTES if route.method == "GET" and {"client_id", "call_id"} & set(parameters(route.path))
]


def test_every_page_about_a_client_writes_down_who_looked_and_once(small: World) -> None:
    """A page, and the parts of it that a browser asks for again and again."""
    differences = {}
    with seat(small, Role.OWNER) as (http, owner):
        rows = Rows(small, owner.id)
        owner.sit_down(http)
        for route in SHOW_A_CLIENT:
            ids = rows.fresh(parameters(route.path))
            for headers in ({}, {}, {"hx-request": "true"}):
                ask(http, route, ids, **headers)
            found = lookers(small, ids["client_id"])
            if found != [owner.email]:
                differences[name(route)] = found
    assert len(SHOW_A_CLIENT) > 15
    assert differences == {}


def test_a_page_that_shows_nothing_is_no_look(small: World) -> None:
    southgate = another_clinic(small, name="Southgate")
    with seat(small, Role.OWNER) as (http, owner):
        foreign = Rows(southgate, new_staff(southgate, Role.OWNER).id).fresh(EVERY)
        owner.sit_down(http)
        for route in SHOW_A_CLIENT:
            assert ask(http, route, foreign).status_code == 404
        assert lookers(small, foreign["client_id"]) == lookers(southgate, foreign["client_id"]) == []


def lookers(world: World, client_id: int) -> list[str]:
    """Who opened a client's record, a name for each line of the audit."""
    sought = Sought(action="client opened", subject=f"client {client_id}")
    with world.store.read() as connection:
        return [row["actor"] for row in audit.search(connection, world.clinic.id, sought, 99)]


def test_pages_with_personal_data_are_kept_nowhere_and_run_nothing_of_others(small: World) -> None:
    with seat(small, Role.OWNER) as (http, owner):
        ids = Rows(small, owner.id).fresh(EVERY)
        owner.sit_down(http)
        paths = [filled(route.path, ids) for route in ROUTES if route.method == "GET"]
        for path in (*paths, "/login", "/login/code", "/nothing", "/welcome/nothing"):
            headers = http.get(path).headers
            assert headers["cache-control"] == "no-store", path
            assert "unsafe" not in headers["content-security-policy"].replace("style-src 'unsafe-inline'", ""), path
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["strict-transport-security"].startswith("max-age=31536000")
