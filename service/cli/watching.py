"""Commands that watch over the work: outages, alert-test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.options import ID, desk_for, desk_options, json_option, service_for, settings_for
from service.cli.output import example, print_document, print_lines, print_table, say, utc
from service.domain.plain import local, reason, words
from service.errors import BadConfiguration, NotFound

if TYPE_CHECKING:
    from service.cli.options import Desk
    from service.store.outages import Outage, Story, Touched

#: How many of a clinic's reminders an outage touched, in the order of the interface: `touched` and what became of them.
_FIGURES = ("touched", "late", "missed", "replaced", "open", "failed", "cancelled", "unconfirmed")
_KINDS = {"down": "nobody worked", "relay": "the mail relay"}
_GOES_ON = "goes on"


@click.group(
    "outages",
    invoke_without_command=True,
    epilog=example("aftercare outages", "aftercare outages show 3", "aftercare outages note 3 --text 'new password'"),
)
@desk_options
@click.pass_context
def outages_command(ctx: click.Context, json_: bool, now: str | None, clinic_id: int | None) -> None:
    """When nothing could be sent, and what that did to this clinic's reminders.

    missed: too late to be right; replaced: those of the missed that a catch-up note made up for.
    """
    if ctx.invoked_subcommand is not None:
        return
    from service.store import outages

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        stories = outages.stories(connection, desk.clinic.id, desk.now)
    if json_:
        print_lines(_document(story) for story in stories)
        return
    columns = {key: key for key in ("id", "began", "ended", "what", *_FIGURES[:5], "why")}
    print_table([_told(story, desk) for story in stories], columns, "No outage yet. Nothing stood still.")


def _facts(outage: Outage) -> dict[str, Any]:
    times = {"began_at": utc(outage.began_at), "ended_at": utc(outage.ended_at)}
    return {"id": outage.id, **times, "kind": outage.kind, "cause": outage.cause, "note": outage.note}


def _document(story: Story) -> dict[str, Any]:
    figures = story.figures
    return (
        _facts(story.outage)
        | {name: figures[name] for name in _FIGURES}
        | {"clients": [_touched(one) for one in story.touched]}
    )


def _touched(one: Touched) -> dict[str, Any]:
    whose = {"client_id": one.client_id, "email_id": one.email_id, "step": one.step, "due_at": utc(one.due_at)}
    return whose | {"state": one.state, "reason": one.reason, "sent_at": utc(one.sent_at)}


def _told(story: Story, desk: Desk) -> dict[str, Any]:
    outage, figures, zone = story.outage, story.figures, desk.clinic.zone
    return {
        "id": outage.id,
        "began": local(outage.began_at, zone, desk.now),
        "ended": local(outage.ended_at, zone, desk.now) or _GOES_ON,
        "what": _KINDS[outage.kind],
        **{name: figures[name] for name in _FIGURES[:5]},
        "why": f"{outage.cause}; {outage.note}" if outage.note else outage.cause,
    }


@outages_command.command("show", epilog=example("aftercare outages show 3"))
@click.argument("outage_id", type=ID)
@desk_options
def show_outage(json_: bool, now: str | None, clinic_id: int | None, outage_id: int) -> None:
    """What one outage did, client by client."""
    from service.store import outages

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        stories = outages.stories(connection, desk.clinic.id, desk.now)
    story = next((one for one in stories if one.outage.id == outage_id), None)
    if story is None:
        raise NotFound(f"there is no outage {outage_id}", field="outage", next_step="See `aftercare outages`.")
    if json_:
        print_document(_document(story))
        return
    zone = desk.clinic.zone
    rows = [
        {
            "client": one.client_id,
            "e-mail": one.email_id,
            "step": one.step,
            "due": local(one.due_at, zone, desk.now),
            "sent": local(one.sent_at, zone, desk.now),
            "what": _fate(one),
        }
        for one in story.touched
    ]
    columns = {key: key for key in ("client", "e-mail", "step", "due", "sent", "what")}
    print_table(rows, columns, "No reminder of this clinic fell due in it.")


def _fate(one: Touched) -> str:
    if one.fate == "late":
        return "sent late, still right"
    why = reason(one.reason)
    what = "missed, replaced by a catch-up note" if one.replaced else words(one.state)
    return f"{what}: {why}" if why else what


@outages_command.command("note", epilog=example("aftercare outages note 3 --text 'the relay had a new password'"))
@click.argument("outage_id", type=ID)
@click.option("--text", required=True, help="What is known about it; no names of clients. Replaces an older note.")
@json_option
def note_outage(json_: bool, outage_id: int, text: str) -> None:
    """Keep what is known about an outage."""
    from service.actions import watch

    with service_for() as service, service.store.write() as connection:
        noted = watch.note_outage(connection, outage_id, text)
    if json_:
        print_document(_facts(noted))
    else:
        say(f"Outage {outage_id} has its note.")


@click.command("alert-test", epilog=example("aftercare alert-test"))
@json_option
def alert_test_command(json_: bool) -> None:
    """Post one test alert to AFTERCARE_ALERT_WEBHOOK now."""
    from service.clock import wall_clock

    webhook = settings_for().alert_webhook
    if webhook is None:
        raise BadConfiguration(
            "AFTERCARE_ALERT_WEBHOOK is not set: nobody would be told of trouble",
            field="AFTERCARE_ALERT_WEBHOOK",
            next_step="Set it to an https address that takes JSON, or name a file in AFTERCARE_ALERT_WEBHOOK_FILE.",
        )
    from service.actions.telling import send_test

    send_test(webhook.get_secret_value(), wall_clock())
    if json_:
        print_document({"told": True})
    else:
        say("The test alert was taken. Look whether it arrived where people see it.")
