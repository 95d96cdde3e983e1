"""Files as clinics have them: encodings, line ends, delimiters, broken quotes, and files that are no CSV at all."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.actions.csv_file import MOST_BYTES, Record, decode, load, records
from service.errors import BadInput, Unavailable


def _cells(text: str, delimiter: str = ",") -> list[list[str]]:
    return [record.cells for record in records(text, delimiter)]


@pytest.mark.parametrize(
    ("data", "chosen", "encoding"),
    [
        ("name\nZoë".encode(), None, "utf-8"),
        ("name\nZoë".encode(), "UTF-8", "utf-8"),
        ("\ufeffname\nZoë".encode(), None, "utf-8"),
        ("\ufeffname\nZoë".encode("utf-16-le"), None, "utf-16"),
        ("\ufeffname\nZoë".encode("utf-16-be"), None, "utf-16"),
        ("\ufeffname\nZoë".encode("utf-16-be"), "utf-16", "utf-16"),
        ("name\nZoë".encode("cp1252"), "windows-1252", "windows-1252"),
        ("name\nZoë".encode("cp1252"), "Windows_1252", "windows-1252"),
        ("name\nZoë".encode("cp1252"), "cp1252", "windows-1252"),
    ],
)
def test_the_encoding_is_decided_by_the_mark_or_by_choice(data: bytes, chosen: str | None, encoding: str) -> None:
    assert decode(data, chosen) == ("name\nZoë", encoding)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_bytes_of_another_encoding_are_refused_with_their_line_and_the_choices(end: bytes) -> None:
    with pytest.raises(Unavailable) as refusal:
        decode(end.join([b"name", b"Sam", "Zoë".encode("cp1252"), b"Sam"]), None)
    assert refusal.value.message == "Line 3 is not utf-8 (byte 0xeb)"
    assert refusal.value.field == "file"
    assert "windows-1252" in (refusal.value.next_step or "")


@pytest.mark.parametrize(
    ("data", "chosen", "says"),
    [
        (b"", None, "The file is empty"),
        (b" \r\n\n\t", None, "The file is empty"),
        (b"\xef\xbb\xbf", None, "The file is empty"),
        (b"\xff\xfe", None, "The file is empty"),
        (b"PK\x03\x04\x14\x00", None, "a spreadsheet or zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", None, "an old spreadsheet"),
        (b"%PDF-1.7\n", None, "a PDF"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", None, "binary"),
        (b"\x7fELF\x02\x01\x01\x00", None, "binary"),
        (bytes(4096), None, "binary"),
        (b"na\x00me,email\n" + b"sam,sam@example.com\n" * 50, None, "binary"),
        (b"name,email\n" + b"\x00\x01\x02" * 50, None, "binary"),
        ("name,email\nSam,x".encode("utf-16-le"), None, "without its byte order mark"),
        ("name,email\nSam,x".encode("utf-16-be"), None, "without its byte order mark"),
        ("name,email\nSam,x".encode("utf-16-be"), "windows-1252", "without its byte order mark"),
        ("姓名\n王".encode("utf-16-le"), "utf-16", "binary|byte order mark"),
        (b"name", "utf-16", "must begin with a byte order mark"),
        ("\ufeffname".encode("utf-32"), None, "UTF-32"),
        ("\ufeffname".encode("utf-16-le") + b"\x00", None, "not complete UTF-16"),
        ("\ufeffname".encode(), "windows-1252", "says that it is utf-8, not windows-1252"),
        (b"name\nSam\x81", "windows-1252", "Line 2 is not windows-1252"),
        (b"name\n\xed\xa0\x80", None, "Line 2 is not utf-8"),
    ],
)
def test_a_file_that_is_no_text_of_ours_cannot_be_read(data: bytes, chosen: str | None, says: str) -> None:
    with pytest.raises(Unavailable, match=says) as refusal:
        decode(data, chosen)
    assert refusal.value.field == "file"
    assert refusal.value.next_step
    assert refusal.value.exit_status == 1


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_nul_in_a_later_line_is_left_to_its_row(end: str) -> None:
    text = end.join(["name,email", "S\0m,x"] + ["Sam,x"] * 9)
    assert decode(text.encode(), None) == (text, "utf-8")


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_cannot_be_read(seed: int) -> None:
    noise = random.Random(seed).randbytes(2000)
    for data in (noise, zlib.compress(noise)):
        with pytest.raises(Unavailable):
            decode(data, None)


def test_an_unknown_encoding_is_a_wrong_option() -> None:
    with pytest.raises(BadInput, match="'ebcdic' is not an encoding known here") as refusal:
        decode(b"name", "ebcdic")
    assert refusal.value.field == "encoding"


def test_the_size_is_looked_at_before_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "clients.csv"
    path.write_bytes(b"x" * MOST_BYTES)
    assert len(load(path)) == MOST_BYTES
    path.write_bytes(b"\x00" * (MOST_BYTES + 1))
    for source in (path, path.read_bytes()):
        with pytest.raises(Unavailable, match="larger than 10 MB"):
            load(source)


def test_a_file_that_cannot_be_opened_is_said_so(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(Unavailable, match="cannot be opened") as refusal:
            load(path)
        assert refusal.value.field == "file"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_understood(end: str) -> None:
    assert _cells(end.join(["a,b", "1,2", "", "3,4"])) == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert _cells(end.join(["a,b", "1,2", "3,4", ""])) == [["a", "b"], ["1", "2"], ["3", "4"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_delimiter_leaves_the_others_in_the_cells(delimiter: str) -> None:
    others = "".join({",", ";", "\t"} - {delimiter})
    assert _cells(f'a{delimiter}"x{others}y"\n', delimiter) == [["a", f"x{others}y"]]


def test_quoted_line_breaks_and_doubled_quotes_belong_to_the_cell_and_count_as_one_row() -> None:
    text = 'a,b\n"one\r\nline, two","say ""hi"""\nlast, "c"\n'
    assert list(records(text, ",")) == [
        Record(1, ["a", "b"]),
        Record(2, ["one\r\nline, two", 'say "hi"']),
        Record(3, ["last", "c"]),
    ]


def test_blank_lines_are_skipped_but_counted_as_a_spreadsheet_does() -> None:
    rows = [(record.row, record.cells) for record in records("\n\na,b\n,\n \n1,2\n", ",")]
    assert rows == [(3, ["a", "b"]), (6, ["1", "2"])]


def test_only_true_line_ends_end_a_line() -> None:
    assert _cells("a\u2028b\x85c\x0bd\x0ce,f\n") == [["a\u2028b\x85c\x0bd\x0ce", "f"]]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ('"never closed,2', "never closed"),
        ('"stray" quote,2', "stands where none can"),
        ("x" * 200_000 + ",2", "longer than 131,072"),
        ('"' + "x\n" * 100_000, "longer than 131,072"),
    ],
)
def test_a_broken_row_costs_only_itself(broken: str, says: str) -> None:
    found = list(records(f"a,b\n1,2\n{broken}\n3,4\n5,6\n", ","))
    assert found[2].row == 3
    assert says in found[2].fault
    assert [record.cells for record in found[:2]] == [["a", "b"], ["1", "2"]]
    assert [record.cells for record in found[-2:]] == [["3", "4"], ["5", "6"]]


def test_every_row_of_a_file_full_of_broken_quotes_has_its_own_fault() -> None:
    found = list(records("a,b\n" + '"open,1\n' * 20_000, ","))
    assert len(found) == 20_001
    assert all(record.fault for record in found[1:])


def test_a_file_made_to_be_read_again_and_again_is_refused() -> None:
    with pytest.raises(Unavailable, match="quotation marks in the file do not match"):
        list(records("a,b\n" + 'x","\n' * 100_000, ","))


@given(
    st.lists(
        st.lists(st.text(alphabet='ab"\n\r,;\t é', max_size=5), min_size=2, max_size=3).filter(
            lambda row: any(map(str.strip, row))
        ),
        max_size=6,
    )
)
def test_what_is_written_with_quotes_is_read_back(table: list[list[str]]) -> None:
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in table)
    assert _cells(text) == table


@given(st.text(alphabet='ab",\n\r\0'))
def test_no_text_ends_in_anything_but_records(text: str) -> None:
    rows = [record.row for record in records(text, ",")]
    assert rows == sorted(set(rows))
