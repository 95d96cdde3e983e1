"""Clinics and their staff: find and save."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from service.domain.closed_days import is_closed, parse_closed_days
from service.domain.hours import OpeningHours, parse_hours
from service.domain.own_steps import OwnStep
from service.domain.schedule import ClinicTime
from service.errors import BadConfiguration, BadInput, NotFound
from service.store.tables import Role, clinics, staff

#: The fields that live mode needs.
NEEDED = ("sender_name", "reply_to", "phone", "hours", "emergency_number", "urgent_line_name")


@dataclass(frozen=True, slots=True)
class Clinic:
    """One clinic as stored; empty texts are not set yet."""

    id: int
    name: str
    sender_name: str
    from_address: str
    reply_to: str
    timezone: str
    send_at: str
    language: str
    phone: str
    hours: str
    emergency_number: str
    urgent_line_name: str
    urgent_line_number: str
    wash_advice: str
    daily_cap: int | None
    check_in: bool
    created_at: datetime
    asks_code: bool = False
    own_steps: tuple[OwnStep, ...] = ()
    closed_days: str = ""

    @property
    def zone(self) -> ZoneInfo:
        """Raises BadConfiguration when what is stored names no zone that this machine knows."""
        try:
            return ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise _unusable(self.id, "timezone", "time zone is not known") from error

    @property
    def time(self) -> ClinicTime:
        """Raises BadConfiguration like `zone`, and for an hour that is none."""
        try:
            send_at = time.fromisoformat(self.send_at)
        except ValueError as error:
            raise _unusable(self.id, "send_at", "hour of sending is not a time") from error
        return ClinicTime(self.zone, send_at, self.own_steps)

    @property
    def opening(self) -> OpeningHours | None:
        """The weekly hours; None where nobody has said them."""
        return parse_hours(self.hours) if self.hours else None

    def is_closed_on(self, day: date) -> bool:
        """Whether it is known that nobody is there on that local date."""
        opening = self.opening
        never = opening is not None and not opening.is_open_on(day)
        return never or is_closed(parse_closed_days(self.closed_days), day)

    def is_closed_at(self, at: datetime) -> bool:
        """Whether it is known that nobody is there at that instant."""
        opening, local = self.opening, at.astimezone(self.zone)
        return self.is_closed_on(local.date()) or (opening is not None and not opening.is_open_at(local))

    @property
    def missing(self) -> tuple[str, ...]:
        """What live mode needs and this clinic has not said. Numbers are never guessed: 111 is two things."""
        return tuple(name for name in NEEDED if not getattr(self, name))


def _unusable(clinic_id: int, field: str, why: str) -> BadConfiguration:
    fix = f"Set it with `aftercare clinic set {field}=… --clinic {clinic_id}`."
    return BadConfiguration(f"clinic {clinic_id}: its {why}", field=field, next_step=fix)


def _read(row: sa.Row[Any]) -> Clinic:
    fields = {name: getattr(row, name) for name in Clinic.__dataclass_fields__}
    try:
        own_steps = tuple(_own_step(one) for one in json.loads(row.own_steps))
    except (AttributeError, TypeError, ValueError) as error:
        trouble = f"clinic {row.id}: what it set for single steps cannot be read"
        raise BadConfiguration(trouble, field="own_steps", next_step="Restore the last good backup.") from error
    return Clinic(**fields | {"own_steps": own_steps})


def _own_step(stored: dict[str, Any]) -> OwnStep:
    times: dict[str, Any] = {
        name: time.fromisoformat(stored[name]) for name in ("send_at", "until_at") if name in stored
    }
    return OwnStep(**stored | times)


def every(connection: sa.Connection) -> list[Clinic]:
    return [_read(row) for row in connection.execute(sa.select(clinics).order_by(clinics.c.id))]


def by_ids(connection: sa.Connection, ids: Iterable[int]) -> dict[int, Clinic]:
    """Those of them that can be read: one damaged row must not stop the other clinics."""
    found = {}
    for row in connection.execute(sa.select(clinics).where(clinics.c.id.in_(sorted(set(ids))))):
        with contextlib.suppress(BadConfiguration):
            found[row.id] = _read(row)
    return found


def usable(connection: sa.Connection) -> tuple[list[Clinic], dict[int, str]]:
    """The clinics that can be worked for, and by id what is wrong with each of the others."""
    good: list[Clinic] = []
    trouble: dict[int, str] = {}
    for row in connection.execute(sa.select(clinics).order_by(clinics.c.id)):
        try:
            clinic = _read(row)
            _ = clinic.time
        except BadConfiguration as error:
            trouble[row.id] = error.message
        else:
            good.append(clinic)
    return good, trouble


def get(connection: sa.Connection, clinic_id: int, *, lock: bool = False) -> Clinic:
    """One clinic. lock: nobody else changes it until the transaction ends. Raises NotFound."""
    query = sa.select(clinics).where(clinics.c.id == clinic_id)
    # What only refers to the clinic, like a line of the audit, need not wait for it.
    row = connection.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no clinic {clinic_id}", field="clinic", next_step="See `aftercare clinic list`.")
    return _read(row)


def chosen(connection: sa.Connection, clinic_id: int | None) -> Clinic:
    """The clinic named by its id, or the only one there is."""
    if clinic_id is not None:
        return get(connection, clinic_id)
    all_of_them = every(connection)
    if not all_of_them:
        raise BadInput("there is no clinic yet", field="clinic", next_step="Run `aftercare init --clinic NAME …`.")
    if len(all_of_them) > 1:
        listed = ", ".join(f"{clinic.id} ({clinic.name})" for clinic in all_of_them)
        raise BadInput(f"there are several clinics: {listed}", field="clinic", next_step="Say which with --clinic ID.")
    return all_of_them[0]


def add(connection: sa.Connection, values: Mapping[str, str | int | None], now: datetime) -> Clinic:
    added = sa.insert(clinics).values(**values, created_at=now).returning(clinics.c.id)
    return get(connection, connection.execute(added).scalar_one())


def change(connection: sa.Connection, clinic_id: int, values: Mapping[str, str | int | None]) -> Clinic:
    if values:
        connection.execute(sa.update(clinics).where(clinics.c.id == clinic_id).values(**values))
    return get(connection, clinic_id)


def lock(connection: sa.Connection, clinic_id: int) -> Clinic:
    """The clinic as it is now; nobody else changes it before this transaction ends."""
    connection.execute(sa.select(clinics.c.id).where(clinics.c.id == clinic_id).with_for_update())
    return get(connection, clinic_id)


def save_own_steps(connection: sa.Connection, clinic_id: int, own: Iterable[OwnStep]) -> Clinic:
    """Replace what the clinic set for single steps."""
    stored = [{name: _plain(value) for name, value in asdict(one).items() if value is not None} for one in own]
    return change(connection, clinic_id, {"own_steps": json.dumps(stored)})


def _plain(value: str | int | time) -> str | int:
    return f"{value:%H:%M}" if isinstance(value, time) else value


def add_staff(connection: sa.Connection, clinic_id: int, values: dict[str, str], now: datetime) -> int:
    """A new staff member's id. values: email, name, role."""
    known = connection.execute(
        sa.select(staff.c.id).where(staff.c.clinic_id == clinic_id, staff.c.email == values["email"])
    ).first()
    if known is not None:
        raise BadInput(
            f"staff member {known.id} already has that address", field="email", next_step="See `aftercare staff list`."
        )
    added = sa.insert(staff).values(clinic_id=clinic_id, created_at=now, **values).returning(staff.c.id)
    new_id: int = connection.execute(added).scalar_one()
    return new_id


def list_staff(connection: sa.Connection, clinic_id: int) -> list[sa.RowMapping]:
    query = sa.select(staff).where(staff.c.clinic_id == clinic_id).order_by(staff.c.id)
    return list(connection.execute(query).mappings())


def staff_names(connection: sa.Connection, clinic_id: int) -> dict[str, str]:
    """Address -> name, of all who ever worked here."""
    return {row["email"]: row["name"] for row in list_staff(connection, clinic_id)}


def disable_staff(connection: sa.Connection, clinic_id: int, staff_id: int, now: datetime) -> None:
    """Disable one staff member. Raises NotFound if this clinic has none of that id."""
    done = connection.execute(
        sa.update(staff)
        .where(staff.c.clinic_id == clinic_id, staff.c.id == staff_id, staff.c.disabled_at.is_(None))
        .values(disabled_at=now)
    )
    if not done.rowcount:
        raise NotFound(
            f"this clinic has no active staff member {staff_id}", field="staff", next_step="See `aftercare staff list`."
        )


def is_clinician(connection: sa.Connection, clinic_id: int, email: str) -> bool:
    """Whether an active clinician of this clinic has that address, in whatever case it is written."""
    query = sa.select(staff.c.id).where(
        staff.c.clinic_id == clinic_id,
        sa.func.lower(staff.c.email) == email.strip().lower(),
        staff.c.role == Role.CLINICIAN,
        staff.c.disabled_at.is_(None),
    )
    return connection.execute(query).first() is not None
