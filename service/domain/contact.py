"""MAY WE write to this person now: allowed, or withheld with the state the row takes and the reason.

The last check, asked again in the transaction of the mark (P1). Every kind of e-mail obeys the same rule: the facts are
about the one who would get it. Refuses to know how a fact is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from service.domain.reminder import Reason, State, ended


class ContactFacts(NamedTuple):
    """The world of one outgoing e-mail at one instant. No defaults: a fact nobody looked up must not read as harmless.

    now, due_at, useful_until: business time, UTC. in_doubt: an earlier copy may be out. consent_withheld: an explicit
    no is recorded. address_changed: the client's address is no longer the one this e-mail was made for. text_approved:
    the words it uses may be sent in this mode. gap_until: end of the quiet time after another reminder of this client,
    None without one or where it does not count. cap_reached: the clinic's limit a day is used up.
    """

    now: datetime
    due_at: datetime
    useful_until: datetime
    client_erased: bool
    client_stopped: bool
    client_paused: bool
    consent_withheld: bool
    treatment_cancelled: bool
    address_suppressed: bool
    address_changed: bool
    text_approved: bool
    gap_until: datetime | None
    cap_reached: bool
    in_doubt: bool


@dataclass(frozen=True)
class Allowed:
    """Nothing speaks against writing now."""


@dataclass(frozen=True)
class Withheld:
    """It must not go out. state: what the row becomes; in doubt means it stays or goes back there.

    not_before: when to ask again; None: whenever its turn comes.
    """

    state: State
    reason: Reason
    not_before: datetime | None = None


Decision = Allowed | Withheld


#: Only the clock or a person stands between these rows and their repeat: a row in doubt keeps its place.
_WAITS = (Reason.PAUSED, Reason.TOO_EARLY, Reason.GAP, Reason.DAILY_CAP)
#: A clinic whose limit a day is used up is asked again after this time.
CAP_WAIT = timedelta(minutes=15)


def may_we_write(facts: ContactFacts) -> Decision:
    """The client's wishes first, then the shelf life, then what a person can mend, then the clock.

    P2: a repeat needs the same bytes, so a row in doubt ends where its words are withdrawn or its address changed.
    """
    rules = (
        (facts.client_erased, State.CANCELLED, Reason.ERASED),
        (facts.client_stopped, State.CANCELLED, Reason.STOPPED),
        (facts.treatment_cancelled, State.CANCELLED, Reason.CANCELLED),
        (facts.address_suppressed, State.CANCELLED, Reason.SUPPRESSED),
        (facts.consent_withheld, State.CANCELLED, Reason.NO_CONSENT),
        (facts.now >= facts.useful_until, State.MISSED, Reason.TOO_LATE),
        (facts.client_paused, State.HELD, Reason.PAUSED),
        (not facts.text_approved, State.HELD, Reason.UNAPPROVED),
        (facts.address_changed, State.PLANNED, Reason.CHANGED),
        (facts.now < facts.due_at, State.PLANNED, Reason.TOO_EARLY),
        (_in_the_gap(facts), State.PLANNED, Reason.GAP),
        (facts.cap_reached, State.PLANNED, Reason.DAILY_CAP),
    )
    for speaks_against, state, reason in rules:
        if speaks_against and facts.in_doubt and reason in _WAITS:
            return Withheld(State.IN_DOUBT, reason, _again_at(facts, reason))
        if speaks_against:
            return Withheld(ended(in_doubt=facts.in_doubt, otherwise=state), reason, _again_at(facts, reason))
    return Allowed()


def _in_the_gap(facts: ContactFacts) -> bool:
    """Too soon after another reminder; but one that would pass its shelf life meanwhile goes at once."""
    return facts.gap_until is not None and facts.now < facts.gap_until < facts.useful_until


def _again_at(facts: ContactFacts, reason: Reason) -> datetime | None:
    if reason is Reason.GAP:
        return facts.gap_until
    return min(facts.now + CAP_WAIT, facts.useful_until) if reason is Reason.DAILY_CAP else None
