"""Who works here: another role, leaving, coming back, sessions and passwords. The clinic always keeps an owner."""

from __future__ import annotations

import sqlalchemy as sa

from service.actions.passwords import check_password, fits, seal_password
from service.actions.revise import Who
from service.actions.sign_in import Signed, account_of, guessable
from service.actions.tries import forget_try, note_try
from service.errors import BadInput, NotAllowed
from service.store import audit, clinics, staff
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.tables import Role


def check_role(role: str) -> Role:
    """Raises BadInput naming those there are."""
    if role not in tuple(Role):
        raise BadInput(f"{role!r} is not a role", field="role", next_step=f"Use one of {', '.join(Role)}.")
    return Role(role)


def change_role(connection: sa.Connection, clinic: Clinic, staff_id: int, role: str, who: Who) -> None:
    """Another role, from the next click on. Raises BadInput, NotFound, NotAllowed for the last owner."""
    owners = staff.active_owners(connection, clinic.id)
    person = staff.get(connection, clinic.id, staff_id, lock=True)
    wanted = check_role(role)
    if person["role"] == wanted:
        return
    _require_another(owners, staff_id)
    staff.change(connection, staff_id, role=wanted)
    deed = Deed(who.actor, "role changed", f"staff {staff_id}", {"from": person["role"], "to": wanted})
    audit.note(connection, clinic.id, deed, who.now)


def disable_staff(connection: sa.Connection, clinic: Clinic, staff_id: int, who: Who) -> None:
    """They sign in no more, and are out at once. Raises NotFound, NotAllowed for the last owner."""
    _require_another(staff.active_owners(connection, clinic.id), staff_id)
    clinics.disable_staff(connection, clinic.id, staff_id, who.now)
    staff.end_sessions(connection, staff_id, who.now)
    staff.end_links(connection, staff_id, who.now)
    audit.note(connection, clinic.id, Deed(who.actor, "staff disabled", f"staff {staff_id}", {}), who.now)


def enable_staff(connection: sa.Connection, clinic: Clinic, staff_id: int, who: Who) -> None:
    """They work here again; they get in with a new one-time link, as the old password is forgotten."""
    person = staff.get(connection, clinic.id, staff_id, lock=True)
    if person["disabled_at"] is None:
        return
    staff.change(connection, staff_id, disabled_at=None, password=None)
    audit.note(connection, clinic.id, Deed(who.actor, "staff enabled", f"staff {staff_id}", {}), who.now)


def end_sessions(connection: sa.Connection, clinic: Clinic, staff_id: int, who: Who) -> None:
    """Sign somebody out everywhere."""
    staff.get(connection, clinic.id, staff_id, lock=True)
    staff.end_sessions(connection, staff_id, who.now)
    audit.note(connection, clinic.id, Deed(who.actor, "sessions ended", f"staff {staff_id}", {}), who.now)


def end_own(connection: sa.Connection, me: Signed, which: str, email: str) -> None:
    """End one of one's own sessions, or all the others. which: beginning of a session's digest, or "others"."""
    mine = [row["id"] for row in staff.sessions_of(connection, me.clinic_id, me.staff_id, me.now)]
    if which == "others":
        chosen = [session for session in mine if session != me.session]
    else:
        chosen = [session for session in mine if which and session.startswith(which)]
        if len(chosen) != 1:
            raise NotAllowed("this session has ended already", field="session", next_step="Look at the list again.")
    for session in chosen:
        staff.end_session(connection, session, me.now)
    deed = Deed(email, "sessions ended", f"staff {me.staff_id}", {"number": len(chosen)})
    audit.note(connection, me.clinic_id, deed, me.now)


def change_password(store: Store, me: Signed, old: str, new: str) -> None:
    """One's own password; ends the other sessions. Raises BadInput for either, NotAllowed after too many tries.

    The slow check of the password runs outside any transaction.
    """
    with store.read() as connection:
        person = staff.get(connection, me.clinic_id, me.staff_id)
        clinic = clinics.get(connection, me.clinic_id)
    note_try(store, account_of(person["email"]), me.address, me.now)
    if not fits(old, person["password"]):
        raise BadInput("this is not your password", field="password_old", next_step="Type the one you sign in with.")
    if new == old:
        raise BadInput("this is the password you have", field="password", next_step="Choose another one.")
    check_password(new, guessable(person, clinic))
    sealed = seal_password(new)
    with store.write() as connection:
        if staff.get(connection, me.clinic_id, me.staff_id, lock=True)["password"] != person["password"]:
            raise NotAllowed("the password was changed meanwhile", next_step="Sign in again.")
        staff.change(connection, me.staff_id, password=sealed)
        staff.end_sessions(connection, me.staff_id, me.now, but=me.session)
        staff.end_links(connection, me.staff_id, me.now)
        forget_try(connection, account_of(person["email"]), me.address)
        deed = Deed(person["email"], "password changed", f"staff {me.staff_id}", {})
        audit.note(connection, me.clinic_id, deed, me.now)


def _require_another(owners: list[int], staff_id: int) -> None:
    if owners == [staff_id]:
        fix = "Make somebody else an owner first."
        raise NotAllowed("this is the clinic's only owner", field="role", next_step=fix)
