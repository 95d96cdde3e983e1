"""The promises that a query can test, over the live database: each with the ids that break it.

Reads only. A promise that the database itself enforces is asked again: constraints can be dropped by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import sqlalchemy as sa

from service.domain.persons import fold_address
from service.domain.reminder import FINAL, OPEN, Reason, State
from service.domain.schedule import instant, local_day
from service.store import promises_whose as whose
from service.store.clinics import usable
from service.store.spacing import too_close
from service.store.tables import Kind, attempts, calls, clients, emails, suppressions, treatments

SHOWN = whose.SHOWN
#: A row may wait this long for the next round before somebody should look at the daemon.
WAITS_AT_MOST = timedelta(minutes=10)
#: At most: the first and one repeat.
COPIES = 2


@dataclass(frozen=True)
class Finding:
    """One promise asked. ids: the `of` (e-mails, calls, …) that break it, at most SHOWN. grave: red, else yellow."""

    name: str
    promise: str
    ids: Sequence[int]
    next_step: str
    of: str = "e-mail"
    grave: bool = True

    @property
    def state(self) -> str:
        return "green" if not self.ids else "red" if self.grave else "yellow"

    @property
    def message(self) -> str:
        more = " and perhaps more" if len(self.ids) == SHOWN else ""
        return self.promise + (f": broken by {self.of} {', '.join(map(str, self.ids))}{more}" if self.ids else "")


Query = sa.Select[int]
Question = Callable[[sa.Connection, datetime], Sequence[int]]

#: Handed over, or perhaps.
_maybe_out = emails.c.state.in_([State.SENDING, State.IN_DOUBT, State.UNCONFIRMED, State.SENT])
_with_client = emails.join(clients, clients.c.id == emails.c.client_id)
_with_treatment = _with_client.outerjoin(treatments, treatments.c.id == emails.c.treatment_id)


def _ids(query: Query) -> Question:
    return lambda connection, _: connection.execute(query.order_by(sa.literal_column("1")).limit(SHOWN)).scalars().all()


def _outside_its_window() -> Query:
    outside = (emails.c.marked_at < emails.c.due_at) | (emails.c.marked_at >= emails.c.useful_until)
    return sa.select(emails.c.id).where(_maybe_out, outside | (emails.c.sent_at < emails.c.due_at))


def _against_a_wish() -> Query:
    against = sa.or_(
        emails.c.marked_at > clients.c.stopped_at,
        emails.c.marked_at > clients.c.erased_at,
        emails.c.marked_at > treatments.c.cancelled_at,
    )
    return sa.select(emails.c.id).select_from(_with_treatment).where(_maybe_out, against)


def _to_a_dead_address(connection: sa.Connection, _: datetime) -> Sequence[int]:
    """The e-mail's own facts name its address: the client's may have become a dead one since."""
    active = (emails.c.marked_at > suppressions.c.created_at) & (
        suppressions.c.lifted_at.is_(None) | (emails.c.marked_at < suppressions.c.lifted_at)
    )
    same = (suppressions.c.clinic_id == clients.c.clinic_id) & (suppressions.c.email_folded == clients.c.email_folded)
    query = (
        sa.select(emails.c.id, emails.c.facts, suppressions.c.email_folded)
        .select_from(_with_client.join(suppressions, same))
        .where(_maybe_out, active, emails.c.facts.is_not(None))
        .order_by(emails.c.id)
    )
    rows = connection.execute(query)
    return [row.id for row in rows if fold_address(json.loads(row.facts).get("to_address", "")) == row.email_folded][
        :SHOWN
    ]


def _too_close(connection: sa.Connection, _: datetime) -> Sequence[int]:
    return too_close(connection, SHOWN)


def _without_a_mark() -> Query:
    return sa.select(emails.c.id).where(emails.c.state == State.SENT, emails.c.marked_at.is_(None))


def _too_many_copies() -> Query:
    out = (State.SENT, State.IN_DOUBT, State.UNCONFIRMED, Reason.WORKER_LOST)
    copies = (
        sa.select(attempts.c.email_id)
        .where(attempts.c.marked_at.is_not(None), attempts.c.outcome.in_(out))
        .group_by(attempts.c.email_id)
        # By token: one mark may be told twice, by the rescue and by its worker that woke up after all.
        .having(sa.func.count(attempts.c.token.distinct()) > COPIES)
    )
    return sa.select(emails.c.id).where(sa.or_(emails.c.doubt_retries >= COPIES, emails.c.id.in_(copies)))


def _doubt_not_listed() -> Query:
    doubtful = sa.select(attempts.c.email_id).where(attempts.c.outcome == State.IN_DOUBT)
    return sa.select(emails.c.id).where(
        emails.c.doubt_since.is_(None), sa.or_(emails.c.doubt_retries > 0, emails.c.id.in_(doubtful))
    )


def _without_a_call() -> Query:
    lost = emails.c.state.in_([State.FAILED, State.MISSED, State.UNCONFIRMED])
    called = sa.select(calls.c.email_id).where(calls.c.email_id == emails.c.id).exists()
    late = emails.c.reason == Reason.REGISTERED_LATE  # one call a client, and only for a fresh treatment
    in_time = sa.not_(sa.func.coalesce(late, sa.false()))
    return sa.select(emails.c.id).where(emails.c.kind == Kind.REMINDER, lost, in_time, ~called)


def _no_known_state() -> Query:
    return sa.select(emails.c.id).where(emails.c.state.not_in([*OPEN, *FINAL]))


def _sent_without_evidence() -> Query:
    evidence = sa.select(sa.literal(1)).where(attempts.c.email_id == emails.c.id, attempts.c.outcome == State.SENT)
    return sa.select(emails.c.id).where(emails.c.state == State.SENT, ~evidence.exists())


def _failed_by_our_trouble() -> Query:
    return sa.select(emails.c.id).where(emails.c.state == State.FAILED, emails.c.reason == Reason.RELAY_TROUBLE)


def _two_for_one_step() -> Query:
    counted = (emails.c.state != State.CANCELLED) & emails.c.replaced_at.is_(None) & emails.c.treatment_id.is_not(None)
    return (
        sa.select(sa.func.max(emails.c.id))
        .where(counted)
        .group_by(emails.c.treatment_id, emails.c.step)
        .having(sa.func.count() > 1)
    )


def _contradicting() -> Query:
    """Open e-mails of a treatment although a newer one of the same area stands."""
    newer = treatments.alias("newer")
    is_newer = sa.or_(
        newer.c.treated_on > treatments.c.treated_on,
        sa.and_(newer.c.treated_on == treatments.c.treated_on, newer.c.id > treatments.c.id),
    )
    same = (newer.c.client_id == treatments.c.client_id) & (newer.c.area == treatments.c.area)
    replaced = sa.select(sa.literal(1)).where(same, newer.c.cancelled_at.is_(None), is_newer).exists()
    open_ = emails.c.state.in_([State.PLANNED, State.CLAIMED, State.HELD])
    theirs = emails.join(treatments, treatments.c.id == emails.c.treatment_id)
    return sa.select(emails.c.id).select_from(theirs).where(open_, replaced)


def _on_another_day(connection: sa.Connection, _: datetime) -> Sequence[int]:
    """What is still open: a zone changed after planning moves it."""
    zones = {clinic.id: clinic.zone for clinic in usable(connection)[0]}
    query = (
        sa.select(emails.c.id, emails.c.clinic_id, emails.c.day, emails.c.due_at, treatments.c.treated_on)
        .join(treatments, treatments.c.id == emails.c.treatment_id)
        .where(emails.c.kind == Kind.REMINDER, emails.c.state.in_([State.PLANNED, State.HELD]))
        .where(emails.c.clinic_id.in_(zones))
        .order_by(emails.c.id)
    )
    moved = []
    for row in connection.execute(query):
        zone = zones[row.clinic_id]
        noon = instant(
            row.treated_on + timedelta(days=row.day), time(12), zone
        )  # the next day's if the zone skipped it
        if local_day(row.due_at, zone) != local_day(noon, zone):
            moved.append(row.id)
    return moved[:SHOWN]


def _overdue(connection: sa.Connection, now: datetime) -> Sequence[int]:
    waiting = emails.c.state.in_([State.PLANNED, State.IN_DOUBT]), emails.c.not_before < now - WAITS_AT_MOST
    return _ids(sa.select(emails.c.id).where(*waiting))(connection, now)


@dataclass(frozen=True)
class Promise:
    """One promise: its name and sentence, the question whose answer breaks it, and what to do then."""

    name: str
    sentence: str
    question: Question
    next_step: str = "Look at them with `aftercare attempts --email ID` and tell whoever changed the database by hand."
    of: str = "e-mail"
    grave: bool = True


_PHONE = "Phone these clients: `aftercare outbox --json` has their ids."
_COMPARE = "Compare with a backup: lines were changed."
_CLINIC = "`aftercare clinic show ID` says what is wrong with it."
_WORKER = "Is a worker running? See its log."
_ZONE = "Was the clinic's zone changed? Give each treatment its day again: `aftercare treatment correct ID --on DATE`."
PROMISES: tuple[Promise, ...] = (
    Promise("P1 window", "Sent only between its hour and the end of its shelf life", _ids(_outside_its_window())),
    Promise("P1 wishes", "Nothing sent after a stop, an erasure or a cancellation", _ids(_against_a_wish())),
    Promise("P1 address", "Nothing sent to an address that is known to be dead", _to_a_dead_address),
    Promise("gap", "At least 12 hours between two reminders of one client", _too_close),
    Promise("P2 copies", "At most one repeat of an e-mail in doubt", _ids(_too_many_copies())),
    Promise("P2 listed", "Every possible repeat is listed as in doubt", _ids(_doubt_not_listed())),
    Promise("P3 states", "Every e-mail is in one of the known states", _ids(_no_known_state())),
    Promise("P3 calls", "Every failed, missed or unconfirmed reminder has a call", _ids(_without_a_call()), _PHONE),
    Promise("P3 evidence", "Every sent e-mail has the relay's answer on record", _ids(_sent_without_evidence())),
    Promise("P4 mark", "No e-mail was sent without its mark", _ids(_without_a_mark())),
    Promise("P5 trouble", "Trouble of the mail server fails no e-mail", _ids(_failed_by_our_trouble())),
    Promise("P6 once", "One e-mail for each step of a treatment", _ids(_two_for_one_step())),
    Promise("P7 one voice", "Nothing open of a treatment that a newer one replaced", _ids(_contradicting())),
    Promise("P9 clinics", "No e-mail mixes two clinics", _ids(whose.of_another_clinic())),
    Promise("P9 calls", "No call mixes two clinics", _ids(whose.calls_of_another_clinic()), of="call"),
    Promise("P9 people", "No e-mail about one client is for another", _ids(whose.of_another_person())),
    Promise("P9 people's calls", "No call mixes two clients", _ids(whose.calls_of_another_person()), of="call"),
    Promise("P9 owners", "Every e-mail has its client", _ids(whose.of_nobody())),
    Promise("P2 identity", "No two e-mails have one Message-ID", _ids(whose.of_one_name())),
    Promise("clinics", "Every clinic can be worked for", whose.clinics_in_trouble, _CLINIC, of="clinic"),
    Promise("P11 days", "Every open reminder is due on its day in its zone", _on_another_day, _ZONE, grave=False),
    Promise("audit", "The audit's chain is unbroken", whose.broken_audit, _COMPARE, of="audit line"),
    Promise("on time", "Nothing waits longer than 10 minutes", _overdue, _WORKER, grave=False),
)


def ask_all(connection: sa.Connection, now: datetime) -> list[Finding]:
    """Every promise with the ids that break it at `now`."""
    return [
        Finding(one.name, one.sentence, one.question(connection, now), one.next_step, one.of, one.grave)
        for one in PROMISES
    ]
