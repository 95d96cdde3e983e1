"""Cells: a date is never guessed, an unknown treatment never taken, a formula never run."""

from __future__ import annotations

from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.actions.csv_values import DateOrder, Treatments, neutralise, plain, read_date, read_time
from service.errors import BadInput

TODAY = date(2026, 11, 21)
THIRD_OF_APRIL = date(2026, 4, 3)
TITLES = {"scalp-micropigmentation": "Scalp micropigmentation", "scalp-tattoo": "Scalp tattoo"}


@pytest.mark.parametrize(
    ("value", "order"),
    [
        ("2026-04-03", None),
        ("2026-04-03", "dmy"),
        ("03/04/2026", "dmy"),
        ("3/4/2026", "dmy"),
        ("3.4.2026", "dmy"),
        ("3. 4. 2026", "dmy"),
        ("03-04-2026", "dmy"),
        ("04/03/2026", "mdy"),
        ("4-3-2026", "mdy"),
        ("2026/04/03", "ymd"),
        ("2026.4.3", "ymd"),
    ],
)
def test_a_date_is_read_in_the_chosen_order_and_iso_always(value: str, order: DateOrder | None) -> None:
    assert read_date("treatment_date", value, order, TODAY) == THIRD_OF_APRIL


@pytest.mark.parametrize(
    ("value", "order", "says"),
    [
        ("03/04/2026", None, "'03/04/2026' may mean two dates: choose the date order"),
        ("22/11/2026", None, "'22/11/2026' is not written like 2026-04-03: choose the date order"),
        ("25/04/2026", None, "choose the date order"),
        ("3.4.2026", None, "choose the date order"),
        ("2026/04/03", None, "choose the date order"),
        ("03/04/26", "dmy", "a year of two digits"),
        ("26/04/03", "ymd", "a year of two digits"),
        ("2026/04/03", "dmy", "does not fit the date order dmy"),
        ("03/04/2026", "ymd", "does not fit the date order ymd"),
        ("3/4/206", "dmy", "does not fit the date order dmy"),
        ("25/04/2026", "mdy", "a day that does not exist in the date order mdy"),
        ("2026-02-30", None, "a day that does not exist"),
        ("2025-02-29", None, "a day that does not exist"),
        ("2026-13-01", "dmy", "a day that does not exist"),
        ("0000-01-01", None, "a day that does not exist"),
        ("0026-04-03", None, "lies before 1900"),
        ("2026-11-22", None, "2026-11-22 lies in the future"),
        ("22/11/2026", "dmy", "2026-11-22 lies in the future"),
        ("", None, "is not a date"),
        ("yesterday", None, "is not a date"),
        ("46115", None, "is not a date"),
        ("3/4-2026", "dmy", "is not a date"),
        ("2026-4-3T10:00", None, "is not a date"),
        ("٢٠٢٦-٠٤-٠٣", None, "is not a date"),
        ("2026-04-03\x1b[2J", None, "is not a date"),
    ],
)
def test_a_date_that_is_unclear_impossible_or_ahead_is_refused(value: str, order: DateOrder | None, says: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_date("consent_on", value, order, TODAY)
    assert says in refusal.value.message
    assert refusal.value.message.isprintable()
    assert refusal.value.field == "consent_on"


def test_today_and_long_ago_are_accepted() -> None:
    assert read_date("treatment_date", "2026-11-21", None, TODAY) == TODAY
    assert read_date("treatment_date", "1999-12-31", None, TODAY) == date(1999, 12, 31)


@given(st.dates(date(1900, 1, 1), TODAY), st.sampled_from(["dmy", "mdy", "ymd"]), st.sampled_from("/.-"))
def test_every_date_is_read_back_in_every_order(day: date, order: DateOrder, mark: str) -> None:
    numbers = {"d": str(day.day), "m": str(day.month), "y": str(day.year)}
    assert read_date("treatment_date", mark.join(numbers[letter] for letter in order), order, TODAY) == day


@pytest.mark.parametrize("value", ["09:30", "9:30", "09:30:00"])
def test_a_time_is_hours_and_minutes(value: str) -> None:
    assert read_time("treatment_time", value) == time(9, 30)


@pytest.mark.parametrize("value", ["", "9", "24:00", "09:60", "9:30 pm", "0930", "09:30:30"])
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(BadInput, match="is not a time") as refusal:
        read_time("treatment_time", value)
    assert refusal.value.field == "treatment_time"


@pytest.mark.parametrize("value", ["scalp-tattoo", "SCALP-TATTOO", "Scalp tattoo", "  scalp   TATTOO "])
def test_a_treatment_is_found_by_key_or_title(value: str) -> None:
    assert Treatments(TITLES, None).find(value) == "scalp-tattoo"
    assert Treatments(TITLES, "scalp-tattoo").find(value) == "scalp-tattoo"


def test_an_unknown_treatment_is_refused_with_the_choices() -> None:
    with pytest.raises(BadInput, match="'Haircut' is no treatment known here") as refusal:
        Treatments(TITLES, None).find("Haircut")
    assert refusal.value.next_step == "Choose one of: scalp-micropigmentation, scalp-tattoo."
    with pytest.raises(BadInput, match="The treatment is empty"):
        Treatments(TITLES, None).find(" ")


def test_one_protocol_for_all_rows_fills_in_but_does_not_overrule_a_row_that_names_another() -> None:
    treatments = Treatments(TITLES, "scalp-micropigmentation")
    assert treatments.find("") == "scalp-micropigmentation"
    assert treatments.find("Session 2 of 3") == "scalp-micropigmentation"
    with pytest.raises(BadInput, match="The row says scalp-tattoo"):
        treatments.find("Scalp tattoo")


def test_a_protocol_for_all_rows_must_exist() -> None:
    with pytest.raises(BadInput, match="is no protocol") as refusal:
        Treatments(TITLES, "haircut")
    assert refusal.value.field == "protocol"


FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\t",
    "\r=1",
    "\n=1",
    " =1",
    "\u00a0=1",
    "\ufeff=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "−1",
    "'=1",
    "''=1",
]


@pytest.mark.parametrize("value", FORMULAS)
def test_a_formula_is_made_text_for_a_spreadsheet(value: str) -> None:
    assert neutralise(value) == f"'{value}"


@pytest.mark.parametrize("value", ["", "Sam", "a=b", "1-1", "'t Hooft", "sam@example.com", "'"])
def test_other_text_is_exported_as_it_is(value: str) -> None:
    assert neutralise(value) == value
    assert plain(value) == value


@given(st.one_of(st.text(), st.text(alphabet="'=+-@\t ＝a", max_size=6), st.sampled_from(FORMULAS)))
def test_what_was_exported_is_imported_as_it_was(value: str) -> None:
    exported = neutralise(value)
    assert plain(exported) == value
    assert not exported.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
