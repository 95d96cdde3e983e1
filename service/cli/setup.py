"""Commands that set up: init, clinic, staff, config, completion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import Desk, actor, desk_for, desk_options, json_option, now_option, read_pairs, service_for
from service.cli.output import print_document, print_lines, print_table, say
from service.errors import BadInput

if TYPE_CHECKING:
    from service.actions.revise import Who
    from service.store.clinics import Clinic
    from service.wiring import Service

CLINIC_OPTIONS = {
    "timezone": "IANA name, like Europe/London.",
    "phone": "Where clients call.",
    "hours": "Like 'mon-fri 09:00-18:00; sat 10:00-14:00'.",
    "emergency-number": "Like 999 or 911; never guessed.",
    "urgent-line-name": "Like 'NHS 111', or 'your doctor or urgent care'.",
    "urgent-line-number": "May be left out.",
    "reply-to": "A mailbox somebody reads.",
    "sender-name": "Discreet: must not name the treatment.",
    "from-address": "Default: the reply address.",
    "send-at": "Local hour to write at; default 10:00.",
    "language": "Default: en.",
}


def _clinic_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, sentence in reversed(CLINIC_OPTIONS.items()):
        command = click.option(f"--{name}", help=sentence)(command)
    return command


def _given(options: dict[str, Any]) -> dict[str, str]:
    return {name: options[name] for name in (key.replace("-", "_") for key in CLINIC_OPTIONS) if options[name]}


@click.command(
    "init",
    epilog="Example: aftercare init --clinic Northgate --timezone Europe/London --phone '01632 960 001' "
    "--emergency-number 999 --urgent-line-name 'NHS 111' --urgent-line-number 111 "
    "--reply-to desk@northgate.example.com --sender-name Northgate --hours 'mon-fri 09:00-18:00'",
)
@click.option("--clinic", "clinic_name", metavar="NAME", help="Name of the first clinic.")
@click.option("--owner", metavar="EMAIL", help="Address of the owner.")
@_clinic_options
@json_option
@now_option
def init_command(clinic_name: str | None, owner: str | None, json_: bool, now: str | None, **options: Any) -> None:
    """Make or update the database; add the first clinic, its owner and the shipped texts as drafts."""
    from service.store import clinics
    from service.store.schema import migrate

    with service_for(now, migrated=False) as service:
        changed = migrate(service.store)
        assert service.signer  # makes the secret key, so that the first link can be signed
        clinic = _first_clinic(service, clinic_name, _given(options), owner)
        with service.store.read() as connection:
            every = clinics.every(connection)
    missing = [f"clinic {one.id}: {field}" for one in every for field in one.missing] or []
    if not every:
        missing = ["a clinic: run `aftercare init --clinic NAME --timezone ZONE …`"]
    if json_:
        print_document({"clinic_id": clinic.id if clinic else None, "sign_in_link": None, "missing": missing})
        return
    say("The database is ready." if changed else "The database was up to date.")
    if clinic:
        say(f"Clinic {clinic.id}: {clinic.name}, {clinic.timezone}.")
    if missing:
        say("Still missing before live mode:")
        for line in missing:
            say(f"  {line}")
        say("Set them with: aftercare clinic set KEY=VALUE …")


def _first_clinic(service: Service, name: str | None, given: dict[str, str], owner: str | None) -> Clinic | None:
    """The clinic of this `init`: a new one, or the one that has that name already; shipped texts brought up to date."""
    from service.actions import clinic_setup, words
    from service.actions.revise import Who
    from service.store import clinics

    who = Who(actor(), service.now())
    with service.store.write() as connection:
        known = clinics.every(connection)
        for clinic in known:
            words.import_shipped(connection, service.catalogue, clinic, who)
        if name is None:
            if given:
                raise BadInput("clinic data without a clinic", field="clinic", next_step="Add --clinic NAME.")
            return None
        same = next((clinic for clinic in known if clinic.name == name), None)
        clinic = same or clinic_setup.add_clinic(connection, service.catalogue, {"name": name, **given}, who)
        if same and given:
            clinic = clinic_setup.change_clinic(connection, same, given, who)
        if owner and not any(row["email"] == owner for row in clinics.list_staff(connection, clinic.id)):
            clinic_setup.add_staff(connection, clinic, {"email": owner, "name": owner, "role": "owner"}, who)
        return clinic


@click.group("clinic")
def clinic_command() -> None:
    """Show, change, add or list clinics."""


def _show_clinic(clinic: Clinic, json_: bool) -> None:
    from service.actions.clinic_setup import FIELDS

    fields = {"id": clinic.id} | {name: getattr(clinic, name) for name in FIELDS}
    if json_:
        print_document(fields | {"missing": list(clinic.missing)})
        return
    rows = [{"field": name, "value": value or "(not set)"} for name, value in fields.items()]
    print_table(rows, {"field": "field", "value": "value"}, "")
    if clinic.missing:
        say(f"Missing before live mode: {', '.join(clinic.missing)}.")


@clinic_command.command("show")
@desk_options
def show_clinic(json_: bool, now: str | None, clinic_id: int | None) -> None:
    """All fields of the clinic, and what is missing."""
    with desk_for(clinic_id, now) as desk:
        _show_clinic(desk.clinic, json_)


@clinic_command.command("list")
@json_option
def list_clinics(json_: bool) -> None:
    """All clinics."""
    from service.store import clinics

    with service_for() as service, service.store.read() as connection:
        rows = [{"id": one.id, "name": one.name, "timezone": one.timezone} for one in clinics.every(connection)]
    if json_:
        print_lines(rows)
    else:
        columns = {"id": "id", "name": "name", "timezone": "zone"}
        print_table(rows, columns, "No clinic yet. Run: aftercare init --clinic NAME …")


@clinic_command.command("set", epilog="Example: aftercare clinic set phone='01632 960 001' send_at=18:15")
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE…")
@desk_options
def set_clinic(json_: bool, now: str | None, clinic_id: int | None, pairs: tuple[str, ...]) -> None:
    """Change fields of the clinic; what is planned keeps its hour."""
    from service.actions import clinic_setup

    with _writing(clinic_id, now) as (desk, connection):
        clinic = clinic_setup.change_clinic(connection, desk.clinic, read_pairs(pairs), _who(desk))
    _show_clinic(clinic, json_)


@contextmanager
def _writing(clinic_id: int | None, now: str | None) -> Iterator[tuple[Desk, Any]]:
    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        yield desk, connection


def _who(desk: Desk) -> Who:
    from service.actions.revise import Who

    return Who(desk.actor, desk.now)


@clinic_command.command("add")
@click.option("--name", required=True)
@_clinic_options
@json_option
@now_option
def add_clinic(name: str, json_: bool, now: str | None, **options: Any) -> None:
    """Another clinic in the same installation; its data never mixes with the others'."""
    from service.actions import clinic_setup
    from service.actions.revise import Who

    with service_for(now) as service, service.store.write() as connection:
        who = Who(actor(), service.now())
        given = {"name": name, **_given(options)}
        clinic = clinic_setup.add_clinic(connection, service.catalogue, given, who)
    _show_clinic(clinic, json_)


@click.group("staff")
def staff_command() -> None:
    """Add, list or disable staff members."""


@staff_command.command(
    "add", epilog="Example: aftercare staff add --email dr.lee@example.com --name 'Dr Lee' --role clinician"
)
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--role", required=True, help="reception, clinician, owner or ops.")
@desk_options
def add_staff(json_: bool, now: str | None, clinic_id: int | None, **given: str) -> None:
    """Add a staff member."""
    from service.actions import clinic_setup

    with _writing(clinic_id, now) as (desk, connection):
        staff_id = clinic_setup.add_staff(connection, desk.clinic, given, _who(desk))
    if json_:
        print_document({"id": staff_id, "clinic_id": desk.clinic.id, **given})
    else:
        say(f"Staff member {staff_id}: {given['name']}, {given['role']}.")


@staff_command.command("list")
@desk_options
def list_staff(json_: bool, now: str | None, clinic_id: int | None) -> None:
    """Everybody who works here."""
    from service.store import clinics

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = [dict(row) for row in clinics.list_staff(connection, desk.clinic.id)]
    if json_:
        print_lines(rows)
    else:
        columns = {"id": "id", "name": "name", "email": "e-mail", "role": "role", "disabled_at": "disabled"}
        print_table(rows, columns, "Nobody yet. Add one with: aftercare staff add …")


@staff_command.command("disable")
@click.argument("staff_id", type=int)
@desk_options
def disable_staff(json_: bool, now: str | None, clinic_id: int | None, staff_id: int) -> None:
    """Disable a staff member."""
    from service.actions import clinic_setup

    with _writing(clinic_id, now) as (desk, connection):
        clinic_setup.disable_staff(connection, desk.clinic, staff_id, _who(desk))
    if json_:
        print_document({"id": staff_id, "disabled": True})
    else:
        say(f"Staff member {staff_id} is disabled.")


@click.group("config")
def config_command() -> None:
    """Show or check the settings (secrets masked)."""


@config_command.command("show")
@json_option
def show_config(json_: bool) -> None:
    """Every setting: value, and what it means."""
    from service.settings import describe, read_settings

    rows = describe(read_settings())
    if json_:
        print_lines(rows)
    else:
        print_table(rows, {"setting": "setting", "value": "value", "meaning": "meaning"}, "")


@config_command.command("check")
@json_option
def check_config(json_: bool) -> None:
    """Read the settings and the database; say what is wrong and what to do. Exit 2 if something is."""
    with service_for() as service:
        clinics_missing = _missing(service)
    if json_:
        print_document({"ok": True, "missing": clinics_missing})
        return
    say("The settings are right.")
    for line in clinics_missing:
        say(f"Missing before live mode: {line}")


def _missing(service: Service) -> list[str]:
    from service.store import clinics

    with service.store.read() as connection:
        return [f"clinic {one.id}: {field}" for one in clinics.every(connection) for field in one.missing]


@click.command("completion", epilog="Example: aftercare completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the line that switches on completion in your shell."""
    lines = {
        "bash": 'eval "$(_AFTERCARE_COMPLETE=bash_source aftercare)"',
        "zsh": 'eval "$(_AFTERCARE_COMPLETE=zsh_source aftercare)"',
        "fish": "_AFTERCARE_COMPLETE=fish_source aftercare | source",
    }
    click.echo(lines[shell])
