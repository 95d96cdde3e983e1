"""The last check: every combination of facts, and what each of them forbids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.contact import Allowed, ContactFacts, Withheld, may_we_write
from service.domain.reminder import MOVES, Reason, State

DUE = datetime(2026, 11, 21, 10, tzinfo=UTC)
UNTIL = datetime(2026, 11, 22, 12, tzinfo=UTC)
EARLY, ON_TIME, LATE = DUE - timedelta(seconds=1), DUE, UNTIL
NOW, IN_DOUBT = "now", "in_doubt"

#: The fact that forbids, gravest first; the state of a row; the state of a row once in doubt; the reason.
TABLE = [
    ("client_erased", True, State.CANCELLED, State.UNCONFIRMED, Reason.ERASED),
    ("client_stopped", True, State.CANCELLED, State.UNCONFIRMED, Reason.STOPPED),
    ("treatment_cancelled", True, State.CANCELLED, State.UNCONFIRMED, Reason.CANCELLED),
    ("address_suppressed", True, State.CANCELLED, State.UNCONFIRMED, Reason.SUPPRESSED),
    ("consent_withheld", True, State.CANCELLED, State.UNCONFIRMED, Reason.NO_CONSENT),
    (NOW, LATE, State.MISSED, State.UNCONFIRMED, Reason.TOO_LATE),
    ("client_paused", True, State.HELD, State.IN_DOUBT, Reason.PAUSED),
    ("text_approved", False, State.HELD, State.UNCONFIRMED, Reason.UNAPPROVED),
    ("address_changed", True, State.PLANNED, State.UNCONFIRMED, Reason.CHANGED),
    (NOW, EARLY, State.PLANNED, State.IN_DOUBT, Reason.TOO_EARLY),
    ("cap_reached", True, State.PLANNED, State.IN_DOUBT, Reason.DAILY_CAP),
]
HARMLESS: dict[str, Any] = {name: not bad for name, bad, *_ in TABLE if name != NOW} | {NOW: ON_TIME, IN_DOUBT: False}
FLAGS = [name for name in HARMLESS if name != NOW]
NO_GAP = {"gap_until": None}


def _facts(**changes: Any) -> ContactFacts:
    return ContactFacts(**({"due_at": DUE, "useful_until": UNTIL} | NO_GAP | HARMLESS | changes))


def _said(decision: object) -> object:
    return (decision.state, decision.reason) if isinstance(decision, Withheld) else decision


def _every_world() -> Iterator[dict[str, Any]]:
    for now, *flags in product((EARLY, ON_TIME, LATE), *[(False, True)] * len(FLAGS)):
        yield {NOW: now} | dict(zip(FLAGS, flags, strict=True))


def test_every_combination_of_facts_is_decided_by_its_gravest_one() -> None:
    for world in _every_world():
        forbids = [row for row in TABLE if world[row[0]] == row[1]]
        decision = may_we_write(_facts(**world))
        if not forbids:
            assert decision == Allowed(), world
            continue
        _, _, state, state_in_doubt, reason = forbids[0]
        assert _said(decision) == (state_in_doubt if world[IN_DOUBT] else state, reason), world


@pytest.mark.parametrize(("name", "bad", "state", "state_in_doubt", "reason"), TABLE)
def test_each_fact_alone_forbids(name: str, bad: object, state: State, state_in_doubt: State, reason: Reason) -> None:
    assert _said(may_we_write(_facts(**{name: bad}))) == (state, reason)
    assert _said(may_we_write(_facts(**{name: bad, IN_DOUBT: True}))) == (state_in_doubt, reason)


def test_without_any_of_them_writing_is_allowed_in_doubt_or_not() -> None:
    assert may_we_write(_facts()) == Allowed()
    assert may_we_write(_facts(in_doubt=True)) == Allowed()


def test_the_shelf_life_begins_at_due_and_is_over_at_its_last_instant() -> None:
    tick = timedelta(microseconds=1)
    assert may_we_write(_facts(now=DUE)) == Allowed()
    assert may_we_write(_facts(now=UNTIL - tick)) == Allowed()
    assert may_we_write(_facts(now=UNTIL)) == Withheld(State.MISSED, Reason.TOO_LATE)
    assert may_we_write(_facts(now=DUE - tick)) == Withheld(State.PLANNED, Reason.TOO_EARLY)


def test_a_second_reminder_waits_out_the_gap_unless_it_would_be_out_of_date_by_then() -> None:
    soon = DUE + timedelta(hours=3)
    assert may_we_write(_facts(gap_until=soon)) == Withheld(State.PLANNED, Reason.GAP, soon)
    assert may_we_write(_facts(gap_until=soon, now=soon)) == Allowed()
    assert may_we_write(_facts(gap_until=UNTIL)) == Allowed()
    assert may_we_write(_facts(gap_until=soon, in_doubt=True)) == Withheld(State.IN_DOUBT, Reason.GAP, soon)


def test_a_full_day_is_asked_about_again_but_never_beyond_the_shelf_life() -> None:
    decision = may_we_write(_facts(cap_reached=True))
    assert isinstance(decision, Withheld)
    assert decision.not_before == DUE + timedelta(minutes=15)
    late = may_we_write(_facts(cap_reached=True, now=UNTIL - timedelta(minutes=1)))
    assert isinstance(late, Withheld)
    assert late.not_before == UNTIL


def test_a_claimed_row_may_go_wherever_the_check_sends_it() -> None:
    for world in _every_world():
        decision = may_we_write(_facts(**world))
        if isinstance(decision, Withheld):
            assert decision.state in MOVES[State.CLAIMED], world
            if world[IN_DOUBT]:
                assert decision.state in MOVES[State.IN_DOUBT] | {State.IN_DOUBT}, world


@given(st.timedeltas(timedelta(days=-2), timedelta(days=3)), st.fixed_dictionaries(dict.fromkeys(FLAGS, st.booleans())))
def test_allowed_means_that_nothing_speaks_against_it(after_due: timedelta, flags: dict[str, bool]) -> None:
    now = DUE + after_due
    if may_we_write(_facts(now=now, **flags)) == Allowed():
        assert DUE <= now < UNTIL
        assert {name: flags[name] for name in FLAGS if name != IN_DOUBT} == {
            name: HARMLESS[name] for name in FLAGS if name != IN_DOUBT
        }


def test_no_fact_has_a_default_so_that_none_is_forgotten() -> None:
    with pytest.raises(TypeError, match="address_suppressed"):
        ContactFacts(
            due_at=DUE,
            useful_until=UNTIL,
            gap_until=None,
            **{k: v for k, v in HARMLESS.items() if k != "address_suppressed"},
        )
