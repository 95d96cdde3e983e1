"""The morning digest: what a clinic's owner must know before the day begins, in figures and in words.

Names no client. The figures equal the outbox rows, and what the rows do not prove the words do not say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import State
from service.domain.schedule import CATCH_UP_IS_COVERED_BY_A_STEP_WITHIN, instant, local_day
from service.store import figures, watch
from service.store.calls import UNDONE
from service.store.clinics import Clinic
from service.store.figures import FellDue, Gap, Missed, OpenCall, Span

#: Outages and alerts that are told one by one.
LISTED = 8


@dataclass(frozen=True, slots=True)
class Digest:
    """One clinic's morning. Instants are UTC; the outcomes of what fell due in `span` are those of `now`.

    expired: figures.missed without those registered late, by what makes up for them: replaced (a catch-up note went
    out), coming (one is on its way), covered (by its next step), told (by phone), undone (its registration was), left.
    covering: when the next steps that cover fall due. calls: to make, by reason; closing: open calls beside them that
    the covering steps will close.
    today: reminders and catch-up notes that may go out until midnight. out_of_date, twice: ids that break a promise.
    """

    clinic: Clinic
    span: Span
    now: datetime
    figures: FellDue
    expired: Counter[str]
    covering: tuple[datetime, ...]
    gaps: tuple[Gap, ...]
    calls: Counter[str]
    call_by: datetime | None
    closing: int
    out_of_date: tuple[int, ...]
    twice: tuple[int, ...]
    today: int
    first_today: datetime | None
    alerts: tuple[str, ...]


Protocols = Mapping[str, FollowUpProtocol]


def digest(connection: sa.Connection, clinic: Clinic, span: Span, now: datetime, protocols: Protocols) -> Digest:
    """What became of all that fell due in `span`, what is to do at `now`, and what goes out today. Reads only."""
    open_now = figures.open_calls(connection, clinic.id)
    closing = _closing(connection, open_now, now, protocols)
    to_make = [call for call in open_now if call.email_id not in closing]
    missed = figures.missed(connection, clinic.id, span)
    fates = {one.id: _made_up(one, closing) for one in missed}
    covered = {closing[one] for one, fate in fates.items() if fate == "covered" and one in closing}
    midnight = instant(local_day(now, clinic.zone) + timedelta(days=1), time(0), clinic.zone)
    today, first = figures.to_go(connection, clinic.id, now, midnight)
    return Digest(
        clinic=clinic,
        span=span,
        now=now,
        figures=figures.fell_due(connection, clinic.id, span),
        expired=Counter(fates.values()),
        covering=tuple(sorted(covered)),
        gaps=tuple(figures.gaps(connection, Span(span.since, now))),
        calls=Counter(call.reason for call in to_make),
        call_by=min((call.due_at for call in to_make), default=None),
        closing=len(closing),
        out_of_date=tuple(figures.out_of_date(connection, clinic.id, span.since)),
        twice=tuple(figures.twice(connection, clinic.id, span.since)),
        today=today,
        first_today=first,
        alerts=tuple(alert.words for alert in watch.standing(connection).values()),
    )


def _closing(
    connection: sa.Connection, calls: Sequence[OpenCall], now: datetime, protocols: Protocols
) -> dict[int, datetime]:
    """E-mail -> due_at of the step that will soon go out and close its call, because it covers the missed one."""
    covers: dict[int, tuple[int, str]] = {}
    for call in calls:
        protocol = protocols.get(call.protocol or "") if call.state == State.MISSED else None
        step = protocol.step(call.step or "") if protocol else None
        if step and step.covered_by and call.email_id and call.treatment_id:
            covers[call.email_id] = (call.treatment_id, step.covered_by)
    soon = now + CATCH_UP_IS_COVERED_BY_A_STEP_WITHIN
    going = figures.steps_on_their_way(connection, [treatment for treatment, _ in covers.values()], soon)
    return {email_id: going[step] for email_id, step in covers.items() if step in going}


def _made_up(one: Missed, closing: Mapping[int, datetime]) -> str:
    if one.note_sent:
        return "replaced"
    if one.call == "covered" or one.id in closing:
        return "covered"
    if one.note_going:
        return "coming"
    return {"closed": "told", UNDONE: "undone"}.get(one.call or "", "left")


def words(made: Digest) -> tuple[str, str]:
    """Subject and text in plain English: paragraphs with an empty line between them, times on the clinic's clock."""
    zone = made.clinic.zone
    since, until = (_when(at, zone) for at in (made.span.since, made.span.until))
    paragraphs = [
        f"{made.clinic.name}, from {since} to {until}.",
        _gap_words(made),
        _due_words(made),
        _call_words(made),
        _proof_words(made),
        _today_words(made),
        _alert_words(made.alerts),
    ]
    calls, due = made.calls.total(), _notes_due(made)
    told = [f"{_many(calls, 'call')} to make"] * bool(calls)
    told.append(f"{_many(due, 'note was', 'notes were')} due" if due else "nothing was due")
    return f"{made.clinic.name}: {', '.join(told)}", "\n\n".join(filter(None, paragraphs)) + "\n"


def _when(at: datetime, zone: ZoneInfo) -> str:
    there = at.astimezone(zone)
    return f"{there:%a} {there.day} {there:%b} {there:%H:%M}"


def _many(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def _gap_words(made: Digest) -> str:
    lines = []
    for gap in made.gaps[:LISTED]:
        began = _when(gap.began_at, made.clinic.zone)
        why = "the mail server did not take our mail" if gap.kind == "relay" else "this program was not running"
        when = f"from {began} to {_when(gap.ended_at, made.clinic.zone)}" if gap.ended_at else f"since {began}"
        lines.append(f"We could not send {when}: {why}.")
    if len(made.gaps) > LISTED:
        lines.append(f"There were {len(made.gaps) - LISTED} more such times: aftercare outages")
    return "\n".join(lines)


def _notes_due(made: Digest) -> int:
    """Without those that nobody expected any more when their hour came."""
    return made.figures.due - made.figures.cancelled - made.figures.registered_late


def _due_words(made: Digest) -> str:
    found, due = made.figures, _notes_due(made)
    if due and due == found.on_time:
        lines = [f"{_many(due, 'note was', 'notes were')} due, and went out on time."]
    elif due:
        lines = [f"{_many(due, 'note was', 'notes were')} due:", *(f"- {line}" for line in _fates(made))]
    else:
        lines = ["Nothing was due."]
    if found.cancelled:
        lines.append(f"{found.cancelled} more had been called off: a stop, a new date or a newer treatment.")
    if found.registered_late:
        lines.append(f"{found.registered_late} more could not go: the treatment was entered when their time was over.")
    return "\n".join(lines)


def _fates(made: Digest) -> list[str]:
    found, expired = made.figures, made.expired
    told = [
        (found.on_time, "went out on time"),
        (found.late, "went out late" if made.out_of_date else "went out late, but still right"),
        (expired["replaced"], "expired, replaced by a catch-up note"),
        (expired["coming"], "expired; a catch-up note is on its way"),
        (expired["covered"], f"expired, covered by {_covering(made)}"),
        (expired["told"], "expired; the client was phoned"),
        (expired["undone"], "expired; its registration was undone"),
        (expired["left"], "expired, and nothing has made up for it yet"),
        (found.failed, "refused by the mail server"),
        (found.unconfirmed, "may not have arrived: the mail server's answer was lost"),
        (found.held, "held until somebody acts: aftercare outbox --state held"),
        (found.waiting, "still waiting to go out"),
    ]
    return [f"{number} {what}" for number, what in told if number]


def _covering(made: Digest) -> str:
    """The note that goes out today at one hour, or whatever note comes next."""
    zone = made.clinic.zone
    if len(made.covering) == 1 and local_day(made.covering[0], zone) == local_day(made.now, zone):
        return f"today's {made.covering[0].astimezone(zone):%H:%M} note"
    return "the next note"


def _call_words(made: Digest) -> str:
    number = made.calls.total()
    where = f"aftercare calls list --state open --clinic {made.clinic.id}"
    these = "Call this one" if number == 1 else f"Call these {number}"
    lines = [f"{these}. Names, numbers and reasons: {where}" if number else "There is no call to make."]
    if made.call_by is not None:
        was = "was" if made.call_by <= made.now else "is"
        lines.append(f"The first {was} to be made by {_when(made.call_by, made.clinic.zone)}.")
    if made.closing:
        lines.append(f"{_many(made.closing, 'other call')} will close when the next note goes out.")
    return "\n".join(lines)


def _proof_words(made: Digest) -> str:
    """Only what the rows prove; else what is wrong and where to look."""
    wrong = [
        (made.out_of_date, "No client got an out-of-date note.", "Went out outside their time"),
        (made.twice, "No one got two.", "May have reached their client twice"),
    ]
    told = [
        f"{bad}: e-mails {', '.join(map(str, ids))}. See aftercare attempts --email ID." if ids else good
        for ids, good, bad in wrong
    ]
    return " ".join(told) if _notes_due(made) or made.out_of_date or made.twice else ""


def _today_words(made: Digest) -> str:
    if made.first_today is None:
        return "Nothing goes out today."
    now = made.first_today <= made.now
    first = "now" if now else f"at {made.first_today.astimezone(made.clinic.zone):%H:%M}"
    if made.today == 1:
        return f"1 note goes out today, {first}."
    return f"{made.today} notes go out today, the first {first}."


def _alert_words(alerts: Sequence[str]) -> str:
    if not alerts:
        return "No alert is open."
    more = [f"- and {len(alerts) - LISTED} more"] * (len(alerts) > LISTED)
    told = [f"- {alert}" for alert in alerts[:LISTED]]
    return "\n".join([f"{_many(len(alerts), 'alert is', 'alerts are')} open:", *told, *more])
