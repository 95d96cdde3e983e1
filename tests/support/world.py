"""A clinic to try things in: a migrated database, the shipped texts, a relay that is really spoken to."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service import wiring
from service.actions import clinic_setup, register
from service.actions.deliver import Delivery
from service.actions.register import NewClient, NewTreatment, Planned
from service.actions.revise import Who
from service.clock import Clock, stopped_at
from service.settings import Settings
from service.store import clinics
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.promises import ask_all
from service.store.tables import emails
from service.wiring import Service
from tests.support.scripted_relay import Accepted, ScriptedRelay

SMP = "scalp-micropigmentation"
TATTOO = "scalp-tattoo"
NORTHGATE = {
    "name": "Northgate Clinic",
    "sender_name": "Northgate",
    "timezone": "Europe/London",
    "phone": "01632 960 001",
    "hours": "mon-fri 09:00-18:00; sat 10:00-14:00",
    "emergency_number": "999",
    "urgent_line_name": "NHS 111",
    "urgent_line_number": "111",
    "reply_to": "desk@northgate-clinic.org",
}


def at(text: str) -> datetime:
    """'2026-11-20 16:00' as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class World:
    """One clinic in one database. Times are said as UTC texts."""

    service: Service
    clinic: Clinic

    @property
    def store(self) -> Store:
        return self.service.store

    def client(self, name: str = "Sam Reed", address: str = "", now: str = "2026-11-20 16:00", **more: Any) -> int:
        address = address or f"{name.split()[0].lower()}@example.com"
        with self.store.write() as connection:
            given = NewClient(name, address, **more)
            return int(register.add_client(connection, self.clinic, given, "test", at(now))["id"])

    def treat(self, client_id: int, on: str, now: str = "2026-11-20 16:00", protocol: str = SMP) -> Planned:
        new = NewTreatment(client_id, self.service.catalogue.protocols[protocol], date.fromisoformat(on))
        with self.store.write() as connection:
            return register.add_treatment(connection, self.clinic, new, "test", at(now))

    def rows(self, *where: sa.ColumnElement[bool]) -> list[Any]:
        with self.store.read() as connection:
            return list(connection.execute(sa.select(emails).where(*where).order_by(emails.c.due_at, emails.c.id)))

    def states(self) -> dict[str, str]:
        """step -> state, with the reason after a colon; for worlds with one client."""
        return {row.step: f"{row.state}: {row.reason}" if row.reason else row.state for row in self.rows()}

    def who(self, now: str) -> Who:
        return Who("test", at(now))

    def red(self, now: str) -> list[str]:
        """The promises that `check` finds broken."""
        with self.store.read() as connection:
            return [one.message for one in ask_all(connection, at(now)) if one.state == "red"]

    def delivery(self, relay: ScriptedRelay, worker: str = "w1") -> Delivery:
        settings = self.service.settings.model_copy(update={"relay_port": relay.port})
        service = Service(settings, self.store)
        address = wiring.relay_address(settings)
        assert address is not None
        return wiring.delivery(service, lambda _: address, worker)

    def tick(self, relay: ScriptedRelay, now: str | Clock, delivery: Delivery | None = None) -> Counter[str]:
        clock = stopped_at(at(now)) if isinstance(now, str) else now
        return asyncio.run((delivery or self.delivery(relay)).until_idle(clock))


def make_world(store: Store, folder: Path, **settings: Any) -> World:
    """A complete clinic in London with the shipped texts as drafts, in trial mode towards a relay on loopback."""
    defaults: dict[str, Any] = {
        "relay_host": "127.0.0.1",
        "relay_tls": "none",
        "trial_allow": "example.com",
        "data_dir": folder,
    }
    service = Service(Settings.model_validate(defaults | settings), store)
    with store.write() as connection:
        who = Who("test", at("2026-01-01 00:00"))
        clinic = clinic_setup.add_clinic(connection, service.catalogue, NORTHGATE, who)
    return World(service, clinic)


def another_clinic(world: World, **fields: str) -> World:
    """A second clinic in the same database."""
    with world.store.write() as connection:
        who = Who("test", at("2026-01-01 00:00"))
        clinic = clinic_setup.add_clinic(connection, world.service.catalogue, NORTHGATE | fields, who)
        return World(world.service, clinics.get(connection, clinic.id))


def read(message: Accepted) -> EmailMessage:
    parsed = email.message_from_bytes(message.data, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text_of(message: Accepted) -> str:
    body = read(message).get_body(("plain",))
    assert body is not None
    return str(body.get_content())
