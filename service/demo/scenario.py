"""The story of the demo as data: who, on which day, at what local time, what happens. Day 0 is the first day.

It holds for any first day: whatever staff do lies between 10:10 and 13:50, when the clinic is open on every weekday.
"""

from __future__ import annotations

from dataclasses import dataclass

SMP = "scalp-micropigmentation"
TATTOO = "scalp-tattoo"

#: The numbers are ones that are kept free for stories.
CLINIC = {
    "name": "Northgate Clinic",
    "sender_name": "Northgate",
    "timezone": "Europe/London",
    "send_at": "10:00",
    "phone": "01632 960 001",
    "hours": "mon-fri 09:00-18:00; sat-sun 10:00-14:00",
    "emergency_number": "999",
    "urgent_line_name": "NHS 111",
    "urgent_line_number": "111",
    "reply_to": "desk@northgate.example.org",
}
STAFF = (
    {"name": "Sara Whitfield", "email": "sara@northgate.example.org", "role": "reception"},
    {"name": "Dr Anil Mehta", "email": "anil@northgate.example.org", "role": "clinician"},
    {"name": "Helen Frost", "email": "helen@northgate.example.org", "role": "owner"},
)
AT_THE_DESK = STAFF[0]
OPENS_AT = "08:30"


@dataclass(frozen=True)
class Person:
    """A made-up client."""

    name: str
    email: str
    phone: str


SAM = Person("Sam Reed", "sam.reed@example.com", "07700 900101")
ZOE = Person("Zoë Lindqvist", "zoe.lindqvist@example.com", "07700 900102")
KARIM = Person("Karim Haddad", "karim.h@example.net", "07700 900103")
SEAN = Person("Seán O'Brien", "sean.obrien@example.com", "07700 900104")
DWAYNE = Person("Dwayne Carter", "dwayne.carter@example.org", "07700 900105")
AMARA = Person("Amara Okafor", "amara.okafor@example.com", "07700 900106")
LAYLA = Person("ليلى منصور", "layla.mansour@example.net", "07700 900107")
JOSE = Person("José Núñez", "jose.nunez@example.com", "07700 900108")
LUKASZ = Person("Łukasz Wiśniewski", "lukasz.w@example.net", "07700 900109")
ROSA = Person("Rosa Bellini", "bellini.family@example.org", "07700 900110")
MARCO = Person("Marco Bellini", "bellini.family@example.org", "07700 900111")
MEILING = Person("陳美玲", "meiling.chen@example.com", "07700 900112")


@dataclass(frozen=True)
class Treated:
    """The desk registers a treatment of `days_ago`, and the person if she is new."""

    who: Person
    protocol: str = SMP
    days_ago: int = 0


@dataclass(frozen=True)
class Corrected:
    """The desk moves the person's newest treatment to `days_ago`."""

    who: Person
    days_ago: int


@dataclass(frozen=True)
class Stopped:
    """The person wants no more of these e-mails."""

    who: Person


@dataclass(frozen=True)
class Phoned:
    """The desk makes the open calls to a person and reaches her."""

    who: Person
    note: str


@dataclass(frozen=True)
class PowerCut:
    """The computer is off from here on: nothing is registered, nothing is sent."""


@dataclass(frozen=True)
class PowerBack:
    """The computer starts again, and Aftercare with it."""


Deed = Treated | Corrected | Stopped | Phoned | PowerCut | PowerBack


@dataclass(frozen=True)
class Event:
    """day: 0 is the first day. at: 'HH:MM' in the clinic's zone. remark: a sentence for the reader of the story."""

    day: int
    at: str
    what: Deed
    remark: str = ""


#: In order of time. No two at the same minute.
EVENTS = (
    Event(0, "10:20", Treated(SAM)),
    Event(0, "11:05", Treated(ZOE, TATTOO)),
    Event(0, "11:50", Treated(KARIM)),
    Event(0, "12:30", Treated(DWAYNE)),
    Event(0, "13:10", Treated(SEAN, days_ago=2), "The form had been left in a drawer."),
    Event(1, "10:40", Treated(AMARA)),
    Event(2, "11:15", Treated(LAYLA)),
    Event(2, "12:05", Stopped(DWAYNE)),
    Event(2, "13:20", Phoned(DWAYNE, "knows the warning signs now")),
    Event(3, "10:45", Treated(JOSE)),
    Event(3, "11:30", PowerCut(), "Nothing can be sent or registered."),
    Event(6, "09:05", PowerBack()),
    Event(6, "10:35", Phoned(AMARA, "all well")),
    Event(6, "11:05", Treated(LUKASZ), "Copied from the paper list that was kept without power."),
    Event(6, "13:20", Corrected(LUKASZ, days_ago=1), "The paper list says so."),
    Event(7, "10:50", Treated(KARIM), "His second visit."),
    Event(7, "11:40", Treated(ROSA)),
    Event(7, "11:45", Treated(MARCO), "They share one e-mail address; each of them gets notes of their own."),
    Event(8, "12:15", Treated(MEILING)),
)
