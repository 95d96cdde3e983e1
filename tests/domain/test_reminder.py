"""The life of an outgoing e-mail: every move, every wait, and what a lost reply may become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.reminder import (
    DOUBT_WAIT,
    FINAL,
    MOVES,
    OPEN,
    Claimed,
    Next,
    Reason,
    State,
    after,
    back_off,
    doubt_wait,
    ended,
    lapsed,
)
from service.domain.replies import Heard, Kind, Scope, Stage, Verdict, classify

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
UNTIL = NOW + timedelta(hours=26)

ACCEPTED = Verdict(Kind.ACCEPTED, Scope.MESSAGE, counts=True)
LOST = Verdict(Kind.IN_DOUBT, Scope.CONNECTION, counts=True)
REFUSED = Verdict(Kind.PERMANENT, Scope.RECIPIENT, counts=True)
NOT_NOW = Verdict(Kind.TEMPORARY, Scope.RECIPIENT, counts=True)
RELAY_DOWN = Verdict(Kind.TEMPORARY, Scope.RELAY)
WRONG_PASSWORD = Verdict(Kind.CONFIGURATION, Scope.RELAY)
NO_MARK = Verdict(Kind.WITHHELD, Scope.MESSAGE)

ALLOWED_MOVES = """
planned      claimed held missed cancelled sent
claimed      sending planned in_doubt held failed missed cancelled unconfirmed sent
sending      sent planned in_doubt failed missed cancelled unconfirmed
in_doubt     claimed unconfirmed sent
held         planned missed cancelled unconfirmed sent
sent
failed
missed
cancelled
unconfirmed  sent
"""


def _row(*, attempts: int = 0, doubt_retries: int = 0, in_doubt: bool = False, until: datetime = UNTIL) -> Claimed:
    return Claimed(id=7, attempts=attempts, doubt_retries=doubt_retries, in_doubt=in_doubt, useful_until=until)


def test_the_table_of_moves_is_this_one() -> None:
    drawn = {}
    for line in ALLOWED_MOVES.strip().splitlines():
        start, *ends = line.split()
        drawn[State(start)] = frozenset(map(State, ends))
    for start, end in product(State, State):
        assert (end in MOVES[start]) == (end in drawn[start]), f"{start} -> {end}"


def test_open_and_final_states_are_all_states_and_final_ones_only_yield_to_a_late_proof() -> None:
    assert sorted((*OPEN, *FINAL)) == sorted(State)
    assert {state: MOVES[state] for state in FINAL if MOVES[state]} == {State.UNCONFIRMED: {State.SENT}}


def test_every_open_state_can_reach_an_end() -> None:
    for start in OPEN:
        reached, edge = {start}, {start}
        while edge:
            edge = {end for state in edge for end in MOVES[state]} - reached
            reached |= edge
        assert reached & set(FINAL), start


def test_a_row_that_was_in_doubt_cannot_move_to_a_state_that_says_it_was_never_sent() -> None:
    assert MOVES[State.IN_DOUBT].isdisjoint({State.PLANNED, State.CANCELLED, State.MISSED, State.FAILED, State.HELD})


def test_accepted_is_sent() -> None:
    assert after(_row(attempts=2), ACCEPTED, NOW, 1) == Next(State.SENT, None, None, 3)
    assert after(_row(in_doubt=True, doubt_retries=1), ACCEPTED, NOW, 1) == Next(State.SENT, None, None, 1)


def test_refused_for_good_is_failed_unless_an_earlier_copy_may_be_out() -> None:
    assert after(_row(), REFUSED, NOW, 1) == Next(State.FAILED, Reason.REFUSED, None, 1)
    assert after(_row(in_doubt=True), REFUSED, NOW, 1) == Next(State.UNCONFIRMED, Reason.REFUSED, None, 1)


def test_a_lost_reply_is_in_doubt_and_waits_a_quarter_of_an_hour_or_more() -> None:
    move = after(_row(), LOST, NOW, 1)
    assert (move.state, move.reason, move.attempts) == (State.IN_DOUBT, Reason.REPLY_LOST, 1)
    assert move.not_before == NOW + doubt_wait(7)


@pytest.mark.parametrize(("cap", "retries"), [(0, 0), (1, 1), (1, 2)])
def test_a_lost_reply_with_no_repeat_left_is_unconfirmed(cap: int, retries: int) -> None:
    row = _row(in_doubt=retries > 0, doubt_retries=retries)
    assert after(row, LOST, NOW, cap) == Next(State.UNCONFIRMED, Reason.REPLY_LOST, None, 1)


def test_not_now_is_planned_again_later_and_counts() -> None:
    move = after(_row(attempts=1), NOT_NOW, NOW, 1)
    assert move == Next(State.PLANNED, Reason.TRY_AGAIN, NOW + back_off(7, 2), 2)


@pytest.mark.parametrize("verdict", [RELAY_DOWN, WRONG_PASSWORD])
def test_trouble_of_the_relay_uses_up_nothing(verdict: Verdict) -> None:
    assert after(_row(attempts=4), verdict, NOW, 1) == Next(State.PLANNED, Reason.RELAY_TROUBLE, NOW, 4)


def test_a_mark_that_was_not_committed_is_our_own_trouble_and_not_the_relays() -> None:
    assert after(_row(attempts=4), NO_MARK, NOW, 1) == Next(State.PLANNED, Reason.TRY_AGAIN, NOW, 4)


@pytest.mark.parametrize("verdict", [NOT_NOW, RELAY_DOWN, WRONG_PASSWORD, NO_MARK])
def test_a_row_in_doubt_goes_back_to_doubt_and_with_its_repeat_used_up_it_is_unconfirmed(verdict: Verdict) -> None:
    assert after(_row(in_doubt=True), verdict, NOW, 1).state is State.IN_DOUBT
    used_up = after(_row(in_doubt=True, doubt_retries=1), verdict, NOW, 1)
    assert (used_up.state, used_up.reason, used_up.not_before) == (State.UNCONFIRMED, Reason.REPLY_LOST, None)


@pytest.mark.parametrize("verdict", [NOT_NOW, RELAY_DOWN, NO_MARK, LOST])
def test_no_wait_goes_beyond_the_shelf_life(verdict: Verdict) -> None:
    soon = NOW + timedelta(minutes=1)
    not_before = after(_row(until=soon), verdict, NOW, 1).not_before
    assert not_before is not None
    assert not_before <= soon
    assert after(_row(until=NOW - timedelta(hours=1)), verdict, NOW, 1).not_before == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "in_doubt", "retries", "cap", "end"),
    [
        (State.CLAIMED, False, 0, 1, State.PLANNED),
        (State.CLAIMED, False, 0, 0, State.PLANNED),
        (State.CLAIMED, True, 0, 1, State.IN_DOUBT),
        (State.CLAIMED, True, 1, 1, State.UNCONFIRMED),
        (State.SENDING, False, 0, 1, State.IN_DOUBT),
        (State.SENDING, False, 0, 0, State.UNCONFIRMED),
        (State.SENDING, True, 1, 1, State.UNCONFIRMED),
    ],
)
def test_a_lost_worker_leaves_doubt_only_behind_the_mark(
    state: State, in_doubt: bool, retries: int, cap: int, end: State
) -> None:
    assert lapsed(state, in_doubt=in_doubt, doubt_retries=retries, doubt_cap=cap) is end


def test_an_end_from_outside_says_so_if_a_copy_may_be_out() -> None:
    assert ended(in_doubt=False, otherwise=State.CANCELLED) is State.CANCELLED
    assert ended(in_doubt=True, otherwise=State.CANCELLED) is State.UNCONFIRMED
    assert ended(in_doubt=True, otherwise=State.MISSED) is State.UNCONFIRMED


HEARD = st.builds(
    Heard,
    st.sampled_from(Stage),
    st.one_of(st.none(), st.integers(200, 599)),
    st.sampled_from(["", "5.1.1 no such user", "4.5.3 too many", "relay access denied", "2.0.0 ok"]),
)
COUNTS = st.integers(0, 60)


ROWS = st.builds(
    lambda attempts, retries, left: _row(
        attempts=attempts, in_doubt=retries is not None, doubt_retries=retries or 0, until=NOW + left
    ),
    COUNTS,
    st.one_of(st.none(), st.integers(0, 2)),
    st.timedeltas(-timedelta(3), timedelta(3)),
)


@given(HEARD, ROWS, st.integers(0, 1))
def test_after_makes_only_legal_moves(heard: Heard, row: Claimed, cap: int) -> None:
    verdict = classify(heard)
    move = after(row, verdict, NOW, cap)
    held_in = State.SENDING if heard.stage is Stage.MESSAGE else State.CLAIMED
    assert move.state in MOVES[held_in]
    assert move.attempts - row.attempts == (1 if verdict.counts else 0)
    assert (move.not_before is None) == (move.state in FINAL)
    if row.in_doubt:
        assert move.state in (State.SENT, State.IN_DOUBT, State.UNCONFIRMED)
    if move.state is State.IN_DOUBT:
        assert row.doubt_retries < cap
    if move.not_before is not None:
        assert move.not_before <= row.useful_until


@given(st.sampled_from([State.CLAIMED, State.SENDING]), st.booleans(), COUNTS, COUNTS)
def test_lapsed_makes_only_legal_moves(state: State, in_doubt: bool, retries: int, cap: int) -> None:
    end = lapsed(state, in_doubt=in_doubt, doubt_retries=retries, doubt_cap=cap)
    assert end in MOVES[state]
    assert end is not State.IN_DOUBT or retries < cap


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (10_000, 60)]
)
def test_the_ladder_of_waits_is_spread_by_a_fifth_and_never_under_five_minutes(attempts: int, minutes: int) -> None:
    waits = [back_off(row_id, attempts) for row_id in range(300)]
    assert min(waits) >= timedelta(minutes=max(5.0, minutes * 0.8))
    assert max(waits) <= timedelta(minutes=minutes * 1.2)
    assert len(set(waits)) > 100
    assert waits == [back_off(row_id, attempts) for row_id in range(300)]


@given(st.integers(0, 2**63))
def test_the_wait_in_doubt_is_15_to_30_minutes_and_its_own_for_each_row(row_id: int) -> None:
    assert list(DOUBT_WAIT) == [timedelta(minutes=15), timedelta(minutes=30)]
    assert timedelta(minutes=15) <= doubt_wait(row_id) <= timedelta(minutes=30)
    assert doubt_wait(row_id) == doubt_wait(row_id)
    assert doubt_wait(row_id) != doubt_wait(row_id + 1)
