"""Commands of the call list: who must be phoned, and how it ended."""

from __future__ import annotations

from typing import Any

import click

from service.cli.lists import utc_row
from service.cli.options import ID, desk_for, desk_options, writing
from service.cli.output import example, print_document, print_lines, print_table, say
from service.domain.plain import call_reason, local, words

_WHAT = ("id", "clinic_id", "client_id", "email_id", "reason", "level", "phone")
_FIELDS = (*_WHAT, "opened_at", "due_at", "state", "outcome", "closed_by", "closed_at")
_OUTCOMES = ("reached", "no_answer", "referred", "wrong_number")


def _shown(row: Any) -> dict[str, Any]:
    return utc_row({field: row[field] for field in _FIELDS})


@click.group("calls", epilog=example("aftercare calls list --state open"))
def calls_command() -> None:
    """Who must be phoned, and why."""


@calls_command.command("list", epilog=example("aftercare calls list --state open"))
@click.option("--state", type=click.Choice(["open", "closed", "covered"]), help="Default: all.")
@desk_options
def list_calls(json_: bool, now: str | None, clinic_id: int | None, state: str | None) -> None:
    """Calls by deadline."""
    from service.store import calls

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = calls.listed(connection, desk.clinic.id, state)
    if json_:
        print_lines(_shown(row) for row in rows)
        return
    told = [
        {
            "id": row["id"],
            "until": local(row["due_at"], desk.clinic.zone, desk.now),
            "phone": row["phone"] or "(no number)",
            "why": call_reason(row["reason"]),
            "state": words(row["outcome"] or row["state"]),
            "who": f"{row['name']} ({row['client_id']})",
        }
        for row in rows
    ]
    columns = {key: key for key in ("id", "until", "phone", "why", "state", "who")}
    print_table(told, columns, "Nobody needs a call. What an e-mail could not tell appears here.")


@calls_command.command("close", epilog=example("aftercare calls close 3 --outcome reached --note 'coming at 4 pm'"))
@click.argument("call_id", type=ID)
@click.option("--outcome", required=True, type=click.Choice(_OUTCOMES), help="How it ended.")
@click.option("--note", default="", help="What was said; kept until the client is erased.")
@desk_options
def close_call(json_: bool, now: str | None, clinic_id: int | None, call_id: int, outcome: str, note: str) -> None:
    """Close a call with its outcome. After no_answer it stays open, with a new deadline."""
    from service.actions.calls import Closing, close
    from service.store import calls

    with writing(clinic_id, now) as (desk, connection):
        close(connection, desk.clinic, call_id, Closing(outcome, note), desk.who)
        closed = next(row for row in calls.listed(connection, desk.clinic.id) if row["id"] == call_id)
    if json_:
        print_document(_shown(closed))
    else:
        say(
            f"Call {call_id} stays open: nobody answered. Try again by "
            f"{local(closed['due_at'], desk.clinic.zone, desk.now)}."
            if closed["state"] == "open"
            else f"Call {call_id} is closed: {words(outcome)}."
        )
