"""How a staff member gets in and out: password, one-time link, session. The token is never kept, only its digest.

Whether an address exists can be told neither from the answer nor from how long it takes.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from service.actions.passwords import check_password, fits, is_outdated, seal_password
from service.actions.revise import Who
from service.actions.tries import forget_try, note_try
from service.errors import NotAllowed
from service.store import audit, clinics, staff
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.engine import Store

log = structlog.get_logger()
ABSOLUTE = timedelta(hours=12)
IDLE = timedelta(minutes=30)
#: Between the password and the second factor.
HALF_FOR = timedelta(minutes=10)
FIRST_LINK_FOR = timedelta(hours=72)
RESET_LINK_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class Session:
    """A new session. token: for the cookie alone. complete: False while the second factor is still asked for."""

    token: str
    staff_id: int
    complete: bool


@dataclass(frozen=True)
class Typed:
    """What somebody typed to sign in, and the network address it came from."""

    email: str
    password: str
    address: str


@dataclass(frozen=True)
class Signed:
    """Somebody who is signed in, for what they change about themselves. session: its digest; address: as in Typed."""

    clinic_id: int
    staff_id: int
    session: str
    address: str
    now: datetime


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def sign_in(store: Store, typed: Typed, now: datetime) -> Session | None:
    """A session for the right password, None else. Raises NotAllowed after too many tries.

    The slow check of the password runs outside any transaction.
    """
    note_try(store, account_of(typed.email), typed.address, now)
    with store.read() as connection:
        people = staff.active_with(connection, typed.email)
    found = [person for person in people if fits(typed.password, person["password"])]
    if not people:
        fits(typed.password, None)
    if not found:
        log.warning("a sign-in was refused", why="password")
        return None
    person = found[0]
    fresh = seal_password(typed.password) if is_outdated(person["password"]) else person["password"]
    with store.write() as connection:
        person = staff.get(connection, person["clinic_id"], person["id"], lock=True)
        if person["password"] != found[0]["password"] or person["disabled_at"] is not None:
            return None  # changed meanwhile
        staff.change(connection, person["id"], password=fresh)
        forget_try(connection, account_of(typed.email), typed.address)
        return begin(connection, person, now)


def account_of(email: str) -> str:
    """Under which name tries to sign in with an address are counted."""
    return f"password of {email.strip().lower()}"


def begin(connection: sa.Connection, person: sa.RowMapping, now: datetime, *, with_code: bool = False) -> Session:
    """A session for somebody whose password, or one-time link, was right. with_code: the second factor was too."""
    complete = with_code or person["code_secret"] is None
    made = Session(secrets.token_urlsafe(32), person["id"], complete)
    row = {"id": digest(made.token), "clinic_id": person["clinic_id"], "staff_id": person["id"], "complete": complete}
    staff.add_session(connection, {**row, "made_at": now, "until": now + (ABSOLUTE if complete else HALF_FOR)})
    if complete:
        deed = Deed(person["email"], "signed in", f"staff {person['id']}", {"second_factor": with_code})
        audit.note(connection, person["clinic_id"], deed, now)
    return made


def sign_out(connection: sa.Connection, person: sa.RowMapping, now: datetime) -> None:
    """End this session. person: as `store.staff.session` gives it."""
    staff.end_session(connection, person["session_id"], now)
    audit.note(connection, person["clinic_id"], Deed(person["email"], "signed out", f"staff {person['id']}", {}), now)


def make_link(connection: sa.Connection, clinic_id: int, staff_id: int, who: Who, token: str = "") -> str:
    """The token of a fresh one-time link: to choose a first password, or another one.

    token: a secret that nobody can guess, else one is made up.
    """
    person = staff.get(connection, clinic_id, staff_id, lock=True)
    if person["disabled_at"] is not None:
        fix = "Let them in again first."
        raise NotAllowed(f"staff member {staff_id} is disabled", field="staff", next_step=fix)
    token = token or secrets.token_urlsafe(32)
    lasts = FIRST_LINK_FOR if person["password"] is None else RESET_LINK_FOR
    row = {"id": digest(token), "clinic_id": clinic_id, "staff_id": staff_id}
    staff.end_links(connection, staff_id, who.now)
    staff.add_link(connection, {**row, "made_at": who.now, "made_by": who.actor, "until": who.now + lasts})
    audit.note(connection, clinic_id, Deed(who.actor, "sign-in link made", f"staff {staff_id}", {}), who.now)
    return token


def choose_password(store: Store, token: str, password: str, now: datetime) -> Session | None:
    """Use a one-time link: set the password, end all other sessions, begin one. None for a link that opens nothing.

    Raises BadInput for a password that will not do; the link stays good.
    """
    with store.read() as connection:
        person = staff.open_link(connection, digest(token), now)
        clinic = clinics.get(connection, person["clinic_id"]) if person else None
    if person is None or clinic is None:
        return None
    check_password(password, guessable(person, clinic))
    sealed = seal_password(password)
    with store.write() as connection:
        made_by = staff.use_link(connection, digest(token), now)
        if made_by is None:
            return None
        staff.change(connection, person["id"], password=sealed)
        staff.end_sessions(connection, person["id"], now)
        # Whoever made the link may have opened it too: the line names both.
        deed = Deed(person["email"], "password chosen", f"staff {person['id']}", {"with_a_link_made_by": made_by})
        audit.note(connection, clinic.id, deed, now)
        return begin(connection, person, now)


def guessable(person: sa.RowMapping, clinic: Clinic) -> tuple[str, ...]:
    """Words that everybody here would try as this person's password."""
    said = (person["email"], person["name"], clinic.name, clinic.sender_name, "aftercare")
    words = (word for line in said for word in re.split(r"[\W_]+", line) if len(word) > 2)
    return (*said, *words)
