"""The second factor: six digits from an app on a phone (TOTP, RFC 6238). Each code opens once; one step of slack.

The secret is kept sealed with a key of the installation: who reads the database alone cannot make codes.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest

import pyotp
import sqlalchemy as sa
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.actions.passwords import fits
from service.actions.revise import Who
from service.actions.sign_in import Session, Signed, account_of, begin
from service.actions.tries import forget_try, note_try
from service.errors import BadInput, NotAllowed
from service.store import audit, staff
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.engine import Store

log = structlog.get_logger()
#: What the installation's keys are derived for: `Signer.keys(USE)`.
USE = "second-factor"
STEP = 30  # seconds
DIGITS = 6
_NONCE = 12  # bytes
_AGAIN = "Type the six digits that the app shows now. If it goes on: the phone must set its clock by itself."
Keys = Sequence[bytes]


@dataclass(frozen=True)
class Begun:
    """A second factor that is not confirmed yet. uri: for the app, as a QR code. sealed: goes with the form."""

    secret: str
    uri: str
    sealed: str


@dataclass(frozen=True)
class Confirming:
    """What sets up a second factor. sealed: of `Begun`; code: what the app shows; password: the account's."""

    sealed: str
    code: str
    password: str


@dataclass(frozen=True)
class Half:
    """The second half of a sign-in. session: digest of the half session; address: where it comes from."""

    session: str
    code: str
    address: str


def show(keys: Keys, email: str, session: str) -> Begun:
    """A new secret to put into an app. Nothing is written: until it is confirmed it lives sealed in the form."""
    return _begun(pyotp.random_base32(), keys, email, session)


def show_again(keys: Keys, email: str, session: str, sealed: str) -> Begun:
    """The same secret once more; a new one if that was not sealed here, in this session."""
    secret = _opened(keys, sealed, _pending(session))
    return _begun(secret, keys, email, session) if secret else show(keys, email, session)


def _begun(secret: str, keys: Keys, email: str, session: str) -> Begun:
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name="Aftercare")
    return Begun(secret, uri, _sealed(keys, secret, _pending(session)))


def confirm(store: Store, keys: Keys, me: Signed, given: Confirming) -> None:
    """Begin to ask for it: the app has shown a right code, and the password says that it is their app.

    Ends the other sessions. Raises BadInput (field "code" or "password"), NotAllowed after too many passwords.
    """
    secret = _opened(keys, given.sealed, _pending(me.session))
    if secret is None:
        raise BadInput("this page was too old", field="code", next_step="Use the new picture.")
    step = _step(secret, given.code, me.now)
    if step is None:
        raise BadInput("this code is not right", field="code", next_step=_AGAIN)
    _prove(store, me, given.password)
    with store.write() as connection:
        person = staff.get(connection, me.clinic_id, me.staff_id, lock=True)
        if person["code_secret"] is not None:
            raise NotAllowed("you have a second factor already", next_step="Remove it first.")
        forget_try(connection, account_of(person["email"]), me.address)
        kept = _sealed(keys, secret, _kept(me.staff_id))
        staff.change(connection, me.staff_id, code_secret=kept, code_step=max(step, person["code_step"]))
        staff.end_sessions(connection, me.staff_id, me.now, but=me.session)
        _note(connection, person, Who(person["email"], me.now), "second factor set up")


def give(store: Store, keys: Keys, half: Half, now: datetime) -> Session | None:
    """A whole session for the half one and a right code; None if the half one is over.

    Raises BadInput for a wrong or used code, NotAllowed after too many tries.
    """
    with store.read() as connection:
        person = staff.session(connection, half.session, now)
    if person is None or person["complete"]:
        return None
    account = f"code of staff {person['id']}"
    note_try(store, account, half.address, now)
    secret = _opened(keys, person["code_secret"] or "", _kept(person["id"]))
    step = _step(secret, half.code, now) if secret else None
    with store.write() as connection:
        person = staff.session(connection, half.session, now)
        if person is None:
            return None
        if step is None or not staff.use_step(connection, person["id"], step):
            log.warning("a sign-in was refused", why="second factor")
            fix = _AGAIN if secret else "The owner of your clinic can remove your second factor."
            raise BadInput("this code is not right, or it was used already", field="code", next_step=fix)
        staff.end_session(connection, half.session, now)
        forget_try(connection, account, half.address)
        return begin(connection, person, now, with_code=True)


def remove_own(store: Store, me: Signed, password: str) -> None:
    """Ask for it no more. Raises BadInput for a wrong password, NotAllowed after too many tries."""
    person = _prove(store, me, password)
    with store.write() as connection:
        forget_try(connection, account_of(person["email"]), me.address)
        _remove(connection, person, Who(person["email"], me.now), but=me.session)


def _prove(store: Store, me: Signed, password: str) -> sa.RowMapping:
    """Who it is, by their password: an open session may be in anybody's hands. Slow, so outside any transaction."""
    with store.read() as connection:
        person = staff.get(connection, me.clinic_id, me.staff_id)
    note_try(store, account_of(person["email"]), me.address, me.now)
    if not fits(password, person["password"]):
        raise BadInput("this is not your password", field="password", next_step="Type the one you sign in with.")
    return person


def remove_for(connection: sa.Connection, clinic: Clinic, staff_id: int, who: Who) -> None:
    """Somebody lost their phone: the owner, or the command line, removes it. Ends their sessions."""
    _remove(connection, staff.get(connection, clinic.id, staff_id, lock=True), who)


def _remove(connection: sa.Connection, person: sa.RowMapping, who: Who, but: str = "") -> None:
    # The step stays: a code that was used once never opens again.
    staff.change(connection, person["id"], code_secret=None)
    staff.end_sessions(connection, person["id"], who.now, but=but)
    _note(connection, person, who, "second factor removed")


def _note(connection: sa.Connection, person: sa.RowMapping, who: Who, action: str) -> None:
    audit.note(connection, person["clinic_id"], Deed(who.actor, action, f"staff {person['id']}", {}), who.now)


def _step(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is: the present one, or a neighbour."""
    typed = "".join(code.split())
    if not (typed.isascii() and typed.isdigit() and len(typed) == DIGITS):
        return None
    present, totp = int(now.timestamp()) // STEP, pyotp.TOTP(secret)
    near = (present, present - 1, present + 1)
    return next((step for step in near if compare_digest(totp.generate_otp(step), typed)), None)


def _pending(session: str) -> str:
    return f"not confirmed in {session}"


def _kept(staff_id: int) -> str:
    return f"second factor of staff {staff_id}"


def _sealed(keys: Keys, secret: str, whose: str) -> str:
    nonce = secrets.token_bytes(_NONCE)
    return urlsafe_b64encode(nonce + AESGCM(keys[0]).encrypt(nonce, secret.encode(), whose.encode())).decode()


def _opened(keys: Keys, sealed: str, whose: str) -> str | None:
    """What was sealed for this, by any key of the ring; None for anything else."""
    try:
        raw = urlsafe_b64decode(sealed.encode("ascii"))
    except ValueError:
        return None
    for key in keys:
        try:
            return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], whose.encode()).decode()
        except (InvalidTag, ValueError):
            continue
    return None
