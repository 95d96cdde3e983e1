"""A table of clients becomes good rows, and faults with row, column and reason; a hopeless file is refused whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.actions.csv_rows import BadRow, CsvOptions, GoodRow, RowError, neutralise, read_rows
from service.errors import BadInput, Unavailable

TITLES = {"scalp-micropigmentation": "Scalp micropigmentation", "scalp-tattoo": "Scalp tattoo"}
TODAY = date(2026, 11, 21)
HEADER = "name,email,treatment,treatment_date"
SAM = "Sam Jones,sam@example.com,scalp-tattoo,2026-11-20"
SAMS_ROW = GoodRow(2, "Sam Jones", "sam@example.com", "scalp-tattoo", date(2026, 11, 20), None, None, None, None, None)


def _options(**changes: Any) -> CsvOptions:
    return replace(CsvOptions(TODAY, TITLES), **changes)


def _read(text: str, **options: Any) -> list[GoodRow | BadRow]:
    return list(read_rows(text.encode(), _options(**options)))


def _errors(rows: Sequence[GoodRow | BadRow]) -> list[RowError]:
    return [error for row in rows if isinstance(row, BadRow) for error in row.errors]


def test_a_full_row_becomes_typed_values() -> None:
    text = (
        "client_ref,consent_on,language,phone,treatment_time,treatment_date,treatment,email,name\n"
        "C-7,2026-11-01,es_mx,+44 1632 960001,9:30,2026-11-20,Scalp TATTOO,Sam@Example.COM,  Zoe\u0308  Jones\n"
    )
    assert _read(text) == [
        GoodRow(
            row=2,
            name="Zoë Jones",
            email="Sam@example.com",
            protocol="scalp-tattoo",
            treated_on=date(2026, 11, 20),
            treated_at=time(9, 30),
            phone="+44 1632 960001",
            language="es-MX",
            consent_on=date(2026, 11, 1),
            client_ref="C-7",
        )
    ]


def test_optional_cells_may_be_empty() -> None:
    text = f"{HEADER},treatment_time,phone,language,consent_on,client_ref\n{SAM},, ,,,\n"
    assert _read(text) == [SAMS_ROW]


def test_a_header_of_too_many_columns_is_refused_before_it_is_compared() -> None:
    with pytest.raises(Unavailable, match="100,004 columns, 200 at most"):
        _read(HEADER + "," + ",".join(f"c{number}" for number in range(100_000)) + "\n")


def test_a_header_alone_is_no_rows() -> None:
    assert _read(HEADER) == []
    assert _read(HEADER + "\r\n\r\n") == []


@pytest.mark.parametrize(
    "header",
    [
        "NAME,E-Mail,Treatment,Treatment Date",
        " Name , email ,treatment,TreatmentDate",
        '"name","email","treatment","treatment  date"',
        "\ufeffname,EMAIL,treat_ment,treatment-date",
    ],
)
def test_columns_are_known_whatever_their_case_and_spacing(header: str) -> None:
    assert _read(f"{header}\n{SAM}") == [SAMS_ROW]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiter_line_ends_and_encoding_are_decided_and_said(delimiter: str, end: str, encoding: str) -> None:
    text = end.join([HEADER, SAM, ""]).replace(",", delimiter)
    table = read_rows(text.encode(encoding), _options())
    assert list(table) == [SAMS_ROW]
    assert table.delimiter == delimiter
    assert table.encoding == encoding.removesuffix("-sig")


def test_the_delimiter_is_the_one_under_which_the_header_makes_sense() -> None:
    text = "name;email;treatment;treatment_date;notes,a,b,c,d,e,f\nSam, Jones;sam@example.com;scalp-tattoo;2026-11-20;x"
    table = read_rows(text.encode(), _options())
    assert table.delimiter == ";"
    assert [row.name for row in table if isinstance(row, GoodRow)] == ["Sam, Jones"]


def test_windows_1252_is_read_only_by_choice() -> None:
    data = f"{HEADER}\n{SAM}\nZoë,zoe@example.com,scalp-tattoo,2026-11-20".encode("cp1252")
    with pytest.raises(Unavailable, match="Line 3 is not utf-8"):
        read_rows(data, _options())
    table = read_rows(data, _options(encoding="windows-1252"))
    assert [row.name for row in table if isinstance(row, GoodRow)] == ["Sam Jones", "Zoë"]
    assert table.encoding == "windows-1252"


def test_a_file_on_disk_reads_like_its_bytes_and_as_often_as_wanted(tmp_path: Path) -> None:
    path = tmp_path / "clients.csv"
    path.write_text(f"{HEADER}\n{SAM}\n", encoding="utf-8")
    table = read_rows(path, _options())
    assert list(table) == list(table) == [SAMS_ROW]


def test_columns_nobody_reads_are_listed_as_ignored() -> None:
    table = read_rows(f"{HEADER},Shoe size,,\x1b[31mred\n{SAM},44,,x".encode(), _options())
    assert table.ignored == ("Shoe size", "column 6", "[31mred")
    assert list(table) == [SAMS_ROW]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("Sam Jones,sam@example.com,scalp-tattoo,2026-11-20", "does not name the columns"),
        ("hello", "does not name the columns"),
        (f"{HEADER},Name", "twice: Name, name"),
        (f"{HEADER},Treatment Date", "twice: Treatment Date, treatment_date"),
        (f"{HEADER},notes,Notes", "twice: Notes, notes"),
        ("name,email", "lacks treatment, treatment_date"),
        ("email,treatment,treatment_date", "lacks name"),
        ('"name,email,treatment,treatment_date', "The first line cannot be read"),
    ],
)
def test_a_file_without_a_usable_header_is_refused_whole(header: str, says: str) -> None:
    with pytest.raises(Unavailable, match=says) as refusal:
        _read(f"{header}\n{SAM}")
    assert refusal.value.field == "file"
    assert refusal.value.next_step


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"\xef\xbb\xbf", b",,\n;;\n", b"\x00" * 100, b"\x89PNG\r\n\x1a\n\x00\x00"]
)
def test_an_empty_or_binary_file_is_refused_whole(data: bytes) -> None:
    with pytest.raises(Unavailable) as refusal:
        read_rows(data, _options())
    assert refusal.value.field == "file"


def test_three_faulty_rows_of_a_thousand_are_named_and_the_others_kept() -> None:
    lines = [f"Client {n},client{n}@example.com,scalp-tattoo,2026-11-{n % 20 + 1:02d}" for n in range(1000)]
    lines[10] = "Client 10,client10@example,scalp-tattoo,2026-11-01"
    lines[500] = "Client 500,client500@example.com,scalp-tattoo,2026-02-30"
    lines[999] = "=?utf-8?q?x?=,client999@example.com,haircut,2026-11-01"
    rows = _read("\n".join([HEADER, *lines]))
    assert sum(isinstance(row, GoodRow) for row in rows) == 997
    assert [(error.row, error.column) for error in _errors(rows)] == [
        (12, "email"),
        (502, "treatment_date"),
        (1001, "name"),
        (1001, "treatment"),
    ]
    assert [error.problem for error in _errors(rows)] == [
        "The part after the @ has no dot. Use one address like name@example.com.",
        "'2026-02-30' is a day that does not exist. Write it like 2026-04-03.",
        "The name contains a coded e-mail header (=?…?=). Write it in plain letters.",
        "'haircut' is no treatment known here. Choose one of: scalp-micropigmentation, scalp-tattoo.",
    ]


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        (SAM.replace("Sam Jones", "Sam\x00Jones"), None, "NUL"),
        (f"{SAM},extra", None, "has 5 fields, the header has 4"),
        ("Sam Jones,sam@example.com,scalp-tattoo", None, "has 3 fields, the header has 4"),
        (f'"{SAM}', None, "never closed"),
        (f"{'x' * 140_000}{SAM}", None, "longer than"),
        (SAM.replace("Sam Jones", ""), "name", "is empty"),
        (SAM.replace("Sam Jones", "\u200b"), "name", "is empty"),
        (SAM.replace("Sam Jones", "S" * 201), "name", "201 characters"),
        (SAM.replace("Sam Jones", '"Sam\r\nBcc: eve@example.com"'), "name", "a line break"),
        (SAM.replace("Sam Jones", "Sam\x1b[2J"), "name", "control character"),
        (SAM.replace("Sam Jones", "Sam\u202ex"), "name", "direction"),
        (SAM.replace("sam@example.com", ""), "email", "is empty"),
        (SAM.replace("sam@example.com", "sam"), "email", "no @"),
        (SAM.replace("sam@example.com", "sam@clinic.test"), "email", "reserved"),
        (SAM.replace("sam@example.com", '"sam@example.com\nBcc: eve@example.com"'), "email", "control character"),
        (SAM.replace("scalp-tattoo", ""), "treatment", "is empty"),
        (SAM.replace("2026-11-20", "2026-11-22"), "treatment_date", "in the future"),
        (SAM.replace("2026-11-20", "2026-11-31"), "treatment_date", "does not exist"),
        (SAM.replace("2026-11-20", "03/04/2026"), "treatment_date", "choose the date order"),
        (SAM.replace("2026-11-20", ""), "treatment_date", "is not a date"),
    ],
)
def test_a_bad_row_is_rejected_and_its_neighbours_are_kept(line: str, column: str | None, says: str) -> None:
    good = ["Ann Lee,ann@example.com,scalp-tattoo,2026-11-01", "Bo Lee,bo@example.com,scalp-tattoo,2026-11-02"]
    rows = _read("\n".join([HEADER, good[0], line, good[1]]))
    assert [row.name for row in rows if isinstance(row, GoodRow)] == ["Ann Lee", "Bo Lee"]
    (error,) = _errors(rows)
    assert (error.row, error.column) == (3, column)
    assert says in error.problem


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("treatment_time", "25:00", "is not a time"),
        ("phone", "call me", "not a phone number"),
        ("language", "English", "not a language code"),
        ("consent_on", "2027-01-01", "in the future"),
        ("consent_on", "yes", "is not a date"),
        ("client_ref", "x" * 101, "101 characters"),
    ],
)
def test_a_filled_optional_cell_must_be_right(column: str, value: str, says: str) -> None:
    (error,) = _errors(_read(f"{HEADER},{column}\n{SAM},{value}"))
    assert (error.row, error.column) == (2, column)
    assert says in error.problem


def test_a_row_with_several_faults_is_rejected_once_with_all_of_them() -> None:
    (row,) = _read(f"{HEADER}\n,nobody,haircut,soon")
    assert isinstance(row, BadRow)
    assert [error.column for error in row.errors] == ["name", "email", "treatment", "treatment_date"]


def test_no_fault_repeats_a_name_or_an_address() -> None:
    rows = _read(f"{HEADER}\nCanary\x07Name,canary.address@example,scalp-tattoo,2026-11-20")
    assert len(_errors(rows)) == 2
    assert not any("canary" in error.problem.lower() for error in _errors(rows))


def test_a_date_order_is_obeyed_in_every_date_column() -> None:
    rows = _read(f"{HEADER},consent_on\n{SAM.replace('2026-11-20', '03/04/2026')},2.4.2026", date_order="dmy")
    (row,) = rows
    assert isinstance(row, GoodRow)
    assert (row.treated_on, row.consent_on) == (date(2026, 4, 3), date(2026, 4, 2))


def test_one_protocol_for_all_rows_makes_the_treatment_column_needless() -> None:
    text = "name,email,treatment_date\nSam Jones,sam@example.com,2026-11-20"
    assert _read(text, protocol="scalp-tattoo") == [SAMS_ROW]
    with pytest.raises(Unavailable, match="lacks treatment") as refusal:
        _read(text)
    assert "one protocol for all rows" in (refusal.value.next_step or "")


def test_wrong_options_are_refused_before_the_first_row() -> None:
    with pytest.raises(BadInput, match="is no protocol"):
        read_rows(HEADER.encode(), _options(protocol="haircut"))
    with pytest.raises(BadInput, match="not an encoding"):
        read_rows(HEADER.encode(), _options(encoding="ebcdic"))


def test_rows_are_numbered_as_a_spreadsheet_shows_them() -> None:
    quoted = '"Sam\nJones",sam@example.com,scalp-tattoo,2026-11-20'
    rows = _read(f"{HEADER}\n{SAM}\n\n{quoted}\n,,,\n{SAM}\n")
    assert [row.row for row in rows] == [2, 4, 6]


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "-Sam", "+Sam", "'t Hooft", "🌸 Sam", "王小明", "محمد"])
def test_odd_names_are_text_and_survive_export_and_import(name: str) -> None:
    for written in (name, neutralise(name)):
        (row,) = _read(f"{HEADER}\n{SAM.replace('Sam Jones', written)}")
        assert isinstance(row, GoodRow)
        assert row.name == name


def test_a_phone_number_survives_export_and_import() -> None:
    (row,) = _read(f"{HEADER},phone\n{SAM},{neutralise('+44 1632 960001')}")
    assert isinstance(row, GoodRow)
    assert row.phone == "+44 1632 960001"


def test_fifty_thousand_rows_are_the_bound_and_blank_lines_do_not_count() -> None:
    most = "\n".join([HEADER, *["x,,,"] * 49_999, "", SAM, ""])
    assert sum(1 for _ in read_rows(most.encode(), _options())) == 50_000
    with pytest.raises(Unavailable, match="more than 50,000 rows"):
        read_rows(f"{most}\n{SAM}".encode(), _options())


@given(
    st.lists(
        st.tuples(
            st.text(max_size=8), st.text(alphabet="a@.b", max_size=8), st.just("scalp-tattoo"), st.text(max_size=8)
        ),
        max_size=5,
    )
)
def test_any_table_gives_one_answer_a_row_that_is_not_blank(table: list[tuple[str, str, str, str]]) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([HEADER.split(","), *table])
    data = written.getvalue().encode("utf-8", "replace")
    rows = list(read_rows(data, _options()))
    assert [row.row for row in rows] == list(range(2, len(table) + 2))
    assert all(row.errors for row in rows if isinstance(row, BadRow))
