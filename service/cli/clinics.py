"""Commands about clinics and the people who work there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.clinic_fields import CLINIC_OPTIONS, clinic_options, given_fields
from service.cli.links import show_link, welcome_link
from service.cli.options import (
    ID,
    actor,
    desk_for,
    desk_options,
    json_option,
    now_option,
    read_pairs,
    service_for,
    shortened,
    writing,
)
from service.cli.output import example, print_document, print_lines, print_table, say
from service.cli.steps import step_command
from service.domain.plain import local, words

if TYPE_CHECKING:
    from service.cli.options import Desk
    from service.store.clinics import Clinic


@click.group("clinic", epilog=example("aftercare clinic show", "aftercare clinic set phone='01632 960 001'"))
def clinic_command() -> None:
    """Show, change, add or list clinics."""


def _show(clinic: Clinic, json_: bool) -> None:
    from service.actions.clinic_setup import FIELDS

    fields = {"id": clinic.id} | {name: getattr(clinic, name) for name in FIELDS}
    if json_:
        print_document(fields | {"missing": list(clinic.missing)})
        return
    rows = [{"field": name, "value": _said(value)} for name, value in fields.items()]
    print_table(rows, {"field": "field", "value": "value"}, "")
    if clinic.missing:
        say(f"Missing before live mode: {', '.join(clinic.missing)}.")


def _said(value: Any) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value or "(not set)"


@clinic_command.command("show", epilog=example("aftercare clinic show"))
@desk_options
def show_clinic(json_: bool, now: str | None, clinic_id: int | None) -> None:
    """All fields of the clinic, and what is missing."""
    with desk_for(clinic_id, now) as desk:
        _show(desk.clinic, json_)


@clinic_command.command("list", epilog=example("aftercare clinic list"))
@json_option
def list_clinics(json_: bool) -> None:
    """All clinics."""
    from service.store import clinics

    with service_for() as service, service.store.read() as connection:
        rows = [{"id": one.id, "name": one.name, "timezone": one.timezone} for one in clinics.every(connection)]
    if json_:
        print_lines(rows)
    else:
        columns = {"id": "id", "timezone": "zone", "name": "name"}
        print_table(rows, columns, "No clinic yet. Run: aftercare init --clinic NAME --timezone ZONE")


@clinic_command.command("set", epilog=example("aftercare clinic set phone='01632 960 001' send_at=18:15"))
@click.argument("pairs", nargs=-1, metavar="KEY=VALUE…")
@click.option("--closed-days", help=f"{CLINIC_OPTIONS['closed-days']} Replaces the dates before; '' for none.")
@desk_options
def set_clinic(
    json_: bool, now: str | None, clinic_id: int | None, pairs: tuple[str, ...], closed_days: str | None
) -> None:
    """Change fields of the clinic; what is planned keeps its hour."""
    from service.actions import clinic_setup

    given = read_pairs(pairs if closed_days is None else (*pairs, f"closed_days={closed_days}"))
    if not given:
        raise click.UsageError("Missing argument 'KEY=VALUE…'.")
    with writing(clinic_id, now) as (desk, connection):
        clinic = clinic_setup.change_clinic(connection, desk.clinic, given, desk.who)
    _show(clinic, json_)


@clinic_command.command("add", epilog=example("aftercare clinic add --name Southgate --timezone Europe/Lisbon"))
@click.option("--name", required=True, help="As clients know it.")
@clinic_options
@json_option
@now_option
def add_clinic(name: str, json_: bool, now: str | None, **options: Any) -> None:
    """Another clinic in the same installation; its data never mixes with the others'."""
    from service.actions import clinic_setup
    from service.actions.revise import Who

    with service_for(now) as service:
        given, who = {"name": name, **given_fields(options)}, Who(actor(), service.now())
        with service.store.write() as connection:
            clinic = clinic_setup.add_clinic(connection, service.catalogue, given, who)
    _show(clinic, json_)


clinic_command.add_command(step_command)


@click.group("staff", epilog=example("aftercare staff list"))
def staff_command() -> None:
    """Add, list, disable or enable staff members; make links to sign in."""


@staff_command.command(
    "add", epilog=example("aftercare staff add --email dr.lee@example.com --name 'Dr Lee' --role clinician")
)
@click.option("--email", required=True, help="Address to log in with.")
@click.option("--name", required=True, help="As colleagues know the person.")
@click.option("--role", required=True, help="reception, clinician, owner or ops.")
@desk_options
def add_staff(json_: bool, now: str | None, clinic_id: int | None, **given: str) -> None:
    """Add a staff member and print a one-time link to choose a password. Only a clinician can approve texts."""
    from service.actions import clinic_setup

    with writing(clinic_id, now) as (desk, connection):
        staff_id, token = clinic_setup.invite(connection, desk.clinic, given, desk.who)
        added = next(row for row in _people(desk, connection) if row["id"] == staff_id)
    link = welcome_link(desk.service, token)
    if json_:
        print_document(added | {"sign_in_link": link})
    else:
        say(f"Staff member {staff_id}: {added['name']}, {added['role']}.")
        show_link(link)


def _people(desk: Desk, connection: Any) -> list[dict[str, Any]]:
    """Everybody, in the order they came, without passwords and secrets."""
    from service.store import staff

    rows = staff.people(connection, desk.clinic.id, desk.now)
    return sorted(({"clinic_id": desk.clinic.id, **row} for row in rows), key=lambda row: int(row["id"]))


@staff_command.command("list", epilog=example("aftercare staff list --json"))
@desk_options
def list_staff(json_: bool, now: str | None, clinic_id: int | None) -> None:
    """Everybody who works here."""
    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = _people(desk, connection)
    if json_:
        print_lines(rows)
        return
    told = [row | {"disabled": local(row["disabled_at"], desk.clinic.zone, desk.now)} for row in rows]
    columns = {"id": "id", "role": "role", "email": "e-mail", "disabled": "disabled", "name": "name"}
    nothing = "Nobody yet. Add one with: aftercare staff add --email ADDRESS --name NAME --role ROLE"
    print_table([row | {"role": words(row["role"])} for row in told], columns, nothing)


@staff_command.command("disable", epilog=example("aftercare staff disable 3"))
@click.argument("staff_id", type=ID)
@desk_options
def disable_staff(json_: bool, now: str | None, clinic_id: int | None, staff_id: int) -> None:
    """Disable a staff member; they are signed out at once."""
    from service.actions import staffing

    with writing(clinic_id, now) as (desk, connection):
        staffing.disable_staff(connection, desk.clinic, staff_id, desk.who)
    if json_:
        print_document({"id": staff_id, "disabled": True})
    else:
        say(f"Staff member {staff_id} is disabled.")


@staff_command.command("enable", epilog=example("aftercare staff enable 3"))
@click.argument("staff_id", type=ID)
@desk_options
def enable_staff(json_: bool, now: str | None, clinic_id: int | None, staff_id: int) -> None:
    """Let a disabled staff member in again; they need a new link (`staff link`)."""
    from service.actions import staffing

    with writing(clinic_id, now) as (desk, connection):
        staffing.enable_staff(connection, desk.clinic, staff_id, desk.who)
    if json_:
        print_document({"id": staff_id, "disabled": False})
    else:
        say(f"Staff member {staff_id} may sign in again, with a new link: `aftercare staff link {staff_id}`.")


@staff_command.command("link", epilog=example("aftercare staff link dr.lee@example.com"))
@click.argument("person", metavar="EMAIL|ID")
@click.option("--remove-code", is_flag=True, help="Remove the second factor too: the phone is lost.")
@desk_options
def link_staff(json_: bool, now: str | None, clinic_id: int | None, person: str, remove_code: bool) -> None:
    """A new one-time link for somebody who has no password yet, or forgot it. Ends their older links."""
    from service.actions import second_factor, sign_in
    from service.domain.persons import fold_address
    from service.errors import NotFound

    with writing(clinic_id, now) as (desk, connection):
        rows = _people(desk, connection)
        same = [row for row in rows if str(row["id"]) == person or fold_address(row["email"]) == fold_address(person)]
        if not same:
            fix = "See `aftercare staff list`."
            raise NotFound(f"this clinic has no staff member {shortened(person)}", field="person", next_step=fix)
        staff_id = int(same[0]["id"])
        if remove_code:
            second_factor.remove_for(connection, desk.clinic, staff_id, desk.who)
        token = sign_in.make_link(connection, desk.clinic.id, staff_id, desk.who)
    link = welcome_link(desk.service, token)
    if json_:
        print_document({"id": staff_id, "sign_in_link": link})
    else:
        show_link(link)
