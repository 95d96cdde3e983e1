"""What a matrix of roles and routes needs: rows for every id that a path can name, sessions by hand, all rows at once."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from service.actions import clinic_setup, sign_in, uploading
from service.actions.importing import ImportJob
from service.actions.uploading import Desk, Options
from service.store import staff
from service.store.tables import audit, calls, emails, metadata, texts
from service.store.uploads import Owner
from service.web.desk.cookie import Cookie
from service.web.desk.proof import csrf_of
from tests.support.desk import NOON, staff_member
from tests.support.world import World, at

PARAMETER = re.compile(r"\{(\w+)\}")


#: One row that can be read, one that cannot.
TABLE = b"name,email,treatment,treatment_date\nAda Lane,ada@example.com,Scalp tattoo,2026-11-19\nBo Low,bo,x,y\n"


@dataclass
class Rows:
    """Fresh rows of one clinic, made when a path asks for them: what one request changes, the next does not see.

    staff_id: whose uploads they are.
    """

    world: World
    staff_id: int
    made: int = 0

    def fresh(self, wanted: Collection[str]) -> dict[str, int]:
        """A value for every parameter that a path of the desk can have, all of one client; costly ones if wanted."""
        self.made += 1
        found = {"staff_id": self._colleague(), **self._of_client()}
        return {**found, "upload_id": self._upload()} if "upload_id" in wanted else found

    def _of_client(self) -> dict[str, int]:
        world, number = self.world, self.made
        client_id = world.client(f"Sam Reed{number}", f"sam{number}.{world.clinic.id}@example.com")
        planned = world.treat(client_id, "2026-11-19", now="2026-11-19 12:00")
        found = {"client_id": client_id, "treatment_id": planned.treatment_id}
        with world.store.write() as connection:
            first = sa.select(emails.c.id).where(emails.c.client_id == client_id).order_by(emails.c.id).limit(1)
            found["email_id"] = connection.execute(first).scalar_one()
            newest = sa.select(sa.func.max(texts.c.id)).where(texts.c.clinic_id == world.clinic.id)
            found["text_id"] = connection.execute(newest).scalar_one()
            call = {"clinic_id": world.clinic.id, "client_id": client_id, "reason": "stopped"}
            new = sa.insert(calls).values(**call, opened_at=at(NOON), due_at=at(NOON)).returning(calls.c.id)
            found["call_id"] = connection.execute(new).scalar_one()
        return found

    def _upload(self) -> int:
        world = self.world
        job = ImportJob(world.clinic, world.service.catalogue.protocols, world.who(NOON))
        desk = Desk(world.store, job, Owner(world.clinic.id, self.staff_id))
        return uploading.check(desk, "clients.csv", TABLE, Options())

    def _colleague(self) -> int:
        given = {"email": f"colleague{self.made}.{self.world.clinic.id}@example.com", "name": "A", "role": "reception"}
        with self.world.store.write() as connection:
            return clinic_setup.add_staff(connection, self.world.clinic, given, self.world.who(NOON))


def filled(path: str, ids: dict[str, int]) -> str:
    """The path with its parameters. KeyError for one that Rows cannot make: teach it."""
    return PARAMETER.sub(lambda found: str(ids[found[1]]), path)


def parameters(path: str) -> list[str]:
    return PARAMETER.findall(path)


@dataclass
class Signed:
    """A session made by hand, which spares a thousand slow checks of a password."""

    world: World
    email: str

    @property
    def id(self) -> int:
        with self.world.store.read() as connection:
            return int(staff.active_with(connection, self.email)[0]["id"])

    def sit_down(self, http: TestClient, *, with_code: bool = True) -> str:
        """A new session in this browser; the proof for its forms. with_code False: half a session."""
        with self.world.store.write() as connection:
            person = dict(staff.active_with(connection, self.email)[0])
            person["code_secret"] = person["code_secret"] if with_code else "something"
            made = sign_in.begin(connection, person, at(NOON), with_code=with_code)  # type: ignore[arg-type]
        http.cookies.clear()
        http.cookies.set(*cookie_of(self.world, made.token))
        return csrf_of(self.world.service.signer, made.token, made.staff_id)


def cookie_of(world: World, token: str, now: str = NOON) -> tuple[str, str]:
    """Name and value of a session's cookie on https."""
    scope = {"type": "http", "method": "GET", "scheme": "https", "path": "/", "query_string": b"", "headers": []}
    response = Response()
    Cookie(world.service.signer).set(Request({**scope, "server": ("testserver", 443)}), response, token, at(now))
    name, _, rest = response.headers["set-cookie"].partition("=")
    return name, rest.partition(";")[0]


def everything(world: World, *, but_reads: bool = True) -> dict[str, list[Any]]:
    """All rows of all tables. but_reads: without the lines of the audit that say who opened a client's record."""
    found = {}
    with world.store.read() as connection:
        for table in metadata.sorted_tables:
            query = sa.select(table)
            if table is audit and but_reads:
                query = query.where(audit.c.action != "client opened")
            found[table.name] = sorted(map(str, connection.execute(query)))
    return found


def new_staff(world: World, role: Any) -> Signed:
    return Signed(world, staff_member(world, role))
