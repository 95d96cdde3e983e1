"""A clinic's own data: every field checked, what is missing for live mode said."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from service.actions.addresses import check_address
from service.actions.revise import Who
from service.actions.sign_in import make_link
from service.actions.staffing import check_role
from service.actions.words import import_shipped
from service.domain.closed_days import parse_closed_days, written
from service.domain.hours import parse_hours
from service.domain.persons import clean_language, clean_line, clean_phone, fold_address
from service.domain.schedule import read_zone
from service.domain.strict_table import read_clock_time
from service.errors import BadInput
from service.mail.catalogue import Catalogue
from service.store import audit, clinics
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.tables import Role


def _send_at(raw: str) -> str:
    if read_clock_time(raw) is None:
        raise BadInput(f"{raw!r} is not a time", field="send_at", next_step="Write it as HH:MM, like 10:00.")
    return raw


def _line(field: str, limit: int) -> Callable[[str], str]:
    return lambda raw: clean_line(field, raw, limit) if raw else ""


def _phone(field: str) -> Callable[[str], str]:
    return lambda raw: clean_phone(raw, field) if raw else ""


def _cap(raw: str) -> int | None:
    if raw and not (raw.isascii() and raw.isdecimal() and 1 <= int(raw) <= 1_000_000):
        raise BadInput(f"{raw!r} is not a number of mails", field="daily_cap", next_step="Write 1 or more, or nothing.")
    return int(raw) if raw else None


def _switch(field: str) -> Callable[[str], bool]:
    def read(raw: str) -> bool:
        if raw.lower() not in ("on", "off"):
            raise BadInput(f"{raw!r} is neither on nor off", field=field, next_step="Write on or off.")
        return raw.lower() == "on"

    return read


#: Every field of a clinic that may be set, and what makes it right.
FIELDS: Mapping[str, Callable[[str], str | int | None]] = {
    "name": lambda raw: clean_line("name", raw, 200),
    "sender_name": _line("sender_name", 100),
    "from_address": lambda raw: check_address(raw) if raw else "",
    "reply_to": lambda raw: check_address(raw) if raw else "",
    "timezone": lambda raw: read_zone(raw).key,
    "send_at": _send_at,
    "language": clean_language,
    "phone": _phone("phone"),
    "hours": lambda raw: str(parse_hours(raw)) if raw else "",
    "emergency_number": _phone("emergency_number"),
    "urgent_line_name": _line("urgent_line_name", 100),
    "urgent_line_number": _phone("urgent_line_number"),
    "wash_advice": _line("wash_advice", 300),
    "daily_cap": _cap,
    "check_in": _switch("check_in"),
    "asks_code": _switch("asks_code"),
    "closed_days": lambda raw: written(parse_closed_days(raw)),
}


def checked(given: Mapping[str, str]) -> dict[str, str | int | None]:
    """The values as they are stored. Raises BadInput naming the field, its problem and the fix."""
    values: dict[str, str | int | None] = {}
    for field, raw in given.items():
        check = FIELDS.get(field)
        if check is None:
            raise BadInput(
                f"{field} is not a field of a clinic", field=field, next_step=f"Fields: {', '.join(FIELDS)}."
            )
        try:
            values[field] = check(raw)
        except BadInput as error:
            # An address or number checked by a shared rule: say which of the clinic's fields it was.
            raise BadInput(error.message, field=field, next_step=error.next_step) from error
    return values


def add_clinic(connection: sa.Connection, catalogue: Catalogue, given: Mapping[str, str], who: Who) -> Clinic:
    """A new clinic with the shipped texts as drafts. Needs name and timezone."""
    values = checked(given)
    for needed in ("name", "timezone"):
        if not values.get(needed):
            raise BadInput(f"a clinic needs a {needed}", field=needed, next_step=f"Add --{needed}.")
    _require_new_name(connection, str(values["name"]), None)
    clinic = clinics.add(connection, values, who.now)
    import_shipped(connection, catalogue, clinic, who)
    audit.note(connection, clinic.id, Deed(who.actor, "clinic added", f"clinic {clinic.id}", {}), who.now)
    return clinic


def _require_new_name(connection: sa.Connection, name: str, own_id: int | None) -> None:
    """Two clinics of one name could not be told apart in any list."""
    same = [clinic.id for clinic in clinics.every(connection) if clinic.name == name and clinic.id != own_id]
    if same:
        fix = "Choose another name."
        raise BadInput("another clinic has that name already", field="name", next_step=fix)


def change_clinic(connection: sa.Connection, clinic: Clinic, given: Mapping[str, str], who: Who) -> Clinic:
    """Set fields of a clinic. What is planned already keeps its hour; new plans use the new one."""
    values = checked(given)
    if "name" in values:
        _require_new_name(connection, str(values["name"]), clinic.id)
    changed = clinics.change(connection, clinic.id, values)
    deed = Deed(who.actor, "clinic changed", f"clinic {clinic.id}", {"fields": sorted(given)})
    audit.note(connection, clinic.id, deed, who.now)
    return changed


def add_staff(connection: sa.Connection, clinic: Clinic, given: Mapping[str, str], who: Who) -> int:
    """A new staff member's id. given: email, name, role."""
    values = {
        "email": check_address(given["email"]),
        "name": clean_line("name", given["name"], 200),
        "role": check_role(given["role"]),
    }
    known = _of_address(connection, clinic, values["email"])
    if known is not None:
        fix = "See `aftercare staff list`."
        raise BadInput(f"staff member {known} already has that address", field="email", next_step=fix)
    staff_id = clinics.add_staff(connection, clinic.id, values, who.now)
    deed = Deed(who.actor, "staff added", f"staff {staff_id}", {"role": given["role"]})
    audit.note(connection, clinic.id, deed, who.now)
    return staff_id


def invite(
    connection: sa.Connection, clinic: Clinic, given: Mapping[str, str], who: Who, token: str = ""
) -> tuple[int, str]:
    """A new staff member's id, and the token of the one-time link with which they choose a password.

    token: as for `make_link`.
    """
    staff_id = add_staff(connection, clinic, given, who)
    return staff_id, make_link(connection, clinic.id, staff_id, who, token)


def _of_address(connection: sa.Connection, clinic: Clinic, address: str) -> int | None:
    """The staff member who has that address, in whatever case it is written."""
    everybody = clinics.list_staff(connection, clinic.id)
    return next((int(row["id"]) for row in everybody if fold_address(row["email"]) == fold_address(address)), None)


def ensure_owner(connection: sa.Connection, clinic: Clinic, email: str, who: Who) -> int:
    """Make `email` an owner of this clinic unless somebody there has that address already; their id."""
    try:
        address = check_address(email)
    except BadInput as error:
        raise BadInput(error.message, field="owner", next_step=error.next_step) from error
    known = _of_address(connection, clinic, address)
    if known is not None:
        return known
    return add_staff(connection, clinic, {"email": address, "name": address, "role": Role.OWNER}, who)
