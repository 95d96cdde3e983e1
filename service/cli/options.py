"""Options that many commands share, and the way from them to an open service."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from service.errors import BadInput

if TYPE_CHECKING:
    from service.store.clinics import Clinic
    from service.wiring import Service

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
now_option = click.option("--now", metavar="INSTANT", help="Trial mode: the clock of this command (ISO 8601, zone).")
clinic_option = click.option(
    "--clinic", "clinic_id", type=int, metavar="ID", help="Which clinic; default: the only one."
)
limit_option = click.option("--limit", type=click.IntRange(1), help="At most so many lines.")


def desk_options(command: Command) -> Command:
    """--json, --now and --clinic, as nearly every command has them."""
    return json_option(now_option(clinic_option(command)))


@contextmanager
def service_for(now: str | None = None, *, migrated: bool = True) -> Iterator[Service]:
    """The installation that the environment names, with the clock of --now."""
    from service.settings import read_settings
    from service.wiring import open_service

    settings = read_settings()
    if now is not None:
        if settings.live:
            raise BadInput("--now is refused in live mode", field="now", next_step="Leave --now out.")
        settings = settings.model_copy(update={"now": now})
    with open_service(settings, migrated=migrated) as service:
        yield service


@dataclass(frozen=True)
class Desk:
    """An open service, the clinic that was chosen, who acts and the instant of the command."""

    service: Service
    clinic: Clinic
    actor: str
    now: datetime


@contextmanager
def desk_for(clinic_id: int | None, now: str | None) -> Iterator[Desk]:
    from service.store import clinics

    with service_for(now) as service:
        with service.store.read() as connection:
            clinic = clinics.chosen(connection, clinic_id)
        yield Desk(service, clinic, actor(), service.now())


def actor() -> str:
    """Who acts on the command line, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"


def read_date(raw: str, field: str) -> date:
    """An ISO date. Raises BadInput naming the field."""
    try:
        return date.fromisoformat(raw)
    except ValueError as error:
        raise BadInput(f"{raw!r} is not a date", field=field, next_step="Write it as YYYY-MM-DD.") from error


def read_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE arguments. Raises BadInput for one without '='."""
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(f"{pair!r} is not KEY=VALUE", field=key, next_step="Write it like phone=01632960001.")
        values[key] = value
    return values
