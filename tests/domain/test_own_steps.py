"""A clinic's own days and hours: what the words allow is taken, everything else is refused with field and fix."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.own_steps import OwnStep, as_planned, days_allowed, for_clinic, other_days, with_own
from service.domain.protocol import Band, FollowUpProtocol, Limit, Step
from service.domain.schedule import ClinicTime, plan
from service.errors import BadInput

NOON, EVENING = time(12), time(20)
#: As scalp micropigmentation has it.
PROTOCOL = FollowUpProtocol(
    key="smp",
    title="SMP",
    area="scalp",
    steps=(
        Step("day-01", 1, "day-01", None, 2, NOON, "day-03"),
        Step("day-03", 3, "day-03", None, 4, NOON),
        Step("day-10", 10, "day-10", None, 11, EVENING),
    ),
    catch_up=None,
    bands=(Band(2, "day-01"), Band(7, "day-03"), Band(14, "day-10"), Band(366, "day-10")),
    limits={
        name: Limit(name, day, {}, ())
        for name, day in {"blood": 1, "redness": 2, "itch": 4, "scabs": 10, "few_scabs": 11}.items()
    },
    red_flags=(),
)
LONDON = ZoneInfo("Europe/London")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def own(
    step: str, day: int | None = None, send_at: str = "", until_day: int | None = None, until_at: str = ""
) -> OwnStep:
    times = [time.fromisoformat(raw) if raw else None for raw in (send_at, until_at)]
    return OwnStep("smp", step, day, times[0], until_day, times[1])


def told(step: Step | None) -> str:
    assert step is not None
    return f"{step.day} {step.send_at or ''} until {step.until_day} {step.until_at:%H:%M}"


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (own("day-01", send_at="18:15"), "1 18:15:00 until 2 12:00"),
        (own("day-01", 2, "09:00"), "2 09:00:00 until 2 12:00"),  # the window moves along, as far as the band goes
        (own("day-01", 2, "11:00"), "2 11:00:00 until 2 12:00"),
        (own("day-03", 4, "08:00"), "4 08:00:00 until 4 12:00"),  # itch is normal through day 4
        (own("day-03", 4, "08:00", 4, "23:59"), "4 08:00:00 until 4 23:59"),
        (own("day-03", until_day=3, until_at="20:00", send_at="18:15"), "3 18:15:00 until 3 20:00"),
        (own("day-10", 8), "8  until 9 20:00"),
        (own("day-10", 8, until_at="09:30"), "8  until 9 09:30"),
        (own("day-10", 11, "00:00", 11, "01:00"), "11 00:00:00 until 11 01:00"),
        (own("day-10"), "10  until 11 20:00"),
    ],
)
def test_what_the_words_allow_is_taken_and_the_rest_is_as_in_the_protocol(given: OwnStep, becomes: str) -> None:
    changed = with_own(PROTOCOL, [given])
    assert told(changed.step(given.step)) == becomes
    others = [step for step in changed.steps if step.key != given.step]
    assert others == [step for step in PROTOCOL.steps if step.key != given.step]


@pytest.mark.parametrize(
    ("given", "field", "fix"),
    [
        (own("day-01", 0), "day", "from 1 to 2"),  # nobody knows at what hour the treatment was
        (own("day-01", 3, "09:00"), "day", "from 1 to 2"),  # another band
        (own("day-03", 2), "day", "from 3 to 4"),
        (own("day-03", 5), "day", "from 3 to 4"),  # within its band, and past the limit of itch
        (own("day-10", 7), "day", "from 8 to 11"),
        (own("day-10", 12), "day", "from 8 to 11"),
        (own("day-01", until_day=3), "useful_until_day", "day 2 or sooner"),
        (own("day-03", 4, "08:00", 5, "08:00"), "useful_until_day", "day 4 or sooner"),
        (own("day-10", 8, until_day=10), "useful_until_day", "day 9 at 20:00"),
        (own("day-10", 8, until_at="20:01"), "useful_until_at", "day 9 at 20:00"),
        (own("day-01", until_at="12:01"), "useful_until_at", "day 2 at 12:00"),
        (own("day-01", until_day=0), "useful_until_day", "later"),
        (own("day-01", until_day=1), "send_at", "an hour of its own"),  # the clinic's hour may become any hour
        (own("day-01", 2), "send_at", "an hour of its own"),
        (own("day-01", until_at="00:58"), "send_at", "an hour of its own"),
        (own("day-01", 2, "11:01"), "useful_until_at", "later"),
        (own("day-01", 1, "18:15", 1, "18:15"), "useful_until_at", "later"),
        (own("day-01", 1, "23:30", until_at="00:29"), "useful_until_at", "later"),
    ],
)
def test_what_the_words_do_not_allow_is_refused_with_field_and_fix(given: OwnStep, field: str, fix: str) -> None:
    with pytest.raises(BadInput) as caught:
        with_own(PROTOCOL, [given])
    assert caught.value.field == field
    assert fix in (caught.value.next_step or "")
    assert given.step in caught.value.message
    assert for_clinic(PROTOCOL, [given]) == PROTOCOL


#: Two steps on neighbouring days, which the shipped protocols do not have.
CLOSE = replace(
    PROTOCOL,
    steps=(Step("day-01", 1, "day-01", None, 1, time(23, 59)), Step("day-02", 2, "day-02", None, 3, NOON)),
    bands=(Band(1, "day-01"), Band(366, "day-02")),
    limits={},
)


@pytest.mark.parametrize(
    ("hours", "allowed"),
    [
        (("18:15", "06:15"), True),
        (("18:15", "06:14"), False),
        (("18:15", ""), False),  # the clinic's hour may become any hour
        (("12:00", ""), True),
        (("10:00", "08:00"), True),
    ],
)
def test_two_steps_keep_half_a_day_between_them(hours: tuple[str, str], allowed: bool) -> None:
    first, second = hours
    mine = [own("day-01", send_at=first), own("day-02", send_at=second)]
    if allowed:
        assert with_own(CLOSE, mine) != CLOSE
        return
    with pytest.raises(BadInput, match="day-01 and day-02 could go out less than 12 hours apart") as caught:
        with_own(CLOSE, mine)
    assert caught.value.field == "send_at"


def test_two_steps_at_the_clinics_hour_are_a_whole_day_apart() -> None:
    changed = with_own(CLOSE, [own("day-02", until_at="11:00")])
    assert told(changed.step("day-02")) == "2  until 3 11:00"


def test_what_is_set_for_another_protocol_or_a_step_that_is_gone_changes_nothing() -> None:
    assert with_own(PROTOCOL, []) is PROTOCOL
    assert with_own(PROTOCOL, [OwnStep("tattoo", "day-01", 99)]) == PROTOCOL
    assert with_own(PROTOCOL, [own("day-07", 99)]) == PROTOCOL


def test_a_step_on_the_day_of_the_treatment_may_stay_there() -> None:
    same_day = replace(PROTOCOL, steps=(Step("day-01", 0, "day-01", time(18), 1, NOON), *PROTOCOL.steps[1:]))
    assert days_allowed(same_day, same_day.steps[0]) == (0, 1)  # blood is normal through day 1
    assert with_own(same_day, [own("day-01", send_at="19:00")]) != same_day


clocks = st.times().map(lambda at: at.replace(second=0, microsecond=0))
settings = st.builds(
    OwnStep,
    st.just("smp"),
    st.sampled_from([step.key for step in PROTOCOL.steps]),
    st.none() | st.integers(0, 16),
    st.none() | clocks,
    st.none() | st.integers(0, 16),
    st.none() | clocks,
)


@given(st.lists(settings, max_size=3, unique_by=lambda one: one.step), clocks, st.integers(0, 364))
def test_whatever_is_accepted_keeps_the_order_the_words_and_the_shelf_life(
    mine: list[OwnStep], hour: time, days: int
) -> None:
    changed = for_clinic(PROTOCOL, mine)
    for step, said in zip(changed.steps, PROTOCOL.steps, strict=True):
        assert {changed.column(day) for day in range(step.day, step.until_day + 1)} == {step.key}
        spoken_of = [
            limit.ok_through_day for limit in PROTOCOL.limits.values() if limit.ok_through_day >= said.until_day
        ]
        assert all(step.until_day <= day for day in spoken_of)
        assert step.until_day - step.day <= said.until_day - said.day
    for step, later in pairwise(changed.steps):
        assert step.until_day < later.day
    treated_on = date(2026, 1, 1) + timedelta(days=days)
    entries = plan(PROTOCOL, treated_on, ClinicTime(LONDON, hour, tuple(mine)), LONG_AGO)
    for entry, step in zip(entries, changed.steps, strict=True):
        assert entry.day == step.day
        assert entry.due_at < entry.useful_until
        assert (entry.useful_until.astimezone(LONDON).date() - treated_on).days <= step.until_day


@pytest.mark.parametrize(
    ("treated_on", "due"),
    [
        (date(2026, 11, 20), "2026-11-24 18:15"),
        (date(2027, 3, 24), "2027-03-28 17:15"),  # the night on which the clocks go forward
        (date(2026, 10, 21), "2026-10-25 18:15"),  # … and back
    ],
)
def test_a_plan_has_the_clinics_own_day_and_hour_on_its_own_clock(treated_on: date, due: str) -> None:
    mine = (own("day-03", 4, "18:15", 4, "20:00"),)
    plans = [plan(PROTOCOL, treated_on, ClinicTime(LONDON, time(10), steps), LONG_AGO) for steps in (mine, ())]
    (_, moved, _), (_, usual, _) = plans
    assert f"{moved.due_at:%Y-%m-%d %H:%M}" == due
    assert (moved.day, usual.day) == (4, 3)
    assert [plans[0][at] == plans[1][at] for at in (0, 2)] == [True, True]


def test_an_hour_in_the_gap_of_the_clocks_moves_on_by_the_gap() -> None:
    mine = (own("day-03", send_at="01:30"),)
    _, entry, _ = plan(PROTOCOL, date(2027, 3, 25), ClinicTime(LONDON, time(10), mine), LONG_AGO)
    assert f"{entry.due_at.astimezone(LONDON):%Y-%m-%d %H:%M}" == "2027-03-28 02:30"


def test_a_treatment_keeps_the_days_it_was_planned_with() -> None:
    planned = [("day-01", 1), ("day-03", 4), ("day-07", 7)]
    assert other_days(PROTOCOL, planned) == (("day-03", 4),)
    assert [step.day for step in as_planned(PROTOCOL, planned).steps] == [1, 4, 10]
    assert as_planned(PROTOCOL, []) is PROTOCOL
