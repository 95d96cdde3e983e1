"""Stops, cancellations and new addresses, at random moments, for clients whose mail is just being said."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import revise
from service.actions.revise import Who
from service.domain.protocol import FollowUpProtocol
from service.mail.catalogue import Catalogue
from service.store import clinics
from service.store.engine import Store
from service.store.promises import ask_all
from service.store.tables import emails
from tests.bench.stock import PROTOCOL
from tests.faults.judging import Case, Tally
from tests.support.processes import wait_for
from tests.support.relay_script import Action, Delay
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import make_world

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
MAILS = 240


@dataclass
class Watching:
    """A slow relay that notes when it was asked for each address: the 354, and so the mark, come later than that."""

    asked: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, stage: str, argument: str, count: int) -> Action | None:
        if stage == "rcpt":
            self.asked[argument].append(datetime.now(UTC))
        # Now and then a reply is so late that wishes come between a mark and its outcome.
        return Delay(0.3 if count % 7 == 0 else 0.02) if stage in ("rcpt", "dot") else None


@dataclass
class Desk:
    """Does one wish after another in transactions of its own. committed: client -> when the wish was certainly there."""

    case: Case
    protocol: FollowUpProtocol
    committed: dict[int, datetime] = field(default_factory=dict)
    moved: dict[int, tuple[str, datetime]] = field(default_factory=dict)

    def wish(self, kind: str, address: str, client: int, treatment: int) -> None:
        who = Who("desk", datetime.now(UTC))
        with self.case.store.write() as connection:
            clinic = clinics.get(connection, 1)
            if kind == "stop":
                revise.stop(connection, clinic, client, who)
            elif kind == "cancel":
                revise.cancel_treatment(connection, clinic, treatment, self.protocol, who)
            else:
                revise.change_client(connection, clinic, client, {"email": f"new-{address}"}, who)
        if kind == "move":
            self.case.former[client].add(address)
            self.moved[client] = (address, datetime.now(UTC))
        else:
            self.case.ended.add(client)
            self.committed[client] = datetime.now(UTC)


def who_is_due(case: Case) -> list[tuple[str, int, int]]:
    """(address, client, treatment) of the due mails in the order in which they go."""
    by_email = {number: address for address, number in case.due.items()}
    rows = sorted(case.rows(), key=lambda row: (row.useful_until, row.id))
    return [(by_email[row.id], row.client_id, row.treatment_id) for row in rows]


@pytest.mark.slow
def test_what_was_wished_before_the_mark_is_obeyed(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    chance = random.Random(20261123)
    watching = Watching()
    with ScriptedRelay(watching, log_file=tmp_path / "relay.jsonl") as relay:
        case = case_of(MAILS, relay.port, tick_seconds="0.2", lease_seconds="1200", relay_session_timeout="900")
        desk = Desk(case, Catalogue.load().protocols[PROTOCOL])
        due = who_is_due(case)
        with case.program:
            worker = case.program.start("worker")
            wait_for(lambda: relay.log, "the first mail")
            while len(desk.committed) + len(desk.moved) < 120 and case.states()["planned"] + case.states()["claimed"]:
                # Near the head of the line: what is being said now, or will be in a moment.
                place = len(relay.log) + len(desk.committed) + chance.randint(-6, 12)
                address, client, treatment = due[max(0, min(place, MAILS - 1))]
                if client not in desk.committed and client not in desk.moved:
                    desk.wish(chance.choice(("stop", "cancel", "move")), address, client, treatment)
                time.sleep(chance.random() * 0.02)
            wait_for(lambda: not set(case.states()) & {"planned", "claimed", "sending"}, "the last row")
            worker.stop()
            case.program.tick(case.at(45))
            tally = case.judge()
            held_to(desk, watching, relay)
    assert len(desk.committed) > 20
    assert len(desk.moved) > 10
    assert tally.sent < MAILS
    told(f"stop, cancel, new address at random in flight, {database_url.partition(':')[0]}", tally)


def held_to(desk: Desk, watching: Watching, relay: ScriptedRelay) -> None:
    """I6, I7, I9 by the relay: nothing it was asked for after a wish was accepted; and by the marks."""
    came = defaultdict(list)
    for message in relay.log:
        came[message.rcpt_to[0]].append(message.at)
    with desk.case.store.read() as connection:
        marked = connection.execute(sa.select(emails).where(emails.c.marked_at.is_not(None))).all()
    for row in marked:
        wished = desk.committed.get(row.client_id)
        assert wished is None or row.marked_at <= wished, f"e-mail {row.id}: marked after the wish"
    address_of = {client: address for address, client, _ in who_is_due(desk.case)}
    gone = {address_of[client]: wished for client, wished in desk.committed.items()}
    gone |= dict(desk.moved.values())
    for address, wished in gone.items():
        for at in came[address]:
            asked = max(one for one in watching.asked[address] if one <= at)
            assert asked <= wished, f"{address} was asked for {asked - wished} after the wish, and got a mail"


@pytest.mark.parametrize("kind", ["stop", "cancel", "erase"])
def test_a_wish_that_waited_for_a_mark_is_no_broken_promise(store: Store, tmp_path: Path, kind: str) -> None:
    """The desk read its clock, then waited for the lock that the mark held: committed later, dated earlier."""
    world = make_world(store, tmp_path)
    client = world.client()
    treatment = world.treat(client, "2026-11-20").treatment_id
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00:05")
        assert len(relay.log) == 1
    who = world.who("2026-11-21 10:00:03")
    with store.write() as connection:
        if kind == "stop":
            revise.stop(connection, world.clinic, client, who)
        elif kind == "erase":
            revise.erase(connection, world.clinic, client, who)
        else:
            protocol = world.service.catalogue.protocols[PROTOCOL]
            revise.cancel_treatment(connection, world.clinic, treatment, protocol, who)
    with store.read() as connection:
        found = ask_all(connection, world.who("2026-11-21 10:01").now)
    assert [one.name for one in found if one.ids] == []
