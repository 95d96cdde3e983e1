"""What a clinic sets for single steps of a protocol: day, hour, window. Holds for treatments registered from then on.

Checked under the clinic's lock against all it has set; whoever changed the step meanwhile is not overwritten unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import time

import sqlalchemy as sa

from service.actions.correcting import Stale
from service.actions.revise import Who
from service.domain.own_steps import OwnStep, with_own
from service.domain.protocol import LAST_DAY, FollowUpProtocol
from service.domain.strict_table import read_clock_time
from service.errors import BadInput
from service.store import audit, clinics
from service.store.audit import Deed
from service.store.clinics import Clinic

#: What may be set, by the names of protocol.toml, and the name of its value in an OwnStep.
FIELDS: Mapping[str, str] = {
    "day": "day",
    "send_at": "send_at",
    "useful_until_day": "until_day",
    "useful_until_at": "until_at",
}


def own_step(clinic: Clinic, protocol: FollowUpProtocol, step: str) -> OwnStep:
    """What the clinic has set for a step; nothing set is an OwnStep of None."""
    mine = (one for one in clinic.own_steps if (one.protocol, one.step) == (protocol.key, step))
    return next(mine, OwnStep(protocol.key, step))


def as_typed(own: OwnStep) -> dict[str, str]:
    """The values as a form shows them; empty: as in the protocol."""
    return {field: _said(getattr(own, name)) for field, name in FIELDS.items()}


def _said(value: int | time | None) -> str:
    return "" if value is None else f"{value:%H:%M}" if isinstance(value, time) else str(value)


def fingerprint(own: OwnStep) -> str:
    """What a form was filled from; another one, once any of its fields has changed."""
    return hashlib.sha256(repr(as_typed(own)).encode()).hexdigest()[:32]


def read_step(protocol: FollowUpProtocol, step: str, typed: Mapping[str, str]) -> OwnStep:
    """What somebody typed, field by field; empty and missing: as in the protocol. Raises BadInput naming the field."""
    if protocol.step(step) is None:
        known = ", ".join(one.key for one in protocol.steps)
        raise BadInput(f"{protocol.key} has no step {step[:40]!r}", field="step", next_step=f"Steps: {known}.")
    return OwnStep(
        protocol.key,
        step,
        day=_day("day", typed),
        send_at=_time("send_at", typed),
        until_day=_day("useful_until_day", typed),
        until_at=_time("useful_until_at", typed),
    )


def _day(field: str, typed: Mapping[str, str]) -> int | None:
    raw = typed.get(field, "").strip()
    if raw and not (raw.isascii() and raw.isdecimal() and len(raw) < 4 and int(raw) <= LAST_DAY):
        fix = "Count the days after the treatment, like 3."
        raise BadInput(f"{raw[:20]!r} is not a day", field=field, next_step=fix)
    return int(raw) if raw else None


def _time(field: str, typed: Mapping[str, str]) -> time | None:
    raw = typed.get(field, "").strip()
    if raw and read_clock_time(raw) is None:
        raise BadInput(f"{raw[:20]!r} is not a time", field=field, next_step="Write it as HH:MM, like 18:15.")
    return read_clock_time(raw) if raw else None


def change_step(
    connection: sa.Connection, clinic: Clinic, protocol: FollowUpProtocol, given: tuple[OwnStep, str], who: Who
) -> Clinic:
    """Set one step, or give it back to the protocol. given: the new values, the fingerprint of what was seen before.

    What says the same as the protocol is not kept. Raises Stale, or BadInput for what the words do not allow.
    """
    wanted, seen = given
    now = clinics.lock(connection, clinic.id)
    before = own_step(now, protocol, wanted.step)
    if seen != fingerprint(before):
        raise Stale("somebody else has changed this step meanwhile", next_step="Look at both, then save again.")
    others = tuple(one for one in now.own_steps if one != before)
    nothing = OwnStep(protocol.key, wanted.step)
    # What does not fit any more, because the protocol's file changed, may always be given back.
    if wanted != nothing or not as_followed(now, protocol)[1]:
        followed = with_own(protocol, (*others, wanted))
        wanted = nothing if followed.step(wanted.step) == protocol.step(wanted.step) else wanted
    if wanted == before:
        return now
    is_set = wanted != nothing
    changed = clinics.save_own_steps(connection, clinic.id, (*others, wanted) if is_set else others)
    detail = {name: _said(value) if isinstance(value, time) else value for name, value in asdict(wanted).items()}
    deed = Deed(who.actor, "step changed" if is_set else "step set back", f"clinic {clinic.id}", detail)
    audit.note(connection, clinic.id, deed, who.now)
    return changed


def as_followed(clinic: Clinic, protocol: FollowUpProtocol) -> tuple[FollowUpProtocol, str]:
    """The protocol as this clinic follows it, and why its own days and hours do not count, "" if they do."""
    try:
        return with_own(protocol, clinic.own_steps), ""
    except BadInput as error:
        return protocol, error.message
