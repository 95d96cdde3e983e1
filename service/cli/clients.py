"""Commands about clients."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import ID, desk_for, desk_options, limit_option, read_date, read_pairs, writing
from service.cli.output import example, print_document, print_lines, print_table, say
from service.domain.plain import words

if TYPE_CHECKING:
    from collections.abc import Callable

_FIELDS = ("id", "clinic_id", "name", "email", "phone", "language", "client_ref", "guardian", "consent_on", "state")
_NONE_YET = "No clients yet. Add one with: aftercare client add --name NAME --email ADDRESS"


@click.group("client", epilog=example("aftercare client add --name 'Sam Reed' --email sam@example.com"))
def client_command() -> None:
    """Clients: add, show, list, set, stop, pause, erase, export."""


@client_command.command(
    "add",
    epilog=example(
        "aftercare client add --name 'Sam Reed' --email sam@example.com",
        "aftercare client add --name 'Lou Day' --email mum@example.com --guardian 'Kim Day'",
    ),
)
@click.option("--name", required=True, help="The whole name; the e-mail greets by the first.")
@click.option("--email", required=True, help="One address.")
@click.option("--phone", default="", help="Where to call when an e-mail cannot do it.")
@click.option("--language", default="", help="Like en or es-MX; default: the clinic's.")
@click.option("--client-ref", default="", help="The clinic's own id for this person.")
@click.option("--guardian", default="", help="Name of the guardian of a minor.")
@click.option("--consent-on", metavar="DATE", help="Day the client agreed; default: today.")
@click.option("--no-consent", is_flag=True, help="The client said no: nothing will be sent.")
@click.option("--hello", "with_hello", is_flag=True, help="Send a neutral hello, to see that the address works.")
@desk_options
def add_client(json_: bool, now: str | None, clinic_id: int | None, **given: Any) -> None:
    """Register a client. That the client agreed is recorded as said by you, unless you say otherwise."""
    from service.actions import hello, register

    if given["no_consent"] and given["consent_on"]:
        raise click.UsageError("--no-consent and --consent-on contradict each other.")
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
    with writing(clinic_id, now) as (desk, connection):
        client = register.add_client(connection, desk.clinic, new, desk.actor, desk.now)
        if given["with_hello"]:
            hello.say_hello(connection, desk.clinic, client["id"], desk.now)
    _show(client, json_)


def _show(client: Any, json_: bool) -> None:
    """One client: all fields as a document, or as a table of what is set."""
    shown = _shown(client)
    if json_:
        print_document(shown)
        return
    rows = [{"field": words(name), "value": value} for name, value in shown.items() if value and name != "clinic_id"]
    print_table(rows, {"field": "field", "value": "value"}, "")


def _shown(client: Any) -> dict[str, Any]:
    shown = {name: client[name] for name in _FIELDS}
    return shown | {name: shown[name] or None for name in ("client_ref", "guardian")}


@client_command.command("show", epilog=example("aftercare client show 7"))
@click.argument("client_id", type=ID)
@desk_options
def show_client(json_: bool, now: str | None, clinic_id: int | None, client_id: int) -> None:
    """One client. That you looked is written into the audit."""
    from service.actions.reading import note_read
    from service.store import clients

    with desk_for(clinic_id, now) as desk:
        with desk.service.store.read() as connection:
            client = clients.get(connection, desk.clinic.id, client_id)
        note_read(desk.service.store, desk.clinic.id, desk.actor, client_id, desk.now)
    _show(client, json_)


@client_command.command("list", epilog=example("aftercare client list --limit 20", "aftercare client list --json"))
@limit_option
@desk_options
def list_clients(json_: bool, now: str | None, clinic_id: int | None, limit: int | None) -> None:
    """All clients of the clinic."""
    from service.store import clients

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = [_shown(row) for row in clients.listed(connection, desk.clinic.id, limit)]
    if json_:
        print_lines(rows)
        return
    told = [row | {"state": words(row["state"])} for row in rows]
    columns = {"id": "id", "state": "state", "phone": "phone", "email": "e-mail", "name": "name"}
    print_table(told, columns, _NONE_YET)


@client_command.command("set", epilog=example("aftercare client set 7 email=sam@example.org phone='01632 960 002'"))
@click.argument("client_id", type=ID)
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE…")
@desk_options
def set_client(json_: bool, now: str | None, clinic_id: int | None, client_id: int, pairs: tuple[str, ...]) -> None:
    """Change name, email, phone, language, client_ref or guardian."""
    from service.actions import revise

    given = read_pairs(pairs)
    with writing(clinic_id, now) as (desk, connection):
        client = revise.change_client(connection, desk.clinic, client_id, given, desk.who)
    _show(client, json_)


def _simple(name: str, sentence: str, done: str) -> None:
    """A command that does one thing to one client: stop, unstop, pause, resume, erase."""

    @client_command.command(name, help=sentence, epilog=example(f"aftercare client {name} 7"))
    @click.argument("client_id", type=ID)
    @desk_options
    def command(json_: bool, now: str | None, clinic_id: int | None, client_id: int) -> None:
        from service.actions import revise
        from service.store import clients

        act: Callable[..., None] = getattr(revise, name)
        with writing(clinic_id, now) as (desk, connection):
            act(connection, desk.clinic, client_id, desk.who)
            client = clients.get(connection, desk.clinic.id, client_id)
        say(done.format(client_id))
        if json_:
            _show(client, json_)


_simple("stop", "The client wants no more reminders.", "Client {} gets no more reminders.")
_simple("unstop", "Undo a stop for treatments to come.", "Client {} gets reminders of new treatments again.")
_simple("pause", "Hold what is planned.", "Client {}'s e-mails are held until `aftercare client resume`.")
_simple("resume", "End a pause; what is too late becomes a call.", "Client {}'s e-mails go on.")
_simple("erase", "Forget a client's personal data; cannot be undone.", "Client {} is erased.")


@client_command.command("export", epilog=example("aftercare client export 7 > client-7.json"))
@click.argument("client_id", type=ID)
@desk_options
def export_client(json_: bool, now: str | None, clinic_id: int | None, client_id: int) -> None:
    """All that is stored about one client, always as JSON."""
    from service.actions import revise
    from service.store import calls, check_ins, clients, lists

    del json_

    with writing(clinic_id, now) as (desk, connection):
        client = clients.get(connection, desk.clinic.id, client_id)
        revise.note(connection, desk.clinic, client_id, ("client exported", {}), desk.who)
    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        treatments = clients.list_treatments(connection, desk.clinic.id, client_id)
        rows = lists.outbox_rows(connection, desk.clinic.id, lists.OutboxFilter(client_id=client_id))
        phoned = [row for row in calls.listed(connection, desk.clinic.id) if row["client_id"] == client_id]
        document = {"client": dict(client), "treatments": [dict(row) for row in treatments]}
        answered = check_ins.listed(connection, desk.clinic.id, client_id)
        document["check_ins"] = [asdict(one) for one in answered]
        document |= {"emails": [dict(row) for row in rows], "calls": [dict(row) for row in phoned]}
    print_document(document)
