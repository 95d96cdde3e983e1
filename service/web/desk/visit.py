"""One visit of a staff member: who asks, in which clinic, when, with what; and what a page may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from service.actions.revise import Who
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.tables import Role
from service.web.desk.forms import Form
from service.wiring import Service


@dataclass(frozen=True)
class Staff:
    """Who is signed in."""

    id: int
    name: str
    email: str
    role: Role
    has_code: bool = False


@dataclass(frozen=True)
class Visit:
    """What a page is answered from.

    args: the path's variables. query: the first value of each name. form: empty unless it was posted. now: business
    time. csrf: proof for forms. fragment: the browser replaces a part of the page that it shows. session: its digest.
    address: the network address it comes from.
    """

    service: Service
    clinic: Clinic
    staff: Staff
    now: datetime
    session: str
    csrf: str
    path: str = "/"
    args: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Form = field(default_factory=Form)
    fragment: bool = False
    address: str = ""

    @property
    def store(self) -> Store:
        return self.service.store

    @property
    def who(self) -> Who:
        """For actions: whom the audit names."""
        return Who(self.staff.email, self.now)

    def id(self, name: str) -> int:
        """A number from the path; 0, which nothing has, for anything else."""
        raw = self.args.get(name, "")
        return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 19 else 0


class Page(NamedTuple):
    """A page to show: its template in pages/desk, and what it says."""

    template: str
    said: Mapping[str, Any]
    status: int = 200


class Go(NamedTuple):
    """Go to another page: after every POST that did something. leaves: the session has ended."""

    path: str
    leaves: bool = False


class File(NamedTuple):
    """A file to keep: name, kind (MIME), bytes."""

    name: str
    kind: str
    content: bytes


class Frame(NamedTuple):
    """The HTML of an e-mail for a frame inside a page of ours: nothing in it is loaded, run or sent."""

    html: str


Answer = Frame | Page | Go | File
Handler = Callable[[Visit], Answer]


class Route(NamedTuple):
    """One row of the desk. path: as the framework writes it. most: bytes a POST may have; 0: the usual.

    whole: of a POST that a part of a page sends by itself, the path of the page; posted there with the step "look", it
    shows what was typed and saves nothing.
    """

    method: str
    path: str
    handler: Handler
    most: int = 0
    whole: str = ""
