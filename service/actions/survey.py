"""What a worker looks for on behalf of all, and opens alerts about: missed reminders, red answers, late calls, old
approvals, clinics whose row cannot be used.

Numbers, instants and names of texts only.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from service.actions.shelf import REVIEW_GRACE
from service.store import clinics, watch
from service.store.pace import at_their_cap
from service.store.watch import Alert, Review

REVIEW_AHEAD = timedelta(days=30)
#: A worker that has not ended a round for so long is gone for good; every start has a new name.
FORGOTTEN = timedelta(days=30)
#: The look is one transaction: its claim needs no longer lease.
LEASE = 60


def minute(now: datetime) -> str:
    """The period of what is done once a minute."""
    return now.astimezone(UTC).isoformat(timespec="minutes")


def utc(at: datetime) -> str:
    """An instant in an alert's words, like '2026-11-21 10:00 UTC'."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def tell_once(connection: sa.Connection, key: str, words: str, since: datetime, now: datetime) -> None:
    """Something that is over already: people are told once."""
    watch.open_alert(connection, key, words, since)
    watch.close_alert(connection, key, now)


def look(connection: sa.Connection, now: datetime, standing: dict[str, Alert]) -> None:
    """Inside the transaction that ends a good round. standing: the open alerts by key."""
    _look_for_missed(connection, now)
    _look_for_red_answers(connection, now, standing)
    token, period = secrets.token_hex(8), minute(now)
    if watch.take_duty(connection, "survey", period, token, LEASE):
        _look_for_calls(connection, now)
        _look_for_reviews(connection, now, standing)
        _look_for_caps(connection, now, standing)
        _look_for_clinics(connection, now, standing)
        _look_for_held(connection, now)
        watch.forget_workers(connection, now - FORGOTTEN)
        watch.finish_duty(connection, "survey", period, token)


def _look_for_missed(connection: sa.Connection, now: datetime) -> None:
    """The duty's period is the newest call that was counted: each is told once, whichever worker comes first."""
    counted = int(watch.done_for(connection, "missed") or 0)
    _, newest = watch.missed_after(connection, counted)
    token = secrets.token_hex(8)
    if newest == counted or not watch.take_duty(connection, "missed", str(newest), token, LEASE):
        return
    # Asked again, now that no other worker can count.
    number, newest = watch.missed_after(connection, int(watch.done_for(connection, "missed") or 0))
    if number:
        told = "1 reminder was" if number == 1 else f"{number} reminders were"
        words = f"{told} missed: too late to be right. See `aftercare calls list` for whom to phone."
        tell_once(connection, "missed", words, now, now)
    watch.finish_duty(connection, "missed", str(newest), token)


def _look_for_red_answers(connection: sa.Connection, now: datetime, standing: dict[str, Alert]) -> None:
    """Told at once, again when it gets graver, and again when nobody has phoned by the deadline."""
    red = {f"call:{call.id}:{call.level}": call for call in watch.red_calls(connection)}
    numbers = {call.id for call in red.values()}
    for key in standing:
        if key.startswith("call:") and key not in red:
            watch.close_alert(connection, key, now, quietly=int(key.split(":")[1]) in numbers)
    for key, call in red.items():
        over = " Nobody has closed it in time." if call.due_at <= now else ""
        asked = f"A red answer (level {call.level}) asks for call {call.id} of clinic {call.clinic_id}"
        words = f"{asked} by {utc(call.due_at)}.{over}"
        if key not in standing:
            watch.open_alert(connection, key, words, now)
        elif over:
            watch.renew_alert(connection, key, words, call.due_at, now)


def _look_for_held(connection: sa.Connection, now: datetime) -> None:
    """What could not be written, or has no approved words: its hours pass while nobody knows."""
    number, first_over = watch.held_for_words(connection, now)
    if first_over is None:
        watch.close_alert(connection, "held", now)
        return
    waits = "1 e-mail waits" if number == 1 else f"{number} e-mails wait"
    why = "it could not be written, or its words are not approved"
    words = f"{waits} for a person: {why}. First one over: {utc(first_over)}. See `aftercare outbox --state held`."
    watch.open_alert(connection, "held", words, now)


def _look_for_calls(connection: sa.Connection, now: datetime) -> None:
    number, oldest = watch.overdue_calls(connection, now)
    if oldest is None:
        watch.close_alert(connection, "calls", now)
        return
    late = "1 call is" if number == 1 else f"{number} calls are"
    words = f"{late} past the deadline. Oldest deadline: {utc(oldest)}. See `aftercare calls list`."
    watch.open_alert(connection, "calls", words, now)


def _look_for_reviews(connection: sa.Connection, now: datetime, standing: dict[str, Alert]) -> None:
    """One alert a text ahead of its review date, then one for each day after it."""
    today = now.astimezone(UTC).date()
    wanted = {
        f"text:{text.id}" + (f":{today}" if text.by < today else ""): text
        for text in watch.reviews(connection, today + REVIEW_AHEAD)
    }
    still = {f"text:{text.id}" for text in wanted.values()}
    for key in standing:
        if key.startswith("text:") and key not in wanted:
            replaced = ":".join(key.split(":")[:2]) in still
            watch.close_alert(connection, key, now, quietly=replaced)
    for key, text in wanted.items():
        if key not in standing:
            watch.open_alert(connection, key, _about(text, today), now)


def _look_for_caps(connection: sa.Connection, now: datetime, standing: dict[str, Alert]) -> None:
    """A limit that is used up holds reminders back: somebody must say whether that is right."""
    full = {f"cap:{clinic_id}" for clinic_id in at_their_cap(connection, now)}
    for key in sorted(full - standing.keys()):
        clinic_id = key.partition(":")[2]
        words = f"Clinic {clinic_id} has used up its limit of mails a day: its other e-mails wait, and may be missed."
        watch.open_alert(connection, key, words, now)
    for key in standing:
        if key.startswith("cap:") and key not in full:
            watch.close_alert(connection, key, now)


def _look_for_clinics(connection: sa.Connection, now: datetime, standing: dict[str, Alert]) -> None:
    """One clinic's damaged row stops that clinic only: somebody must hear of it all the same."""
    _, trouble = clinics.usable(connection)
    wanted = {f"clinic:{clinic_id}": why for clinic_id, why in trouble.items()}
    for key in wanted.keys() - standing.keys():
        words = f"Nothing can be sent for {wanted[key]}. Its due e-mails are held; the other clinics' go on."
        watch.open_alert(connection, key, words, now)
    for key in standing:
        if key.startswith("clinic:") and key not in wanted:
            watch.close_alert(connection, key, now)


def _about(text: Review, today: date) -> str:
    which = f"The text {text.protocol}/{text.name} ({text.language}) of clinic {text.clinic_id}"
    end = text.by + REVIEW_GRACE
    if text.by >= today:
        return f"{which} must be reviewed and approved again by {text.by}."
    if end >= today:
        return f"{which} was to be reviewed by {text.by}. After {end} live mode holds its e-mails."
    return f"{which} was to be reviewed by {text.by}. Live mode holds its e-mails since {end}."
