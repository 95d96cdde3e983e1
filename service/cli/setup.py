"""Commands that set up: init, config, completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.clinic_fields import clinic_options, given_fields
from service.cli.links import show_link, welcome_link
from service.cli.options import actor, json_option, now_option, service_for, settings_for
from service.cli.output import example, print_document, print_lines, print_table, say
from service.errors import BadConfiguration, BadInput

if TYPE_CHECKING:
    from service.actions.revise import Who
    from service.store.clinics import Clinic
    from service.wiring import Service


@click.command(
    "init",
    epilog=example(
        "aftercare init --clinic Northgate --timezone Europe/London --phone '01632 960 001' \\",
        "  --hours 'mon-fri 09:00-18:00; sat 10:00-14:00' --emergency-number 999 \\",
        "  --urgent-line-name 'NHS 111' --urgent-line-number 111 \\",
        "  --reply-to desk@northgate-clinic.org --sender-name Northgate",
    ),
)
@click.option("--clinic", "clinic_name", metavar="NAME", help="Name of the first clinic.")
@click.option("--owner", metavar="EMAIL", help="Address of the owner; prints a one-time link to sign in.")
@clinic_options
@json_option
@now_option
def init_command(clinic_name: str | None, owner: str | None, json_: bool, now: str | None, **options: Any) -> None:
    """Make or update the database; add the first clinic, its owner and the shipped texts as drafts.

    Run again it changes what you give anew and nothing else.
    """
    from service.store.schema import migrate

    with service_for(now, migrated=False) as service:
        changed = migrate(service.store)
        _ = service.signer  # makes the secret key, so that the first e-mail can be signed
        clinic, link = _first_clinic(service, clinic_name, given_fields(options), owner)
        missing = _missing(service) if clinic else ["a clinic: run `aftercare init --clinic NAME --timezone ZONE …`"]
    if json_:
        print_document({"clinic_id": clinic.id if clinic else None, "sign_in_link": link, "missing": missing})
        return
    say("The database is ready." if changed else "The database was up to date.")
    if clinic:
        say(f"Clinic {clinic.id}: {clinic.name}, {clinic.timezone}.")
    for line in missing:
        say(f"Missing before live mode: {line}")
    if clinic and missing:
        say("Set it with: aftercare clinic set KEY=VALUE")
    if link:
        show_link(link)


def _first_clinic(
    service: Service, name: str | None, given: dict[str, str], owner: str | None
) -> tuple[Clinic | None, str | None]:
    """The clinic of this `init`, shipped texts brought up to date: a new one, or the one there is, changed as given.

    With it a sign-in link for an owner who has no password yet.
    """
    from service.actions import words
    from service.actions.revise import Who
    from service.store import clinics

    who = Who(actor(), service.now())
    with service.store.write() as connection:
        known = clinics.every(connection)
        for clinic in known:
            words.import_shipped(connection, service.catalogue, clinic, who)
        chosen = _chosen(known, name)
        if chosen is None and name is None:
            if given or owner:
                raise BadInput("there is no clinic to set that for", field="clinic", next_step="Add --clinic NAME.")
            return None, None
        return _set_up(connection, service, (chosen, name or ""), (given, owner), who)


def _chosen(known: list[Clinic], name: str | None) -> Clinic | None:
    """Which of the clinics is meant. Raises BadInput where a second one would be made by mistake."""
    if name is None:
        return known[0] if len(known) == 1 else None
    same = next((clinic for clinic in known if clinic.name == name), None)
    if same is None and known:
        listed = ", ".join(f"{clinic.id} ({clinic.name})" for clinic in known)
        raise BadInput(
            f"there is a clinic already: {listed}",
            field="clinic",
            next_step="Rename it with `aftercare clinic set name=…`, or add another with `aftercare clinic add`.",
        )
    return same


def _set_up(
    connection: Any,
    service: Service,
    which: tuple[Clinic | None, str],
    wanted: tuple[dict[str, str], str | None],
    who: Who,
) -> tuple[Clinic, str | None]:
    from service.actions import clinic_setup, sign_in
    from service.store import staff

    (clinic, name), (given, owner) = which, wanted
    if clinic is None:
        clinic = clinic_setup.add_clinic(connection, service.catalogue, {"name": name, **given}, who)
    elif given:
        clinic = clinic_setup.change_clinic(connection, clinic, given, who)
    if not owner:
        return clinic, None
    owner_id = clinic_setup.ensure_owner(connection, clinic, owner, who)
    person = staff.get(connection, clinic.id, owner_id)
    if person["password"] is not None or person["disabled_at"] is not None:
        return clinic, None
    return clinic, welcome_link(service, sign_in.make_link(connection, clinic.id, owner_id, who))


def _missing(service: Service) -> list[str]:
    """What live mode needs and the clinics have not said."""
    from service.store import clinics

    with service.store.read() as connection:
        return [f"clinic {one.id}: {field}" for one in clinics.every(connection) for field in one.missing]


@click.group("config", epilog=example("aftercare config show", "aftercare config check"))
def config_command() -> None:
    """Show or check the settings (secrets masked)."""


@config_command.command("show", epilog=example("aftercare config show"))
@json_option
def show_config(json_: bool) -> None:
    """Every setting: value, default, unit, and what it means."""
    from service.settings import Settings, describe

    columns = {"setting": "setting", "value": "value", "meaning": "meaning"}
    try:
        rows = describe(settings_for())
    except BadConfiguration:
        if not json_:
            # The names help to mend it; the values cannot be trusted.
            print_table(describe(Settings()), columns | {"value": "default"}, "")
        raise
    if json_:
        print_lines(rows)
    else:
        told = [row | {"meaning": _with_unit(row["meaning"], row["unit"])} for row in rows]
        print_table(told, columns, "")


def _with_unit(meaning: str, unit: str) -> str:
    return meaning if unit in meaning else f"{meaning} ({unit})"


@config_command.command("check", epilog=example("aftercare config check"))
@json_option
def check_config(json_: bool) -> None:
    """Read the settings and the database; say what is wrong and what to do. Exit 2 if something is."""
    from service import wiring
    from service.settings import without_password

    wiring.bind_address(settings_for())
    with service_for() as service:
        _ = service.signer  # reads the secret key
        missing = _missing(service)
        wiring.require_ready(service)
    if json_:
        print_document({"ok": True, "missing": missing})
        return
    say("The settings are right.")
    mode, relay = service.settings.mode, service.settings.relay_host
    say(f"Mode: {mode}. Database: {without_password(service.settings.database)}. Mail relay: {relay or 'none'}.")
    for line in missing:
        say(f"Missing before live mode: {line}")


@click.command("completion", epilog=example('eval "$(aftercare completion bash)"'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what switches on completion in your shell; put the line of the example into ~/.bashrc to keep it."""
    from click.shell_completion import get_completion_class

    from service.cli import COMMANDS, aftercare

    made = get_completion_class(shell)
    assert made is not None
    completion = made(aftercare, {}, "aftercare", "_AFTERCARE_COMPLETE")
    click.echo(f"# aftercare completes: {' '.join(COMMANDS)}")
    # Not source(): it starts a shell to ask for its version.
    click.echo(completion.source_template % completion.source_vars())
