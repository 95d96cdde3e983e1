"""Commands that list what goes out and went out: outbox, attempts, forecast."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import click

from service.cli.options import ID, desk_for, desk_options, limit_option, read_instant, shortened
from service.cli.output import example, print_lines, print_table, utc
from service.domain.plain import local, reason, words
from service.errors import BadInput

_INSTANTS = ("_at", "_until", "_since", "not_before")


def utc_row(row: Any) -> dict[str, Any]:
    """A row of the store with its instants as JSON has them."""
    return {
        key: utc(value) if hasattr(value, "isoformat") and key.endswith(_INSTANTS) else value
        for key, value in row.items()
    }


def _print(rows: Iterable[dict[str, Any]], columns: dict[str, str], nothing: str) -> None:
    print_table(list(rows), columns, nothing)


@click.command(
    "outbox",
    epilog=example("aftercare outbox --state missed", "aftercare outbox --client 7 --json"),
)
@click.option("--state", help="Like planned, sent, missed, held, failed, cancelled, in_doubt, unconfirmed.")
@click.option("--client", "client_id", type=ID, metavar="ID", help="Only this client's.")
@click.option("--due-before", metavar="INSTANT", help="ISO 8601 with zone.")
@limit_option
@desk_options
def outbox_command(json_: bool, now: str | None, clinic_id: int | None, **wanted: Any) -> None:
    """The e-mails of this clinic, by due time. With --json one line each, with every column."""
    from service.domain.reminder import State
    from service.store import clients, lists

    state = wanted["state"]
    if state is not None and state not in tuple(State):
        raise BadInput(f"{shortened(state)} is not a state", field="state", next_step=f"Use {', '.join(State)}.")
    before = read_instant(wanted["due_before"], "due_before") if wanted["due_before"] else None
    chosen = lists.OutboxFilter(state, wanted["client_id"], before, wanted["limit"])
    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        if chosen.client_id is not None:
            clients.get(connection, desk.clinic.id, chosen.client_id)
        rows = lists.outbox_rows(connection, desk.clinic.id, chosen)
        if json_:
            print_lines(utc_row(row) for row in rows)
            return
        told = (
            {
                "id": row["id"],
                "client": row["client_id"],
                "step": row["step"] or words(row["kind"]),
                "due": local(row["due_at"], desk.clinic.zone, desk.now),
                "state": words(row["state"]),
                "why": reason(row["reason"]),
            }
            for row in rows
        )
        columns = {key: key for key in ("id", "client", "step", "due", "state", "why")}
        nothing = "None like that." if any(value is not None for value in wanted.values()) else _NO_EMAILS
        _print(told, columns, nothing)


_NO_EMAILS = "No e-mails yet. They appear when a treatment is registered: aftercare treatment add --help"


@click.command("attempts", epilog=example("aftercare attempts --email 12"))
@click.option("--email", "email_id", type=ID, metavar="ID", help="Only about this e-mail.")
@limit_option
@desk_options
def attempts_command(
    json_: bool, now: str | None, clinic_id: int | None, email_id: int | None, limit: int | None
) -> None:
    """Every conversation with the relay about an e-mail: the evidence."""
    from service.store import lists

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = lists.attempt_rows(connection, desk.clinic.id, email_id, limit)
        if json_:
            print_lines(utc_row(row) for row in rows)
            return
        told = (
            {
                "email": row["email_id"],
                "ended": local(row["ended_at"], desk.clinic.zone, desk.now),
                "outcome": words(row["outcome"]),
                "stage": row["stage"],
                "reply": f"{row['code'] or ''} {row['reply'] or ''}".strip(),
            }
            for row in rows
        )
        columns = {"email": "e-mail", "ended": "ended", "outcome": "outcome", "stage": "stage", "reply": "reply"}
        _print(told, columns, "No conversation with the mail server yet. E-mails go out with: aftercare serve")


@click.command("forecast", epilog=example("aftercare forecast --days 7"))
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="How far to look.")
@desk_options
def forecast_command(json_: bool, now: str | None, clinic_id: int | None, days: int) -> None:
    """What goes out in the next days, by local date."""
    from service.store import lists

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = list(lists.forecast_rows(connection, desk.clinic.id, desk.now, desk.now + timedelta(days=days)))
    zone = desk.clinic.zone
    if json_:
        print_lines(
            {
                "date": max(row["not_before"], desk.now).astimezone(zone).date().isoformat(),
                **{key: row[key] for key in ("clinic_id", "client_id", "protocol", "step")},
                "due_at": utc(row["due_at"]),
                "state": row["state"],
            }
            for row in rows
        )
        return
    told = [
        {
            "goes out": local(max(row["not_before"], desk.now), zone, desk.now),
            "client": row["client_id"],
            "step": row["step"],
            "state": words(row["state"]),
            "treatment": row["protocol"],
        }
        for row in rows
    ]
    nothing = f"Nothing goes out in the next {days} days. See everything with: aftercare outbox"
    _print(told, {key: key for key in ("goes out", "client", "step", "state", "treatment")}, nothing)
