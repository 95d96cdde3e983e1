"""The bound on copies and the promises around it hold in every state that can be reached, and need each safeguard."""

from __future__ import annotations

import pytest

from service.domain.reminder import FINAL, State
from tests.model.exploring import ILLEGAL, STUCK, TOO_MANY, UNSEEN, UNSENT, VARIANTS, Found, explore, table

AFTER_A_STOP = "sent after a committed stop"
TOO_LATE = "sent after the end of its shelf life"
#: Variant -> worst copies (None: without a bound), and the promises it breaks.
VERDICTS: dict[str, tuple[int | None, set[str]]] = {
    "as built, 2 workers, 1 repeat": (2, set()),
    "as built, 3 workers, 1 repeat": (2, set()),
    "as built, 2 workers, no repeat": (1, set()),
    "as built, 2 workers, 2 repeats": (3, set()),
    "no mark before the message": (None, {TOO_MANY, UNSEEN, ILLEGAL}),
    "no token on later writes": (None, {TOO_MANY, UNSEEN, ILLEGAL}),
    "no last look before the mark": (2, {AFTER_A_STOP, TOO_LATE}),
    "a late 250 is thrown away": (2, set()),
    "a bug after the mark is in doubt whatever the cap": (None, {TOO_MANY}),
}


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    explored = {variant.name: explore(variant) for variant in VARIANTS}
    print("\n" + table(explored.values()))
    return explored


@pytest.mark.parametrize("name", VERDICTS)
def test_each_design_has_the_verdict_that_the_promises_rest_on(found: dict[str, Found], name: str) -> None:
    worst, broken = VERDICTS[name]
    one = found[name]
    assert set(one.broken) == broken, one.broken
    assert one.unbounded if worst is None else one.worst == worst


def test_every_variant_has_a_verdict() -> None:
    assert [variant.name for variant in VARIANTS] == list(VERDICTS)


def test_as_built_every_end_is_reached_and_what_went_twice_is_sent_or_listed(found: dict[str, Found]) -> None:
    ends = found["as built, 3 workers, 1 repeat"].ends
    assert {state for state, _ in ends} == set(FINAL)
    assert {state for state, copies in ends if copies} == {State.SENT, State.UNCONFIRMED}
    assert {copies for state, copies in ends if state is State.SENT} == {1, 2}


def test_never_twice_may_leave_a_mail_unconfirmed_and_unsent(found: dict[str, Found]) -> None:
    ends = found["as built, 2 workers, no repeat"].ends
    assert (State.UNCONFIRMED, 0) in ends
    assert max(copies for _, copies in ends) == 1


def test_a_late_250_that_counts_leaves_fewer_rows_in_doubt(found: dict[str, Found]) -> None:
    """Throwing it away breaks no promise, but a mail that was sent may end unconfirmed though its 250 was heard."""
    kept, thrown = found["as built, 2 workers, 1 repeat"], found["a late 250 is thrown away"]
    assert kept.ends >= thrown.ends
    assert not {STUCK, UNSENT} & (kept.broken.keys() | thrown.broken.keys())
