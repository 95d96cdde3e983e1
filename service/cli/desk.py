"""Commands of the desk: clients and their treatments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.options import Desk, desk_for, desk_options, limit_option, read_date, read_pairs
from service.cli.output import print_document, print_lines, print_table, say, utc
from service.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from service.actions.register import Planned
    from service.actions.revise import Who
    from service.domain.protocol import FollowUpProtocol


@click.group("client")
def client_command() -> None:
    """Clients: add, show, list, set, stop, pause, erase, export."""


@client_command.command("add", epilog="Example: aftercare client add --name 'Sam Reed' --email sam@example.com")
@click.option("--name", required=True, help="The whole name; the e-mail greets by the first.")
@click.option("--email", required=True)
@click.option("--phone", default="", help="Where to call when an e-mail cannot do it.")
@click.option("--language", default="", help="Like en or es-MX; default: the clinic's.")
@click.option("--client-ref", default="", help="The clinic's own id for this person.")
@click.option("--guardian", default="", help="Name of the guardian of a minor.")
@click.option("--consent-on", metavar="DATE", help="Day the client agreed; default: today.")
@click.option("--no-consent", is_flag=True, help="The client said no: nothing will be sent.")
@desk_options
def add_client(json_: bool, now: str | None, clinic_id: int | None, **given: Any) -> None:
    """Register a client."""
    from service.actions import register

    consent_on = read_date(given["consent_on"], "consent_on") if given["consent_on"] else None
    new = register.NewClient(
        name=given["name"],
        email=given["email"],
        phone=given["phone"],
        language=given["language"],
        client_ref=given["client_ref"],
        guardian=given["guardian"],
        consent=not given["no_consent"],
        consent_on=consent_on,
    )
    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        client = register.add_client(connection, desk.clinic, new, desk.actor, desk.now)
    _show_client(client, json_)


def _show_client(client: Any, json_: bool) -> None:
    shown = {
        "id": client["id"],
        "clinic_id": client["clinic_id"],
        "name": client["name"],
        "email": client["email"],
        "phone": client["phone"],
        "language": client["language"],
        "client_ref": client["client_ref"] or None,
        "guardian": client["guardian"] or None,
        "consent_on": client["consent_on"],
        "state": client["state"],
    }
    if json_:
        print_document(shown)
    else:
        print_table([shown], {"id": "id", "name": "name", "email": "e-mail", "state": "state"}, "")


@client_command.command("show")
@click.argument("client_id", type=int)
@desk_options
def show_client(json_: bool, now: str | None, clinic_id: int | None, client_id: int) -> None:
    """One client."""
    from service.store import clients

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        client = clients.get(connection, desk.clinic.id, client_id)
    _show_client(client, json_)


@client_command.command("list")
@limit_option
@desk_options
def list_clients(json_: bool, now: str | None, clinic_id: int | None, limit: int | None) -> None:
    """All clients of the clinic."""
    from service.store import clients

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = clients.listed(connection, desk.clinic.id, limit)
    fields = ("id", "clinic_id", "name", "email", "phone", "language", "client_ref", "state")
    shown = [{field: row[field] for field in fields} for row in rows]
    if json_:
        print_lines(shown)
    else:
        columns = {"id": "id", "name": "name", "email": "e-mail", "phone": "phone", "state": "state"}
        print_table(shown, columns, "No clients yet. Add one with: aftercare client add --name … --email …")


@client_command.command("set", epilog="Example: aftercare client set 7 email=sam@example.org phone=01632960002")
@click.argument("client_id", type=int)
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE…")
@desk_options
def set_client(json_: bool, now: str | None, clinic_id: int | None, client_id: int, pairs: tuple[str, ...]) -> None:
    """Change name, email, phone, language, client_ref or guardian."""
    from service.actions import revise

    given = read_pairs(pairs)
    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        client = revise.change_client(connection, desk.clinic, client_id, given, _who(desk))
    _show_client(client, json_)


def _who(desk: Desk) -> Who:
    from service.actions.revise import Who

    return Who(desk.actor, desk.now)


def _simple(name: str, sentence: str, done: str) -> None:
    """A command that does one thing to one client: stop, unstop, pause, resume, erase."""

    @client_command.command(name, help=sentence)
    @click.argument("client_id", type=int)
    @desk_options
    def command(json_: bool, now: str | None, clinic_id: int | None, client_id: int) -> None:
        from service.actions import revise
        from service.store import clients

        act: Callable[..., None] = getattr(revise, name)
        with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
            act(connection, desk.clinic, client_id, _who(desk))
            client = clients.get(connection, desk.clinic.id, client_id)
        say(done.format(client_id))
        if json_:
            _show_client(client, json_)


_simple("stop", "The client wants no more reminders.", "Client {} gets no more reminders.")
_simple("unstop", "Undo a stop for treatments to come.", "Client {} gets reminders of new treatments again.")
_simple("pause", "Hold what is planned.", "Client {}'s e-mails are held until `aftercare client resume`.")
_simple("resume", "End a pause; what is too late becomes a call.", "Client {}'s e-mails go on.")
_simple("erase", "Forget a client's personal data; cannot be undone.", "Client {} is erased.")


@client_command.command("export")
@click.argument("client_id", type=int)
@desk_options
def export_client(json_: bool, now: str | None, clinic_id: int | None, client_id: int) -> None:
    """Everything stored about one client, as one JSON document."""
    from service.store import clients, lists

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        client = clients.get(connection, desk.clinic.id, client_id)
        treatments = clients.list_treatments(connection, desk.clinic.id, client_id)
        rows = lists.outbox_rows(connection, desk.clinic.id, lists.OutboxFilter(client_id=client_id))
    del json_
    print_document(
        {"client": dict(client), "treatments": [dict(row) for row in treatments], "emails": [dict(row) for row in rows]}
    )


@click.group("treatment")
def treatment_command() -> None:
    """Treatments: add, correct, cancel, list."""


def _protocol(desk: Desk, key: str) -> FollowUpProtocol:
    """A protocol by its key or title. Raises BadInput naming those there are."""
    protocols = desk.service.catalogue.protocols
    for protocol in protocols.values():
        if key.strip().casefold() in (protocol.key, protocol.title.casefold()):
            return protocol
    raise BadInput(
        f"there is no protocol for the treatment {key!r}",
        field="protocol",
        next_step=f"Use one of {', '.join(protocols)}, or add a folder to templates/email.",
    )


@treatment_command.command(
    "add", epilog="Example: aftercare treatment add --client 7 --protocol scalp-micropigmentation --on 2026-11-20"
)
@click.option("--client", "client_id", type=int, required=True, metavar="ID")
@click.option("--protocol", required=True, help="Key or title of the treatment type.")
@click.option("--on", required=True, metavar="DATE", help="The day it was done, in the clinic's zone.")
@click.option("--at", default="", metavar="HH:MM", help="When, if you want it noted.")
@desk_options
def add_treatment(json_: bool, now: str | None, clinic_id: int | None, **given: Any) -> None:
    """Register a treatment that was done, and print the plan."""
    from service.actions import register

    on = read_date(given["on"], "on")
    with desk_for(clinic_id, now) as desk:
        new = register.NewTreatment(given["client_id"], _protocol(desk, given["protocol"]), on, given["at"])
        with desk.service.store.write() as connection:
            planned = register.add_treatment(connection, desk.clinic, new, desk.actor, desk.now)
        if not planned.created:
            say(f"Treatment {planned.treatment_id} was registered already; nothing was changed.")
        show_plan(planned, desk, json_)


def show_plan(planned: Planned, desk: Desk, json_: bool) -> None:
    """The rows as read back: JSON, or a table in the clinic's zone."""
    if json_:
        steps = [
            {
                "step": row["step"],
                "day": row["day"],
                "due_at": utc(row["due_at"]),
                "useful_until": utc(row["useful_until"]),
                "state": row["state"],
                "reason": row["reason"],
            }
            for row in planned.rows
        ]
        print_document({"treatment_id": planned.treatment_id, "plan": steps, "kept": list(planned.kept)})
        return
    rows = [
        {
            "step": row["step"],
            "due": row["due_at"].astimezone(desk.clinic.zone).strftime("%a %d %b %Y %H:%M"),
            "state": row["state"],
            "reason": (row["reason"] or "").replace("_", " "),
        }
        for row in planned.rows
    ]
    say(f"Treatment {planned.treatment_id}, times in {desk.clinic.timezone}:")
    print_table(rows, {"step": "step", "due": "goes out", "state": "state", "reason": "why"}, "No steps.")
    if planned.kept:
        say(f"Kept because they were sent rightly or are being sent: {', '.join(planned.kept)}.")


@treatment_command.command("correct")
@click.argument("treatment_id", type=int)
@click.option("--on", required=True, metavar="DATE", help="The day it was really done.")
@click.option("--at", default="", metavar="HH:MM")
@desk_options
def correct_treatment(json_: bool, now: str | None, clinic_id: int | None, treatment_id: int, on: str, at: str) -> None:
    """Correct the day of a treatment; what is open is planned anew."""
    from service.actions import register, revise

    day = read_date(on, "on")
    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        treatment = _treatment(connection, desk, treatment_id)
        new = register.NewTreatment(treatment["client_id"], _protocol(desk, treatment["protocol"]), day, at)
        planned = revise.correct_treatment(connection, desk.clinic, treatment_id, new, _who(desk))
        show_plan(planned, desk, json_)


def _treatment(connection: sa.Connection, desk: Desk, treatment_id: int) -> sa.RowMapping:
    from service.store import clients

    return clients.get_treatment(connection, desk.clinic.id, treatment_id)


@treatment_command.command("cancel")
@click.argument("treatment_id", type=int)
@desk_options
def cancel_treatment(json_: bool, now: str | None, clinic_id: int | None, treatment_id: int) -> None:
    """Cancel a treatment; nothing more of it goes out."""
    from service.actions import revise

    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        protocol = _protocol(desk, _treatment(connection, desk, treatment_id)["protocol"])
        planned = revise.cancel_treatment(connection, desk.clinic, treatment_id, protocol, _who(desk))
        show_plan(planned, desk, json_)


@treatment_command.command("list")
@click.option("--client", "client_id", type=int, metavar="ID")
@limit_option
@desk_options
def list_treatments(
    json_: bool, now: str | None, clinic_id: int | None, client_id: int | None, limit: int | None
) -> None:
    """Treatments, oldest first."""
    from service.store import clients

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = clients.list_treatments(connection, desk.clinic.id, client_id, limit)
    fields = ("id", "clinic_id", "client_id", "protocol", "treated_on", "treated_at", "cancelled_at")
    shown = [{field: row[field] for field in fields} for row in rows]
    if json_:
        print_lines(shown)
    else:
        columns = {"id": "id", "client_id": "client", "protocol": "protocol", "treated_on": "done on"}
        print_table(shown, columns, "No treatments yet. Add one with: aftercare treatment add …")
