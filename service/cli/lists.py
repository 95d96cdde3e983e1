"""Commands that list: outbox, attempts, calls, forecast."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import click

from service.cli.options import desk_for, desk_options, limit_option
from service.cli.output import print_lines, print_table, utc
from service.errors import BadInput


def _utc_row(row: Any) -> dict[str, Any]:
    return {
        key: utc(value) if hasattr(value, "isoformat") and key.endswith(_INSTANTS) else value
        for key, value in row.items()
    }


_INSTANTS = ("_at", "_until", "_since", "not_before")


def _print(rows: Iterable[dict[str, Any]], json_: bool, columns: dict[str, str], nothing: str) -> None:
    if json_:
        print_lines(rows)
    else:
        print_table(list(rows), columns, nothing)


@click.command("outbox", epilog="Example: aftercare outbox --state missed --json")
@click.option("--state", help="Like planned, sent, missed, held, failed, cancelled, in_doubt, unconfirmed.")
@click.option("--client", "client_id", type=int, metavar="ID")
@click.option("--due-before", metavar="INSTANT", help="ISO 8601 with zone.")
@limit_option
@desk_options
def outbox_command(json_: bool, now: str | None, clinic_id: int | None, **wanted: Any) -> None:
    """The e-mails of this clinic, by due time. With --json one line each, with every column."""
    from service.domain.reminder import State
    from service.store import lists
    from service.wiring import read_instant

    if wanted["state"] is not None and wanted["state"] not in tuple(State):
        raise BadInput(f"{wanted['state']!r} is not a state", field="state", next_step=f"Use {', '.join(State)}.")
    before = read_instant(wanted["due_before"]) if wanted["due_before"] else None
    chosen = lists.OutboxFilter(wanted["state"], wanted["client_id"], before, wanted["limit"])
    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = (_utc_row(row) for row in lists.outbox_rows(connection, desk.clinic.id, chosen))
        columns = {
            "id": "id",
            "client_id": "client",
            "step": "step",
            "due_at": "due",
            "state": "state",
            "reason": "why",
        }
        _print(rows, json_, columns, "Nothing here. E-mails appear when a treatment is registered.")


@click.command("attempts", epilog="Example: aftercare attempts --email 12")
@click.option("--email", "email_id", type=int, metavar="ID")
@limit_option
@desk_options
def attempts_command(
    json_: bool, now: str | None, clinic_id: int | None, email_id: int | None, limit: int | None
) -> None:
    """Every conversation with the relay about an e-mail: the evidence."""
    from service.store import lists

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = (_utc_row(row) for row in lists.attempt_rows(connection, desk.clinic.id, email_id, limit))
        columns = {"email_id": "e-mail", "ended_at": "ended", "stage": "stage", "code": "code", "outcome": "outcome"}
        _print(rows, json_, columns, "No conversation yet.")


@click.command("forecast", epilog="Example: aftercare forecast --days 7")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True)
@desk_options
def forecast_command(json_: bool, now: str | None, clinic_id: int | None, days: int) -> None:
    """What goes out in the next days, by local date."""
    from service.store import lists

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        until = desk.now + timedelta(days=days)
        rows = (
            {
                "date": max(row["not_before"], desk.now).astimezone(desk.clinic.zone).date().isoformat(),
                **{key: row[key] for key in ("clinic_id", "client_id", "protocol", "step")},
                "due_at": utc(row["due_at"]),
                "state": row["state"],
            }
            for row in lists.forecast_rows(connection, desk.clinic.id, desk.now, until)
        )
        columns = {"date": "date", "client_id": "client", "step": "step", "due_at": "due", "state": "state"}
        _print(rows, json_, columns, f"Nothing goes out in the next {days} days.")


@click.group("calls")
def calls_command() -> None:
    """Who must be phoned, and why."""


@calls_command.command("list", epilog="Example: aftercare calls list --state open")
@click.option("--state", type=click.Choice(["open", "closed", "covered"]))
@desk_options
def list_calls(json_: bool, now: str | None, clinic_id: int | None, state: str | None) -> None:
    """Calls by deadline."""
    from service.store import calls

    fields = ("id", "clinic_id", "client_id", "email_id", "reason", "level", "phone", "opened_at", "due_at")
    fields += ("state", "outcome", "closed_by", "closed_at")
    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = calls.listed(connection, desk.clinic.id, state)
    shown = [
        _utc_row({field: row[field] for field in fields} | ({} if json_ else {"name": row["name"]})) for row in rows
    ]
    columns = {"id": "id", "due_at": "due", "name": "who", "phone": "phone", "reason": "why", "state": "state"}
    _print(shown, json_, columns, "Nobody needs a call. What an e-mail could not tell appears here.")


@calls_command.command("close", epilog="Example: aftercare calls close 3 --outcome reached --note 'coming at 4 pm'")
@click.argument("call_id", type=int)
@click.option("--outcome", required=True, type=click.Choice(["reached", "no_answer", "referred", "wrong_number"]))
@click.option("--note", default="", help="What was said; kept until the client is erased.")
@desk_options
def close_call(json_: bool, now: str | None, clinic_id: int | None, call_id: int, outcome: str, note: str) -> None:
    """Close a call with its outcome."""
    from service.actions.calls import Closing, close
    from service.actions.revise import Who

    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        close(connection, desk.clinic, call_id, Closing(outcome, note), Who(desk.actor, desk.now))
    if json_:
        print_lines([{"id": call_id, "state": "closed", "outcome": outcome}])
