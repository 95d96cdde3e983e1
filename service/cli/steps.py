"""`aftercare clinic step`: the day, hour and window of one step at one clinic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.options import desk_options, find_protocol, writing
from service.cli.output import example, print_document, say
from service.errors import BadInput

if TYPE_CHECKING:
    from service.domain.protocol import FollowUpProtocol, Step
    from service.store.clinics import Clinic

_EXAMPLES = (
    "aftercare clinic step --protocol scalp-micropigmentation --step day-03 --send-at 18:15",
    "aftercare clinic step --protocol scalp-micropigmentation --step day-03 --reset",
)


@click.command("step", epilog=example(*_EXAMPLES))
@click.option("--protocol", "key", required=True, help="Key or title of the treatment type.")
@click.option("--step", "step_key", required=True, metavar="KEY", help="Like day-03.")
@click.option("--day", metavar="N", help="Days after the treatment.")
@click.option("--send-at", metavar="HH:MM", help="Local hour of this step.")
@click.option("--useful-until-day", metavar="N", help="Last day of its shelf life.")
@click.option("--useful-until-at", metavar="HH:MM", help="Local end on that day.")
@click.option("--reset", is_flag=True, help="Back to the protocol's own.")
@desk_options
def step_command(
    json_: bool, now: str | None, clinic_id: int | None, key: str, step_key: str, reset: bool, **given: str | None
) -> None:
    """Show or set when one e-mail goes out; what is planned stays as it is. An empty value: as in the protocol."""
    from service.actions import own_steps

    typed = {name: raw for name, raw in given.items() if raw is not None}
    if reset and typed:
        raise BadInput("--reset sets nothing", field="reset", next_step="Give --reset alone, or leave it out.")
    with writing(clinic_id, now) as (desk, connection):
        clinic, protocol = desk.clinic, find_protocol(desk.service.catalogue, key)
        before = own_steps.own_step(clinic, protocol, step_key)
        wanted = own_steps.read_step(protocol, step_key, {} if reset else own_steps.as_typed(before) | typed)
        if reset or typed:
            given_now = (wanted, own_steps.fingerprint(before))
            clinic = own_steps.change_step(connection, clinic, protocol, given_now, desk.who)
    _show(clinic, protocol, step_key, json_=json_)


def _show(clinic: Clinic, protocol: FollowUpProtocol, key: str, *, json_: bool) -> None:
    from service.actions.own_steps import as_followed, own_step
    from service.domain.own_steps import OwnStep

    step, said = as_followed(clinic, protocol)[0].step(key), protocol.step(key)
    if step is None or said is None:
        return
    own = own_step(clinic, protocol, key) != OwnStep(protocol.key, key)
    if json_:
        print_document({"protocol": protocol.key, "step": key, "own": own, **_values(step, clinic)})
        return
    say(f"{protocol.key} {key}: {_words(step, clinic)}.")
    say(f"The protocol says: {_words(said, clinic)}." if own else "That is as the protocol says.")
    say("It holds for treatments registered from now on.")


def _values(step: Step, clinic: Clinic) -> dict[str, Any]:
    return {
        "day": step.day,
        "send_at": f"{step.send_at:%H:%M}" if step.send_at else clinic.send_at,
        "useful_until_day": step.until_day,
        "useful_until_at": f"{step.until_at:%H:%M}",
    }


def _words(step: Step, clinic: Clinic) -> str:
    said = _values(step, clinic)
    until = f"day {said['useful_until_day']} {said['useful_until_at']}"
    return f"day {said['day']} at {said['send_at']}, useful until {until}"
