"""Options that many commands share, and the way from them to an open service."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from service.errors import BadConfiguration, BadInput

if TYPE_CHECKING:
    from service.actions.revise import Who
    from service.domain.protocol import FollowUpProtocol
    from service.mail.catalogue import Catalogue
    from service.settings import Settings
    from service.store.clinics import Clinic
    from service.wiring import Service

Command = TypeVar("Command", bound=Callable[..., Any])
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: Outside these years a date is a slip of the finger, and arithmetic with zones would run off the calendar.
YEARS = range(1900, 2200)


class Id(click.ParamType[int]):
    """The id of a row: a whole number from 1 that a database can hold."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        raw = str(value)
        if not (raw.isascii() and raw.isdigit() and 0 < int(raw[:20]) < 2**63):
            self.fail(f"{shortened(raw)} is not an id: ids are whole numbers from 1.", param, ctx)
        return int(raw)


ID = Id()
json_option = click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
now_option = click.option("--now", metavar="INSTANT", help="Trial mode: the clock of this command (ISO 8601, zone).")
clinic_option = click.option(
    "--clinic", "clinic_id", type=ID, metavar="ID", help="Which clinic; default: the only one."
)
limit_option = click.option("--limit", type=click.IntRange(1, 10**9), help="At most so many lines.")


def desk_options(command: Command) -> Command:
    """--json, --now and --clinic, as nearly every command has them."""
    return json_option(now_option(clinic_option(command)))


def settings_for(now: str | None = None) -> Settings:
    """The settings that the environment names, with the clock of --now."""
    from service.settings import read_settings

    settings = read_settings()
    if now is None:
        return settings
    if settings.live:
        raise BadInput("--now is refused in live mode", field="now", next_step="Leave --now out.")
    return settings.model_copy(update={"now": read_instant(now, "now").isoformat()})


@contextmanager
def service_for(now: str | None = None, *, migrated: bool = True) -> Iterator[Service]:
    """The open installation, with the clock of --now. Log lines go to standard error, warnings unless more is asked."""
    from service import logs
    from service.store.schema import require_file
    from service.wiring import open_service

    settings = settings_for(now)
    logs.set_up("warning" if settings.log_level == "info" else settings.log_level, settings.log_format)
    if migrated:
        require_file(settings.database)  # before the folder is made: who only looks leaves nothing behind
    _require_folder(settings.data_dir)
    with open_service(settings, migrated=migrated) as service:
        yield service


def _require_folder(folder: Path) -> None:
    """Raises BadConfiguration unless the data folder is there and this user may write it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "this user may not write it"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise BadConfiguration(
            f"AFTERCARE_DATA_DIR: {folder}: {reason}",
            field="AFTERCARE_DATA_DIR",
            next_step="Name a folder that this user may write.",
        )


@dataclass(frozen=True)
class Desk:
    """An open service, the clinic that was chosen, who acts and the instant of the command."""

    service: Service
    clinic: Clinic
    actor: str
    now: datetime

    @property
    def who(self) -> Who:
        from service.actions.revise import Who

        return Who(self.actor, self.now)


@contextmanager
def desk_for(clinic_id: int | None, now: str | None) -> Iterator[Desk]:
    from service.store import clinics

    with service_for(now) as service:
        with service.store.read() as connection:
            clinic = clinics.chosen(connection, clinic_id)
        yield Desk(service, clinic, actor(), service.now())


@contextmanager
def writing(clinic_id: int | None, now: str | None) -> Iterator[tuple[Desk, Any]]:
    """A desk and one writing transaction of it."""
    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        yield desk, connection


def actor() -> str:
    """Who acts on the command line, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"


def find_protocol(catalogue: Catalogue, key: str) -> FollowUpProtocol:
    """A protocol by its key or title. Raises BadInput naming those there are."""
    for protocol in catalogue.protocols.values():
        if key.strip().casefold() in (protocol.key, protocol.title.casefold()):
            return protocol
    raise BadInput(
        f"there is no protocol for the treatment {shortened(key)}",
        field="protocol",
        next_step=f"Use one of {', '.join(catalogue.protocols)}.",
    )


def shortened(raw: str) -> str:
    """What somebody typed, quoted, and not all of it if it is long."""
    return repr(raw if len(raw) <= 60 else f"{raw[:60]}…")


def read_date(raw: str, field: str) -> date:
    """An ISO date. Raises BadInput naming the field."""
    if not _DATE.fullmatch(raw):
        raise BadInput(f"{shortened(raw)} is not a date", field=field, next_step="Write it as YYYY-MM-DD.")
    try:
        found = date.fromisoformat(raw)
    except ValueError as error:
        fix = "Check the day and the month."
        raise BadInput(f"{raw} is not in the calendar", field=field, next_step=fix) from error
    if found.year not in YEARS:
        raise BadInput(f"{raw} is too far away", field=field, next_step="Check the year.")
    return found


def read_instant(raw: str, field: str) -> datetime:
    """An ISO 8601 instant with its zone, as UTC. Raises BadInput naming the field."""
    try:
        found = datetime.fromisoformat(raw)
    except ValueError as error:
        fix = "Write it like 2026-11-21T10:00:00Z."
        raise BadInput(f"{shortened(raw)} is not an instant", field=field, next_step=fix) from error
    if found.tzinfo is None:
        raise BadInput(f"{raw!r} has no zone", field=field, next_step="Add Z or an offset like +01:00.")
    if found.year not in YEARS:
        raise BadInput(f"{raw} is too far away", field=field, next_step="Check the year.")
    return found.astimezone(UTC)


def read_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE arguments. Raises BadInput for one without '=' and for a key given twice."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            fix = "Write it like phone=01632960001."
            raise BadInput(f"{shortened(pair)} is not KEY=VALUE", field=key[:60], next_step=fix)
        key = key.replace("-", "_")  # as options of other commands write it
        if key in values:
            raise BadInput(f"{key} is given twice", field=key, next_step="Give each key once.")
        values[key] = value
    return values
