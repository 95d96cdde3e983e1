"""What a clinic is told of its e-mails equals the relay's log: the digest, the ledger of outages and the forecast.

Twelve days of a small clinic on a clock of their own, a round an hour in the daytime: one outage, one address that does not exist, one
mailbox that is full for a while. Who was treated when, the protocol's days and the log are all that is believed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions.digest import digest, words
from service.actions.watch import Watch
from service.store import browsing, lists
from service.store.engine import Store
from service.store.figures import Span
from service.store.outages import stories
from service.store.tables import clients, emails
from tests.support.relay_script import Action
from tests.support.scripted_relay import Reply, ScriptedRelay
from tests.support.world import World, at, make_world

MORNING, NIGHT = 7, 20
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: In London in November, so local time is UTC.
BEGINS, ENDS = at("2026-11-16 17:00"), at("2026-11-28 09:00")
DOWN = Span(at("2026-11-19 08:00"), at("2026-11-20 13:30"))
TREATED = {"2026-11-16": 2, "2026-11-17": 3, "2026-11-18": 2, "2026-11-19": 3, "2026-11-20": 2, "2026-11-21": 2}
UNKNOWN, FULL = "17-0@example.com", "16-1@example.com"
#: Day -> how many days after it falls due its shelf life ends, and at which hour.
SHELF_LIFE = {1: time(12), 3: time(12), 10: time(20)}


@dataclass(frozen=True)
class Step:
    """A reminder as the protocol has it, before anybody planned it."""

    address: str
    day: int
    due: datetime
    until: datetime


@dataclass
class Diary:
    """A relay's script that writes down by the run's clock whom it refused; and what went out in which round."""

    now: datetime = BEGINS
    refused: list[tuple[datetime, str, int]] = field(default_factory=list)
    came: dict[tuple[str, int], datetime] = field(default_factory=dict)
    notes: list[tuple[datetime, str]] = field(default_factory=list)

    def __call__(self, stage: str, argument: str, _count: int) -> Action | None:
        if stage == "connect" and DOWN.since <= self.now < DOWN.until:
            return Reply(421, "4.3.2 down")
        if stage == "rcpt" and argument == UNKNOWN:
            return self._refuse(argument, Reply(550, "5.1.1 no such user"))
        if stage == "rcpt" and argument == FULL and self.now < at("2026-11-17 12:00"):
            return self._refuse(argument, Reply(452, "4.2.2 mailbox full"))
        return None

    def _refuse(self, address: str, reply: Reply) -> Reply:
        self.refused.append((self.now, address, reply.code))
        return reply

    def accepted(self, step: Step, by: datetime = ENDS) -> datetime | None:
        """When the relay took a reminder, if it had by then."""
        when = self.came.get((step.address, step.day))
        return when if when is not None and when <= by else None


def planned() -> list[Step]:
    """Every reminder that falls due while it runs."""
    steps = []
    for on, number in TREATED.items():
        for day, ends in SHELF_LIFE.items():
            due = at(f"{on} 10:00") + day * DAY
            until = datetime.combine(due.date() + DAY, ends, due.tzinfo)
            steps += [Step(f"{on[-2:]}-{one}@example.com", day, due, until) for one in range(number) if due < ENDS]
    return steps


@dataclass
class Told:
    """What the clinic was told on its way. forecast: day -> how many e-mails go out then, said on the evening before."""

    world: World
    diary: Diary
    forecast: dict[date, int] = field(default_factory=dict)
    mornings: int = 0

    def run(self, relay: ScriptedRelay) -> None:
        delivery = self.world.delivery(relay)
        watch = Watch(self.world.store, "w1", down_after=DAY)
        while self.diary.now < ENDS:
            now = self.diary.now
            if f"{now:%Y-%m-%d}" in TREATED and now.hour == 17:
                self._treat(now)
            if now.hour == 8:
                self._morning(now)
            if now.hour == 20:
                self._evening(now)
            seen = len(relay.log)
            self.world.tick(relay, f"{now:%Y-%m-%d %H:%M}", delivery)
            self._write_down(relay, seen, now)
            line = delivery.breaker
            asyncio.run(watch.after_round(now, "", line.cause, line.opened_at))
            self.diary.now += HOUR if now.hour < NIGHT else DAY - (NIGHT - MORNING) * HOUR

    def _treat(self, now: datetime) -> None:
        on = f"{now:%Y-%m-%d}"
        for one in range(TREATED[on]):
            client = self.world.client(f"Client {on[-2:]}-{one}", f"{on[-2:]}-{one}@example.com", now=f"{on} 17:00")
            self.world.treat(client, on, now=f"{on} 17:00")

    def _write_down(self, relay: ScriptedRelay, seen: int, now: datetime) -> None:
        rows = {row.message_id: row for row in self.world.rows()}
        for message in relay.log[seen:]:
            (address,), row = message.rcpt_to, rows[message.message_id]
            if row.kind == "catch_up":
                self.diary.notes.append((now, address))
            else:
                assert (address, row.day) not in self.diary.came, "it went twice"
                self.diary.came[address, row.day] = now

    def _evening(self, now: datetime) -> None:
        """The command's forecast for tomorrow; the page counts the same."""
        midnight = datetime.combine(now.date() + DAY, time(), now.tzinfo)
        with self.world.store.read() as connection:
            rows = lists.forecast_rows(connection, self.world.clinic.id, now, midnight + DAY)
            number = sum(max(row["not_before"], now) >= midnight for row in rows)
            assert number == browsing.waiting(connection, self.world.clinic.id, midnight, midnight + DAY)
        self.forecast[midnight.date()] = number

    def _morning(self, now: datetime) -> None:
        """The digest of the day before, as it stands then, against the log up to then."""
        due = [step for step in planned() if now - DAY <= step.due < now]
        protocols = self.world.service.catalogue.protocols
        with self.world.store.read() as connection:
            made = digest(connection, self.world.clinic, Span(now - DAY, now), now, protocols)
        fates = Counter(self.fate(step, now) for step in due)
        said = made.figures._asdict()
        assert {fate: said[fate] for fate in FATES} == {fate: fates[fate] for fate in FATES}, now
        assert said["due"] == len(due), now
        assert made.expired.total() == fates["missed"]
        assert made.twice == made.out_of_date == ()
        expected = len(due) - fates["cancelled"]
        assert (f"{expected} notes were due" if expected else "Nothing was due") in words(made)[1]
        self.mornings += bool(due)

    def fate(self, step: Step, now: datetime) -> str:
        """What the log says became of a reminder up to `now`; nothing goes to an address once it is known to be dead."""
        when = self.diary.accepted(step, now)
        if when is not None:
            return "on_time" if when == step.due else "late"
        dead = [at for at, address, code in self.diary.refused if address == step.address and code == 550 and at <= now]
        if dead:
            return "failed" if min(dead) >= step.due else "cancelled"
        return "missed" if now >= step.until else "waiting"


FATES = ("on_time", "late", "missed", "failed", "cancelled", "waiting")


@pytest.fixture
def told(store: Store, tmp_path: Path) -> Told:
    diary = Diary()
    ran = Told(make_world(store, tmp_path), diary)
    with ScriptedRelay(diary) as relay:
        ran.run(relay)
    return ran


def test_digest_ledger_and_forecast_equal_the_relays_log(told: Told) -> None:
    """The digest is held against the log on every morning, while it runs."""
    fates = Counter(told.fate(step, ENDS) for step in planned())
    assert all(fates[fate] for fate in ("on_time", "late", "missed", "failed", "cancelled")), f"too easy: {fates}"
    assert told.mornings == 10, "on the 25th nothing falls due"
    the_ledger_names_what_the_log_misses(told)
    the_forecast_of_each_fair_day_came_true(told)


def the_ledger_names_what_the_log_misses(told: Told) -> None:
    """One outage, from the first e-mail that met it; touched is what fell due in it and was not accepted in time."""
    with told.world.store.read() as connection:
        (story,) = stories(connection, told.world.clinic.id, ENDS)
        mine = sa.select(emails.c.id, clients.c.email).join_from(emails, clients)
        addresses = {row.id: row.email for row in connection.execute(mine)}
    hit = [step for step in planned() if DOWN.since <= step.due < DOWN.until]
    assert story.outage.kind == "relay"
    assert story.outage.began_at == min(step.due for step in hit)
    assert story.outage.ended_at == min(when for when in told.diary.came.values() if when >= DOWN.until)
    days = {row.id: row.day for row in told.world.rows()}
    listed = {(addresses[one.email_id], days[one.email_id]): (one.fate, one.sent_at) for one in story.touched}
    seen = {
        (step.address, step.day): (fate, told.diary.accepted(step))
        for step in hit
        if (fate := told.fate(step, ENDS)) not in ("on_time", "cancelled")
    }
    assert listed == seen
    replaced = {addresses[one.email_id] for one in story.touched if one.replaced}
    assert replaced == {address for _, address in told.diary.notes}


def the_forecast_of_each_fair_day_came_true(told: Told) -> None:
    """What the relay took on a day, and what it refused for good, is what had been foretold on the evening before."""
    trouble = {DOWN.since.date(), DOWN.until.date()}
    for day, number in told.forecast.items():
        came = sum(when.date() == day for when in told.diary.came.values())
        came += sum(when.date() == day for when, _ in told.diary.notes)
        refused = sum(at.date() == day and code == 550 for at, _, code in told.diary.refused)
        if day not in trouble and day < ENDS.date():
            assert came + refused == number, day
    on_19th = [step for step in planned() if step.due.date() == DOWN.since.date()]
    assert told.forecast[DOWN.since.date()] == len(on_19th)
    assert not any(when.date() == DOWN.since.date() for when in told.diary.came.values())
