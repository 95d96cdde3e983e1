"""What has happened in a clinic when a browser looks at it: real e-mails over a real relay, real answers, real staff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from service.actions import revise, uploading, words
from service.actions.answer import Link, link_of
from service.actions.check_in import Answers, answer_check_in
from service.actions.importing import ImportJob
from service.actions.uploading import Desk, Options
from service.actions.words import Approval
from service.store import staff, texts
from service.store.outages import close_outage, open_outage
from service.store.tables import emails
from service.store.uploads import Owner
from tests.support.relay_script import Reply, recipients
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import SMP, World, at

#: Who, and how many days before the look they were treated.
PEOPLE = (
    ("Sam Reed", 0),
    ("Zoë Lindqvist", 2),
    ("ليلى منصور", 4),
    ("陳美玲", 6),
    ("Maximilian Alexander Bartholomew von und zu Hohenstein-Waldburg-Zeil", 8),
    ("Seán O'Brien", 10),
)
TODAY, SENT, RED, DEAD, STOPPED = 1, 2, 3, 5, 6
WELL: Answers = {"q1": ("none",), "q2": ("no",), "q3": ("none",), "q4": ("none",), "q5": ("none",), "q6": ("none",)}
STILL_RED: Answers = {**WELL, "q3": ("fading",)}
REFUSED = Reply(550, "5.1.1 no such user here")
#: One row that can be read, one that cannot, a date that could mean two days.
TABLE = (
    b"name,email,treatment,treatment_date,shoe size\n"
    b"Ada Lane,ada@example.com,Scalp tattoo,2026-11-19,38\nBo Low,bo,x,y,41\n"
)


def address(number: int) -> str:
    """Of the client who is the so many-th of PEOPLE, from 1."""
    return f"client{number}@example.com"


def link(number: int) -> Link:
    """What the links to that client's pages name."""
    return link_of(number, address(number))


def fill(world: World, now: str, more: Sequence[tuple[str, int]] = ()) -> None:
    """Ten days: one client of each kind, one address that does not exist, one red answer, one stop, one outage.

    more: further people, as in PEOPLE.
    """
    today = at(now).date()
    for number, (name, days) in enumerate((*PEOPLE, *more), 1):
        treated_on = today - timedelta(days=days)
        client_id = world.client(name, address(number), f"{treated_on} 12:00", phone=f"01632 96010{number}")
        assert client_id == number
        world.treat(client_id, str(treated_on), f"{treated_on} 12:00")
    with ScriptedRelay(recipients({address(DEAD): REFUSED})) as relay:
        for days in range(9, -1, -1):
            on = today - timedelta(days=days)
            # Three days ago the mail server was gone for the morning: what was due went out late.
            world.tick(relay, f"{on} 14:10" if days == 3 else f"{on} 10:00")
            if days == 5:
                with world.store.write() as connection:
                    revise.stop(connection, world.clinic, STOPPED, world.who(f"{on} 15:00"))
    with world.store.write() as connection:
        open_outage(connection, "relay", at(f"{today - timedelta(days=3)} 08:12"), "connection refused")
        close_outage(connection, "relay", at(f"{today - timedelta(days=3)} 14:10"))
    answer(world, RED, STILL_RED, f"{today} 16:20")


def answer(world: World, number: int, answers: Answers, now: str) -> None:
    """A client's check-in."""
    with world.store.write() as connection:
        answer_check_in(connection, world.service.catalogue.protocols, link(number), answers, at(now))


def approve_a_text(world: World, clinician: str, now: str) -> int:
    """A clinician signs the words of day 3, and somebody writes a newer draft of it. The draft's id."""
    clinic, catalogue, who = world.clinic, world.service.catalogue, world.who(now)
    key = words.TextKey(SMP, "day-03", "en")
    with world.store.write() as connection:
        first = texts.find(connection, clinic.id, key.as_dict())
        approval = Approval(clinician, date(2027, 11, 20))
        words.approve(connection, catalogue, clinic, (key, approval), who)
        source = texts.source(connection, first.id).replace("This note follows", "We write to you after")
        return words.save(connection, catalogue, clinic, (key, source), who).id


def upload(world: World, owner: str, now: str) -> int:
    """A file that somebody has uploaded and not yet imported. owner: their address."""
    with world.store.read() as connection:
        staff_id = staff.active_with(connection, owner)[0]["id"]
    job = ImportJob(world.clinic, world.service.catalogue.protocols, world.who(now))
    return uploading.check(Desk(world.store, job, Owner(world.clinic.id, staff_id)), "clients.csv", TABLE, Options())


@dataclass(frozen=True)
class Ids:
    """Which row each page is looked at with, so that it has something to show."""

    text_id: int
    upload_id: int
    sent: int
    planned: int
    refused: int

    def filled(self, path: str) -> str:
        """The path of a page with its parameters. KeyError for a parameter that nobody has made a row for."""
        client_id, email_id = SENT, self.sent
        if path.endswith("/skip"):
            email_id = self.planned
        elif path.endswith(("/again", "/lift")):
            client_id, email_id = DEAD, self.refused
        elif path.endswith("/unstop"):
            client_id = STOPPED
        ids = {"client_id": client_id, "treatment_id": client_id, "email_id": email_id, "call_id": 1, "staff_id": 1}
        return path.format(**ids, text_id=self.text_id, upload_id=self.upload_id)


def find_ids(world: World, text_id: int, upload_id: int) -> Ids:
    def first(client_id: int, state: str) -> int:
        return int(world.rows(emails.c.client_id == client_id, emails.c.state == state)[0].id)

    return Ids(text_id, upload_id, first(SENT, "sent"), first(SENT, "planned"), first(DEAD, "failed"))
