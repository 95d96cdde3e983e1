"""The desk of the made-up clinic: does what the scenario says through the same actions as every other door.

Each deed is one transaction and answers one sentence for the story, its dates read back from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.actions import calls, clinic_setup, register, revise
from service.actions.calls import Closing
from service.actions.register import NewClient, NewTreatment
from service.actions.revise import Who
from service.demo.scenario import (
    AT_THE_DESK,
    CLINIC,
    STAFF,
    Corrected,
    Deed,
    Person,
    Phoned,
    PowerBack,
    PowerCut,
    Stopped,
    Treated,
)
from service.demo.words import day_of, listed, spoken_day
from service.domain.reminder import State
from service.domain.schedule import local_day
from service.store.calls import listed as listed_calls
from service.store.clinics import Clinic
from service.wiring import Service


@dataclass
class Desk:
    """Who is at the desk, and whom she knows: person -> client id, newest treatment id and protocol."""

    service: Service
    clinic: Clinic
    _clients: dict[Person, int] = field(default_factory=dict)
    _newest: dict[Person, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def set_up(cls, service: Service, now: datetime) -> Desk:
        """A new clinic with its staff and the shipped words."""
        who = Who("demo", now)
        with service.store.write() as connection:
            clinic = clinic_setup.add_clinic(connection, service.catalogue, CLINIC, who)
            for member in STAFF:
                clinic_setup.add_staff(connection, clinic, member, who)
        return cls(service, clinic)

    def do(self, deed: Deed, now: datetime) -> str:
        """Does it and says what was done."""
        who = Who(AT_THE_DESK["email"], now)
        with self.service.store.write() as connection:
            match deed:
                case Treated():
                    return self._treat(connection, deed, who)
                case Corrected():
                    return self._correct(connection, deed, who)
                case Stopped():
                    revise.stop(connection, self.clinic, self._clients[deed.who], who)
                    return f"{deed.who.name} asks for no more of these e-mails."
                case Phoned():
                    return self._phone(connection, deed, who)
                case PowerCut():
                    return "Power cut: the computer is off, nothing can be sent."
                case PowerBack():
                    return "The power is back. Aftercare starts again by itself."

    def _treat(self, connection: sa.Connection, deed: Treated, who: Who) -> str:
        if deed.who not in self._clients:
            new = NewClient(deed.who.name, deed.who.email, deed.who.phone)
            added = register.add_client(connection, self.clinic, new, who.actor, who.now)
            self._clients[deed.who] = int(added["id"])
        given = self._given(deed, deed.protocol, who.now)
        planned = register.add_treatment(connection, self.clinic, given, who.actor, who.now)
        self._newest[deed.who] = planned.treatment_id, deed.protocol
        when = f"on {spoken_day(given.treated_on)}, registered only now" if deed.days_ago else "today"
        title = given.protocol.title.lower()
        return f"{deed.who.name} had {title} {when}. {self._plan(planned.rows, who.now)}"

    def _correct(self, connection: sa.Connection, deed: Corrected, who: Who) -> str:
        treatment_id, protocol = self._newest[deed.who]
        given = self._given(deed, protocol, who.now)
        planned = revise.correct_treatment(connection, self.clinic, treatment_id, given, who)
        day = spoken_day(given.treated_on)
        return f"{deed.who.name} was here on {day}: the date is corrected. {self._plan(planned.rows, who.now)}"

    def _given(self, deed: Treated | Corrected, protocol: str, now: datetime) -> NewTreatment:
        treated_on = local_day(now, self.clinic.zone) - timedelta(days=deed.days_ago)
        return NewTreatment(self._clients[deed.who], self.service.catalogue.protocols[protocol], treated_on)

    def _plan(self, rows: Sequence[sa.RowMapping], now: datetime) -> str:
        open_now = [row for row in rows if row["state"] == State.PLANNED]
        days = [
            f"day {day_of(row['step'])} "
            + ("now" if row["not_before"] <= now else f"on {spoken_day(local_day(row['due_at'], self.clinic.zone))}")
            for row in open_now
        ]
        return f"Notes to come: {listed(days)}."

    def _phone(self, connection: sa.Connection, deed: Phoned, who: Who) -> str:
        for call in listed_calls(connection, self.clinic.id, "open"):
            if call["client_id"] == self._clients[deed.who]:
                calls.close(connection, self.clinic, call["id"], Closing("reached", deed.note), who)
        return f"{AT_THE_DESK['name']} phones {deed.who.name}: reached, {deed.note}."
