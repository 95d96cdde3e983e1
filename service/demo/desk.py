"""The desk of the made-up clinic: does what the scenario says through the same actions as every other door.

Each deed answers sentences for the story, the dates in them read back from the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from service.actions import calls, clinic_setup, register, revise
from service.actions.calls import Closing
from service.actions.register import NewClient, NewTreatment, Planned
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
from service.demo.words import day_of, spoken_day
from service.domain.reminder import State
from service.domain.schedule import local_day
from service.store.calls import listed as call_list
from service.store.clinics import Clinic
from service.wiring import Service


@dataclass
class Desk:
    """Who is at the desk, and what she has registered: client ids, and each one's newest treatment and protocol."""

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
        match deed:
            case Treated():
                return self._treat(deed, who)
            case Corrected():
                return self._correct(deed, who)
            case Stopped(person):
                with self.service.store.write() as connection:
                    revise.stop(connection, self.clinic, self._clients[person], who)
                return f"Stopped: {person.name} asks for no more of these e-mails."
            case Phoned():
                return self._phone(deed, who)
            case PowerCut():
                return "Power cut: the computer is off."
            case PowerBack():
                return "Power back: the computer starts, and Aftercare with it."

    def _treat(self, deed: Treated, who: Who) -> str:
        protocol = self.service.catalogue.protocols[deed.protocol]
        treated_on = local_day(who.now, self.clinic.zone) - timedelta(days=deed.days_ago)
        with self.service.store.write() as connection:
            if deed.who not in self._clients:
                new = NewClient(deed.who.name, deed.who.email, deed.who.phone)
                added = register.add_client(connection, self.clinic, new, who.actor, who.now)
                self._clients[deed.who] = int(added["id"])
            given = NewTreatment(self._clients[deed.who], protocol, treated_on)
            planned = register.add_treatment(connection, self.clinic, given, who.actor, who.now)
        self._newest[deed.who] = planned.treatment_id, deed.protocol
        when = f"on {spoken_day(treated_on)}" if deed.days_ago else "today"
        return f"Registered: {deed.who.name}, {protocol.title.lower()} {when}. {self._plan(planned, who.now)}"

    def _correct(self, deed: Corrected, who: Who) -> str:
        treatment_id, protocol = self._newest[deed.who]
        treated_on = local_day(who.now, self.clinic.zone) - timedelta(days=deed.days_ago)
        given = NewTreatment(self._clients[deed.who], self.service.catalogue.protocols[protocol], treated_on)
        with self.service.store.write() as connection:
            planned = revise.correct_treatment(connection, self.clinic, treatment_id, given, who)
        return f"Corrected: {deed.who.name} was here on {spoken_day(treated_on)}. {self._plan(planned, who.now)}"

    def _plan(self, planned: Planned, now: datetime) -> str:
        days = []
        for row in planned.rows:
            if row["state"] == State.PLANNED:
                on = spoken_day(local_day(row["due_at"], self.clinic.zone))
                days.append(f"day {day_of(row['step'])} {'now' if row['not_before'] <= now else on}")
        return f"Notes: {', '.join(days)}."

    def _phone(self, deed: Phoned, who: Who) -> str:
        with self.service.store.write() as connection:
            for call in call_list(connection, self.clinic.id, "open"):
                if call["client_id"] == self._clients[deed.who]:
                    calls.close(connection, self.clinic, call["id"], Closing("reached", deed.note), who)
        return f"Phoned: {deed.who.name} by {AT_THE_DESK['name']}. Reached: {deed.note}."
