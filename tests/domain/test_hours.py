"""Opening hours are read strictly, written back the same, and said as people say them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.hours import DayGroup, OpeningHours, Range, parse_hours
from service.errors import BadInput

MONDAY = date(2026, 11, 23)
NINE_TO_SIX = ((540, 1080),)
TEN_TO_TWO = ((600, 840),)


def test_the_example_of_every_message_is_read() -> None:
    hours = parse_hours("mon-fri 09:00-18:00; sat 10:00-14:00")
    assert hours.days == (NINE_TO_SIX,) * 5 + (TEN_TO_TWO, ())
    assert hours.sentence_parts() == (DayGroup(0, 4, NINE_TO_SIX), DayGroup(5, 5, TEN_TO_TWO))


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("Monday 9:00 - 12:00, 13:00-17:00", "mon 09:00-12:00, 13:00-17:00"),
        ("mon 13:00-17:00, 09:00-12:00", "mon 09:00-12:00, 13:00-17:00"),
        ("mon 09:00-12:00; mon 13:00-17:00", "mon 09:00-12:00, 13:00-17:00"),
        ("mon 09:00-12:00, 12:00-17:00", "mon 09:00-17:00"),
        ("sat-mon 10:00-14:00", "mon 10:00-14:00; sat-sun 10:00-14:00"),
        ("mon to fri 09:00 to 18:00; sun closed", "mon-fri 09:00-18:00"),
        ("mon, wed, thurs-fri 09:00–18:00;", "mon 09:00-18:00; wed-fri 09:00-18:00"),
        ("TUES 00:00-24:00", "tue 00:00-24:00"),
        ("mon-sun 08:30-20:15", "mon-sun 08:30-20:15"),
        ("sun-sat 08:30-20:15", "mon-sun 08:30-20:15"),
    ],
)
def test_the_ways_people_write_hours_are_understood(raw: str, canonical: str) -> None:
    assert str(parse_hours(raw)) == canonical


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("", "names no open day"),
        (" ; ", "names no open day"),
        ("mon closed", "names no open day"),
        ("mon-fri", "'mon-fri' is not days followed by times"),
        ("09:00-18:00", "is not days followed by times"),
        ("mon-fri 09:00-18:00; xyz 10:00-14:00", "'xyz 10:00-14:00' has no weekday in 'xyz'"),
        ("mo 09:00-18:00", "has no weekday in 'mo'"),
        ("mon-wed-fri 09:00-18:00", "more than two ends"),
        ("mon,mon 09:00-18:00", "names a day twice"),
        ("mon 9-18", "no time span HH:MM-HH:MM in '9-18'"),
        ("mon 09:00-18:00,", "no time span"),
        ("mon 09:00-18:60", "no time span"),
        ("mon 09:00-24:01", "after 24:00"),
        ("mon 24:00-24:00", "after 24:00"),
        ("mon 18:00-09:00", "closes before it opens in '18:00-09:00'"),
        ("mon 09:00-09:00", "closes before it opens"),
        ("mon 09:00-13:00, 12:00-17:00", "overlaps other hours of Monday"),
        ("mon-fri 09:00-18:00; fri 09:00-16:00", "overlaps other hours of Friday"),
        ("mon-fri 09:00-18:00; fri closed", "something else about Friday"),
        ("fri closed; mon-fri 09:00-18:00", "something else about Friday"),
        ("mon 09:00-18:00\x1b[2J", "has no time span"),
        ("x" * 2000, "is not days followed by times"),
    ],
)
def test_a_refusal_names_the_part_and_shows_an_example(raw: str, says: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_hours(raw)
    assert says in refusal.value.message
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 200
    assert refusal.value.field == "hours"
    assert "mon-fri 09:00-18:00; sat 10:00-14:00" in (refusal.value.next_step or "")


@st.composite
def _hours(draw: st.DrawFn) -> OpeningHours:
    def day() -> tuple[Range, ...]:
        edges = sorted(draw(st.lists(st.integers(0, 1440), unique=True, max_size=6)))
        return tuple(zip(edges[::2], edges[1::2], strict=False))

    patterns = [day(), day(), ()]
    days = tuple(draw(st.sampled_from(patterns)) for _ in range(7))
    return OpeningHours(days if any(days) else (((540, 1080),), *days[1:]))


@given(_hours())
def test_what_is_written_is_read_back_the_same(hours: OpeningHours) -> None:
    assert parse_hours(str(hours)) == hours


@given(_hours())
def test_the_groups_hold_every_open_day_once_and_neighbours_differ(hours: OpeningHours) -> None:
    groups = hours.sentence_parts()
    said = {day: group.ranges for group in groups for day in range(group.first, group.last + 1)}
    assert said == {day: ranges for day, ranges in enumerate(hours.days) if ranges}
    for one, other in pairwise(groups):
        assert one.last + 1 < other.first or one.ranges != other.ranges


def test_open_and_closed_days_and_the_first_opening_are_known_by_date() -> None:
    hours = parse_hours("mon-fri 09:30-12:00, 13:00-18:00")
    saturday = MONDAY + timedelta(days=5)
    assert hours.is_open_on(MONDAY)
    assert hours.opens_on(MONDAY) == time(9, 30)
    assert hours.ranges_on(MONDAY) == ((570, 720), (780, 1080))
    assert not hours.is_open_on(saturday)
    assert hours.opens_on(saturday) is None
    assert hours.ranges_on(saturday) == ()


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-23 08:59", False),
        ("2026-11-23 09:00", True),
        ("2026-11-23 11:59", True),
        ("2026-11-23 12:00", False),
        ("2026-11-23 13:30", True),
        ("2026-11-23 23:59", False),
        ("2026-11-28 23:59", True),
        ("2026-11-29 00:00", False),
    ],
)
def test_whether_a_clinic_is_open_at_a_moment_of_its_own_clock(moment: str, is_open: bool) -> None:
    hours = parse_hours("mon-fri 09:00-12:00, 13:30-18:00; sat 10:00-24:00")
    assert hours.is_open_at(datetime.fromisoformat(moment)) is is_open
