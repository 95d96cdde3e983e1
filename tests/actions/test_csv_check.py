from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from service.actions.csv_check import describe, rejected
from service.actions.csv_rows import BadRow, CsvFile, CsvOptions, read_rows
from service.actions.csv_values import DateOrder

TODAY = date(2026, 11, 21)
HEADER = "Name;E-Mail;Treatment;Treatment Date;Notes\n"


def read(text: str, order: DateOrder | None = None) -> CsvFile:
    return read_rows(text.encode(), CsvOptions(TODAY, {"smp": "SMP"}, order))


def test_columns_are_shown_as_they_were_understood_with_examples() -> None:
    file = read(HEADER + "Sam;sam@example.com;SMP;2026-11-20;tea\nSam;lou@example.com;SMP;2026-11-20;\n")
    assert describe(file, TODAY)["columns"] == [
        {"header": "Name", "meaning": "name", "examples": ("Sam",)},
        {"header": "E-Mail", "meaning": "email", "examples": ("sam@example.com", "lou@example.com")},
        {"header": "Treatment", "meaning": "treatment", "examples": ("SMP",)},
        {"header": "Treatment Date", "meaning": "treatment_date", "examples": ("2026-11-20",)},
        {"header": "Notes", "meaning": None, "examples": ("tea",)},
    ]


def test_examples_are_one_short_line_each() -> None:
    file = read(HEADER + f'"a\nb\u202e{"c" * 100}";sam@example.com;SMP;2026-11-20;\n')
    (example,) = describe(file, TODAY)["columns"][0]["examples"]
    assert example.startswith("a b ccc")
    assert len(example) == 60


def orders(*days: str) -> list[tuple[str, int, str]]:
    rows = "".join(f"Sam;sam@example.com;SMP;{day};\n" for day in days)
    return [(one["order"], one["fits"], one["day"]) for one in describe(read(HEADER + rows), TODAY)["orders"]]


def test_iso_days_ask_nothing() -> None:
    assert orders("2026-11-20", "2026-01-02") == []


def test_a_day_that_may_be_two_is_shown_as_both() -> None:
    assert orders("03/04/2026") == [("dmy", 1, "2026-04-03"), ("mdy", 1, "2026-03-04")]


def test_the_example_is_the_one_that_differs() -> None:
    assert orders("21/04/2026", "05.05.2026", "03/04/2026") == [("dmy", 3, "2026-04-03"), ("mdy", 2, "2026-03-04")]


def test_an_order_in_which_no_day_is_possible_is_no_choice() -> None:
    assert orders("21/04/2026", "22/04/2026") == [("dmy", 2, "2026-04-21")]
    assert orders("2026/04/21") == [("ymd", 1, "2026-04-21")]


def test_a_day_to_come_does_not_fit() -> None:
    assert orders("12/10/2026") == [("dmy", 1, "2026-10-12")]


def test_days_of_no_order_still_ask() -> None:
    assert [fits for _, fits, _ in orders("31/31/2026")] == [0, 0, 0]


def test_rows_that_were_not_taken_come_back_to_be_mended() -> None:
    text = HEADER + "Sam;sam@example.com;SMP;2026-11-20;\nLou;nobody;SMP;2026-11-20;=1+1\nKim;a;b\n"
    file = read(text)
    errors = [error for row in file if isinstance(row, BadRow) for error in row.errors]
    content = rejected(file, errors)
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert rows[0] == ["row", "what is wrong", "Name", "E-Mail", "Treatment", "Treatment Date", "Notes"]
    assert rows[1][0] == "3"
    assert rows[1][1].startswith("email: The e-mail address has no @")
    assert rows[1][2:] == ["Lou", "nobody", "SMP", "2026-11-20", "'=1+1"]
    assert rows[2][2:] == ["Kim", "a", "b"]


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1"])
def test_nothing_in_that_file_is_run_by_a_spreadsheet(cell: str) -> None:
    file = read(f'{HEADER}Lou;nobody;SMP;2026-11-20;"{cell}"\n')
    errors = [error for row in file if isinstance(row, BadRow) for error in row.errors]
    rows = list(csv.reader(io.StringIO(rejected(file, errors).decode("utf-8-sig"), newline=""), delimiter=";"))
    assert rows[1][-1] == f"'{cell}"


def test_the_mended_file_can_be_imported() -> None:
    file = read(HEADER + "Lou;nobody;SMP;2026-11-20;=1\n")
    errors = [error for row in file if isinstance(row, BadRow) for error in row.errors]
    mended = rejected(file, errors).replace(b"nobody", b"lou@example.com")
    (row,) = read_rows(mended, CsvOptions(TODAY, {"smp": "SMP"}))
    assert not isinstance(row, BadRow)
    assert row.email == "lou@example.com"
