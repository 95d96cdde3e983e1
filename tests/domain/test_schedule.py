from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.protocol import Band, CatchUp, FollowUpProtocol, Step
from service.domain.reminder import Reason, State
from service.domain.schedule import (
    ClinicTime,
    Correction,
    Entry,
    Standing,
    catch_up,
    correct,
    day_number,
    instant,
    local_day,
    plan,
    read_zone,
    superseded,
    supersedes,
)
from service.errors import BadInput

NOON, EVENING, TEN = time(12), time(20), time(10)
DAY_1 = Step("day-01", 1, "day-01", None, 2, NOON, "day-03")
DAY_3 = Step("day-03", 3, "day-03", None, 4, NOON)
DAY_10 = Step("day-10", 10, "day-10", None, 11, EVENING)
PROTOCOL = FollowUpProtocol(
    key="smp",
    title="Scalp micropigmentation",
    area="scalp",
    steps=(DAY_1, DAY_3, DAY_10),
    catch_up=CatchUp("catch-up", 2, 14, EVENING),
    bands=(Band(366, "day-10"),),
    limits={},
    red_flags=(),
)
LONDON = ClinicTime(ZoneInfo("Europe/London"), TEN)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def clinic(zone: str, send_at: str = "10:00") -> ClinicTime:
    return ClinicTime(ZoneInfo(zone), time.fromisoformat(send_at))


def due(zone: str, treated_on: str, day: int, send_at: str = "10:00") -> str:
    """When a step of that day is due, as UTC text."""
    step = replace(DAY_1, day=day, until_day=day + 1)
    (entry,) = plan(
        replace(PROTOCOL, steps=(step,)), date.fromisoformat(treated_on), clinic(zone, send_at), now=LONG_AGO
    )
    return f"{entry.due_at:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("zone", "treated_on", "day", "send_at", "expected"),
    [
        # An ordinary day in many places.
        ("Europe/London", "2026-11-20", 1, "10:00", "2026-11-21 10:00"),
        ("Europe/London", "2026-11-20", 3, "18:15", "2026-11-23 18:15"),
        ("Europe/London", "2026-06-20", 1, "10:00", "2026-06-21 09:00"),
        ("America/New_York", "2026-11-20", 1, "10:00", "2026-11-21 15:00"),
        ("America/New_York", "2026-07-20", 1, "10:00", "2026-07-21 14:00"),
        ("Australia/Perth", "2026-11-20", 1, "10:00", "2026-11-21 02:00"),
        ("Pacific/Kiritimati", "2026-11-20", 1, "10:00", "2026-11-20 20:00"),
        ("Pacific/Apia", "2026-11-20", 1, "10:00", "2026-11-20 21:00"),
        ("Pacific/Pago_Pago", "2026-11-20", 1, "10:00", "2026-11-21 21:00"),
        ("Asia/Kathmandu", "2026-11-20", 1, "10:00", "2026-11-21 04:15"),
        ("Pacific/Chatham", "2026-11-20", 1, "10:00", "2026-11-20 20:15"),
        ("Pacific/Chatham", "2026-06-20", 1, "10:00", "2026-06-20 21:15"),
        ("Australia/Lord_Howe", "2026-11-20", 1, "10:00", "2026-11-20 23:00"),
        ("Australia/Lord_Howe", "2026-06-20", 1, "10:00", "2026-06-20 23:30"),
        # Leap days and ends of months and years.
        ("Europe/London", "2028-02-28", 1, "10:00", "2028-02-29 10:00"),
        ("Europe/London", "2028-02-29", 1, "10:00", "2028-03-01 10:00"),
        ("Europe/London", "2027-02-28", 1, "10:00", "2027-03-01 10:00"),
        ("Europe/London", "2028-02-26", 3, "10:00", "2028-02-29 10:00"),
        ("Europe/London", "2026-12-22", 10, "10:00", "2027-01-01 10:00"),
        # Both nights of daylight saving: ten o'clock is ten o'clock.
        ("Europe/London", "2026-10-24", 1, "10:00", "2026-10-25 10:00"),
        ("Europe/London", "2026-10-23", 1, "10:00", "2026-10-24 09:00"),
        ("Europe/London", "2027-03-27", 1, "10:00", "2027-03-28 09:00"),
        ("Europe/London", "2027-03-26", 1, "10:00", "2027-03-27 10:00"),
        ("America/New_York", "2026-10-31", 1, "10:00", "2026-11-01 15:00"),
        ("America/New_York", "2027-03-13", 1, "10:00", "2027-03-14 14:00"),
        # In the spring gap the time moves on by its length: 02:30 becomes 03:30, 01:30 becomes 02:30.
        ("America/New_York", "2027-03-13", 1, "02:30", "2027-03-14 07:30"),
        ("Europe/London", "2027-03-27", 1, "01:30", "2027-03-28 01:30"),
        ("Europe/London", "2027-03-27", 1, "01:00", "2027-03-28 01:00"),
        ("Europe/London", "2027-03-27", 1, "00:59", "2027-03-28 00:59"),
        ("Europe/London", "2027-03-27", 1, "02:00", "2027-03-28 01:00"),
        ("Australia/Lord_Howe", "2026-10-03", 1, "02:15", "2026-10-03 15:45"),
        # In the autumn fold the first one counts.
        ("America/New_York", "2026-10-31", 1, "01:30", "2026-11-01 05:30"),
        ("Europe/London", "2026-10-24", 1, "01:30", "2026-10-25 00:30"),
        ("Australia/Lord_Howe", "2027-04-03", 1, "01:45", "2027-04-03 14:45"),
        # Midnight itself is in the gap.
        ("Asia/Beirut", "2026-03-28", 1, "00:00", "2026-03-28 22:00"),
        ("Asia/Beirut", "2026-03-28", 1, "00:30", "2026-03-28 22:30"),
        ("America/Sao_Paulo", "2018-11-03", 1, "00:00", "2018-11-04 03:00"),
        # A date that the zone skipped: the same hour of the next day. Apia had no 30 December 2011.
        ("Pacific/Apia", "2011-12-29", 1, "10:00", "2011-12-30 20:00"),
        ("Pacific/Apia", "2011-12-29", 2, "10:00", "2011-12-30 20:00"),
        ("Pacific/Apia", "2011-12-29", 3, "10:00", "2011-12-31 20:00"),
        ("Pacific/Apia", "2011-12-28", 1, "10:00", "2011-12-29 20:00"),
        ("Pacific/Kwajalein", "1993-08-20", 1, "10:00", "1993-08-21 22:00"),
    ],
)
def test_a_step_is_due_at_the_clinics_hour_on_the_clinics_day(
    zone: str, treated_on: str, day: int, send_at: str, expected: str
) -> None:
    assert due(zone, treated_on, day, send_at) == expected


def test_the_hour_a_step_names_goes_before_the_clinics() -> None:
    step = replace(DAY_1, send_at=time(18, 15))
    (entry,) = plan(replace(PROTOCOL, steps=(step,)), date(2026, 11, 20), LONDON, LONG_AGO)
    assert entry.due_at == at("2026-11-21 18:15")


def test_the_plan_holds_one_entry_a_step_with_the_shelf_lives_of_the_protocol() -> None:
    entries = plan(PROTOCOL, date(2026, 11, 20), LONDON, now=at("2026-11-20 16:00"))
    assert [(e.step, e.day, e.due_at, e.useful_until, e.not_before, e.state, e.reason) for e in entries] == [
        ("day-01", 1, at("2026-11-21 10:00"), at("2026-11-22 12:00"), at("2026-11-21 10:00"), State.PLANNED, None),
        ("day-03", 3, at("2026-11-23 10:00"), at("2026-11-24 12:00"), at("2026-11-23 10:00"), State.PLANNED, None),
        ("day-10", 10, at("2026-11-30 10:00"), at("2026-12-01 20:00"), at("2026-11-30 10:00"), State.PLANNED, None),
    ]


def test_the_shelf_life_ends_at_the_clinics_local_hour_across_the_clock_change() -> None:
    entry = plan(PROTOCOL, date(2026, 10, 23), LONDON, LONG_AGO)[0]
    assert (entry.due_at, entry.useful_until) == (at("2026-10-24 09:00"), at("2026-10-25 12:00"))


@pytest.mark.parametrize(
    ("now", "state", "not_before"),
    [
        ("2026-11-20 16:00:00", State.PLANNED, "2026-11-21 10:00:00"),
        ("2026-11-21 09:59:59", State.PLANNED, "2026-11-21 10:00:00"),
        ("2026-11-21 10:00:00", State.PLANNED, "2026-11-21 10:00:00"),
        ("2026-11-21 10:00:01", State.PLANNED, "2026-11-21 10:00:01"),
        ("2026-11-22 11:59:59", State.PLANNED, "2026-11-22 11:59:59"),
        ("2026-11-22 12:00:00", State.MISSED, "2026-11-22 12:00:00"),
        ("2026-11-22 12:00:01", State.MISSED, "2026-11-22 12:00:00"),
        ("2027-11-22 12:00:00", State.MISSED, "2026-11-22 12:00:00"),
    ],
)
def test_late_registration_waits_goes_at_once_or_is_missed(now: str, state: State, not_before: str) -> None:
    entry = plan(PROTOCOL, date(2026, 11, 20), LONDON, at(now))[0]
    assert (entry.state, entry.not_before) == (state, at(not_before))
    assert entry.due_at == at("2026-11-21 10:00")
    assert entry.reason is (Reason.REGISTERED_LATE if state is State.MISSED else None)


def test_registered_on_day_5_only_day_10_is_still_planned() -> None:
    entries = plan(PROTOCOL, date(2026, 11, 20), LONDON, at("2026-11-25 09:00"))
    assert [(entry.step, entry.state) for entry in entries] == [
        ("day-01", State.MISSED),
        ("day-03", State.MISSED),
        ("day-10", State.PLANNED),
    ]


@pytest.mark.parametrize(("send_at", "until"), [("11:00", "12:00"), ("12:00", "13:00"), ("23:30", "00:30")])
def test_a_clinic_that_writes_later_than_the_shelf_life_ends_still_has_an_hour(send_at: str, until: str) -> None:
    step = replace(DAY_1, until_day=1)
    entry = plan(replace(PROTOCOL, steps=(step,)), date(2026, 11, 20), clinic("Europe/London", send_at), LONG_AGO)[0]
    assert f"{entry.useful_until:%H:%M}" == until
    assert entry.useful_until - entry.due_at >= timedelta(hours=1)


def test_the_day_number_and_the_local_day_are_the_clinics() -> None:
    assert day_number(date(2028, 2, 28), date(2028, 3, 1)) == 2
    assert day_number(date(2026, 11, 20), date(2026, 11, 20)) == 0
    assert local_day(at("2026-11-20 11:00"), ZoneInfo("Pacific/Kiritimati")) == date(2026, 11, 21)
    assert local_day(at("2026-11-20 04:59"), ZoneInfo("America/New_York")) == date(2026, 11, 19)


@pytest.mark.parametrize("name", ["", "London", "Europe/Londno", "/etc/passwd", "../zone", "Europe/London\0", "UTC+1"])
def test_what_is_no_zone_of_the_list_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is not a time zone") as refusal:
        read_zone(name)
    assert refusal.value.field == "timezone"


def test_a_zone_is_read_by_its_name() -> None:
    assert read_zone("Asia/Kathmandu") == ZoneInfo("Asia/Kathmandu")


# --- superseding


def test_nothing_of_a_superseded_plan_goes_out_and_what_was_late_stays_so() -> None:
    entries = superseded(plan(PROTOCOL, date(2026, 11, 20), LONDON, at("2026-11-23 09:00")))
    assert [(entry.step, entry.state, entry.reason) for entry in entries] == [
        ("day-01", State.MISSED, Reason.REGISTERED_LATE),
        ("day-03", State.CANCELLED, Reason.SUPERSEDED),
        ("day-10", State.CANCELLED, Reason.SUPERSEDED),
    ]


@pytest.mark.parametrize(
    ("newer", "older", "expected"),
    [
        ((date(2026, 11, 21), 1), (date(2026, 11, 20), 2), True),
        ((date(2026, 11, 20), 2), (date(2026, 11, 21), 1), False),
        ((date(2026, 11, 20), 2), (date(2026, 11, 20), 1), True),
        ((date(2026, 11, 20), 1), (date(2026, 11, 20), 2), False),
        ((date(2026, 11, 20), 1), (date(2026, 11, 20), 1), False),
    ],
)
def test_the_later_date_supersedes_and_on_one_date_the_later_id(
    newer: tuple[date, int], older: tuple[date, int], *, expected: bool
) -> None:
    assert supersedes(newer, older) is expected


# --- corrections (P6)

NEW_DAY = date(2026, 11, 22)
CANCEL = Correction(State.CANCELLED, Reason.CORRECTED, replaced=True)
DOUBTFUL = Correction(State.UNCONFIRMED, Reason.CORRECTED, replaced=True)
WRONG_DAY = Correction(replaced=True, wrong_day=True)
REPLACED = Correction(replaced=True)
KEPT = Correction()


@pytest.mark.parametrize(
    ("state", "in_doubt", "sent_on", "expected"),
    [
        (State.PLANNED, False, None, CANCEL),
        (State.CLAIMED, False, None, CANCEL),
        (State.CLAIMED, True, None, DOUBTFUL),
        (State.HELD, False, None, CANCEL),
        (State.HELD, True, None, DOUBTFUL),
        (State.IN_DOUBT, True, None, DOUBTFUL),
        (State.SENDING, False, None, KEPT),
        (State.SENDING, True, None, KEPT),
        (State.SENT, False, date(2026, 11, 21), WRONG_DAY),
        (State.SENT, True, date(2026, 11, 21), WRONG_DAY),
        (State.SENT, False, date(2026, 11, 22), KEPT),
        (State.SENT, False, date(2026, 11, 23), KEPT),
        (State.MISSED, False, None, REPLACED),
        (State.FAILED, False, None, REPLACED),
        (State.UNCONFIRMED, True, None, REPLACED),
        (State.CANCELLED, False, None, REPLACED),
    ],
)
def test_what_a_correction_makes_of_a_row(
    state: State, in_doubt: bool, sent_on: date | None, expected: Correction
) -> None:
    decided = correct(Standing("day-01", state, in_doubt, sent_on), NEW_DAY)
    assert decided == expected
    assert decided.kept is (expected == KEPT)


# --- the catch-up note


def note(now: str, treated_on: str = "2026-11-20", next_due: str | None = None) -> Entry | None:
    return catch_up(PROTOCOL, date.fromisoformat(treated_on), LONDON, at(now), at(next_due) if next_due else None)


@pytest.mark.parametrize("day", range(15))
def test_who_comes_back_on_a_day_from_2_to_14_gets_one_note_right_for_that_day(day: int) -> None:
    today = date(2026, 11, 20) + timedelta(days=day)
    found = note(f"{today} 08:30")
    if day < 2:
        assert found is None
        return
    assert found == Entry(
        step=f"catch-up-{day:02d}",
        day=day,
        due_at=at(f"{today} 08:30"),
        useful_until=at(f"{today} 20:00"),
        not_before=at(f"{today} 08:30"),
        state=State.PLANNED,
    )


@pytest.mark.parametrize("now", ["2026-11-20 08:30", "2026-11-21 23:59", "2026-12-05 00:00", "2027-11-20 09:00"])
def test_before_day_2_and_after_day_14_there_is_no_note(now: str) -> None:
    assert note(now) is None


@pytest.mark.parametrize(
    ("now", "goes"),
    [
        ("2026-11-22 00:00:00", True),
        ("2026-11-22 19:59:59", True),
        ("2026-11-22 20:00:00", False),
        ("2026-11-22 23:59:59", False),
        ("2026-12-04 19:59:59", True),
    ],
)
def test_a_note_is_right_until_eight_in_the_evening_of_its_day(now: str, *, goes: bool) -> None:
    assert (note(now) is not None) is goes


@pytest.mark.parametrize(
    ("next_due", "goes"),
    [
        (None, True),
        ("2026-11-25 08:30:00", False),
        ("2026-11-26 08:29:59", False),
        ("2026-11-26 08:30:00", False),
        ("2026-11-26 08:30:01", True),
        ("2026-11-30 10:00:00", True),
        # It is due already and waits for its next try.
        ("2026-11-25 07:00:00", False),
    ],
)
def test_a_step_due_within_24_hours_covers_the_note(next_due: str | None, *, goes: bool) -> None:
    assert (note("2026-11-25 08:30", next_due=next_due) is not None) is goes


def test_the_day_of_a_note_is_the_clinics_day() -> None:
    apia = clinic("Pacific/Apia")
    found = catch_up(PROTOCOL, date(2026, 11, 20), apia, at("2026-11-24 12:00"), None)
    assert found is not None
    # There it is already one o'clock in the night of the 25th.
    assert (found.step, found.useful_until) == ("catch-up-05", at("2026-11-25 07:00"))


def test_a_protocol_without_a_catch_up_has_no_note() -> None:
    assert catch_up(replace(PROTOCOL, catch_up=None), date(2026, 11, 20), LONDON, at("2026-11-25 08:30"), None) is None


# --- properties over every zone there is

ZONES = sorted(available_timezones())
zones = st.sampled_from(ZONES).map(ZoneInfo)
dates = st.dates(date(1971, 1, 1), date(2037, 12, 31))
hours = st.times().map(lambda clock: clock.replace(second=0, microsecond=0, fold=0))


def exists(day: date, clock: time, zone: ZoneInfo) -> bool:
    """Whether that wall-clock time is in no gap."""
    local = datetime.combine(day, clock, tzinfo=zone)
    return local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)


@given(zones, dates, hours)
def test_an_instant_shows_the_asked_wall_clock_unless_that_is_in_a_gap(zone: ZoneInfo, day: date, clock: time) -> None:
    shown = instant(day, clock, zone).astimezone(zone)
    asked = datetime.combine(day, clock, tzinfo=zone)
    if exists(day, clock, zone):
        assert shown.replace(tzinfo=None) == asked.replace(tzinfo=None)
        assert shown.fold == 0
        return
    before, after = asked.utcoffset(), asked.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    gap = after - before
    assert gap > timedelta(0)
    assert shown.replace(tzinfo=None) == asked.replace(tzinfo=None) + gap


@pytest.mark.parametrize("zone", ZONES)
def test_every_zone_plans_ten_o_clock_on_days_1_3_and_10(zone: str) -> None:
    entries = plan(PROTOCOL, date(2026, 11, 20), clinic(zone), LONG_AGO)
    shown = [entry.due_at.astimezone(ZoneInfo(zone)) for entry in entries]
    assert [f"{local:%d %H:%M}" for local in shown] == ["21 10:00", "23 10:00", "30 10:00"]


@given(zones, dates, hours, st.integers(1, 30))
def test_a_later_day_is_never_due_earlier_and_later_unless_its_date_was_skipped(
    zone: ZoneInfo, treated_on: date, clock: time, day: int
) -> None:
    today, tomorrow = (instant(treated_on + timedelta(days=n), clock, zone) for n in (day, day + 1))
    assert today <= tomorrow
    if exists(treated_on + timedelta(days=day), clock, zone):
        assert today < tomorrow


@given(zones, dates, hours, st.integers(-5 * 24, 20 * 24))
def test_a_plan_is_whole_and_nothing_is_planned_that_is_already_too_late(
    zone: ZoneInfo, treated_on: date, clock: time, hours_later: int
) -> None:
    now = instant(treated_on, clock, zone) + timedelta(hours=hours_later)
    entries = plan(PROTOCOL, treated_on, ClinicTime(zone, clock), now)
    assert entries == plan(PROTOCOL, treated_on, ClinicTime(zone, clock), now)
    assert [entry.step for entry in entries] == ["day-01", "day-03", "day-10"]
    for entry in entries:
        assert entry.due_at < entry.useful_until
        assert entry.not_before <= entry.useful_until
        if now >= entry.useful_until:
            assert (entry.state, entry.reason) == (State.MISSED, Reason.REGISTERED_LATE)
        else:
            assert (entry.state, entry.reason) == (State.PLANNED, None)
            assert entry.not_before == max(entry.due_at, now) < entry.useful_until


@given(zones, dates, st.integers(0, 40 * 24 * 60))
def test_a_note_is_always_still_useful_and_of_the_day_it_speaks_of(
    zone: ZoneInfo, treated_on: date, minutes: int
) -> None:
    now = instant(treated_on, time(0), zone) + timedelta(minutes=minutes)
    found = catch_up(PROTOCOL, treated_on, ClinicTime(zone, TEN), now, None)
    if found is not None:
        assert found.due_at == found.not_before == now < found.useful_until
        assert found.day == day_number(treated_on, local_day(now, zone))
        assert 2 <= found.day <= 14
