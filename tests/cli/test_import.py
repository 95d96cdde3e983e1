"""`aftercare import`: exit status, JSON and what a person reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli import perform

GOOD = "name,email,treatment,treatment_date\nSam Reed,sam@example.com,scalp-tattoo,2026-11-20\n"
NOW = ["--now", "2026-11-21T12:00:00Z"]


@pytest.fixture(autouse=True)
def _clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AFTERCARE_DATA_DIR", str(tmp_path / "data"))
    assert perform(["init", "--clinic", "Northgate", "--timezone", "Europe/London"]) == 0
    capsys.readouterr()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "clients.csv"
    path.write_text(GOOD)
    return path


def _json(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any, str]:
    status = perform(["import", *map(str, arguments), *NOW, "--json"])
    said = capsys.readouterr()
    return status, json.loads(said.out), said.err


def _outbox(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    assert perform(["outbox", "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_json_document_is_the_one_of_the_interface(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _json(capsys, table) == (
        0,
        {
            "rows": 1,
            "accepted": 1,
            "rejected": 0,
            "unchanged": 0,
            "committed": True,
            "errors": [],
            "encoding": "utf-8",
            "delimiter": ",",
            "ignored_columns": [],
            "registered_late": 0,
            "at_once": 1,
        },
        "",
    )
    assert [row["state"] for row in _outbox(capsys)] == ["planned"] * 3


def test_a_dry_run_commits_nothing(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, document, _ = _json(capsys, table, "--dry-run")
    assert (status, document["accepted"], document["committed"]) == (0, 1, False)
    assert _outbox(capsys) == []


def test_bad_rows_are_no_failure_of_the_command(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(f"{GOOD}Kim Berg,kim,scalp-tattoo,2026-11-20\n\nNo Date,no@example.com,scalp-tattoo,03/04/2026\n")
    status, document, _ = _json(capsys, table)
    assert (status, document["accepted"], document["rejected"]) == (0, 1, 2)
    assert [(fault["row"], fault["column"]) for fault in document["errors"]] == [(3, "email"), (5, "treatment_date")]
    assert set(document["errors"][0]) == {"row", "column", "problem"}


def test_a_date_order_a_protocol_and_an_encoding_may_be_chosen(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_bytes("name;email;treatment_date\nZoë Reed;zoe@example.com;20.11.2026\n".encode("windows-1252"))
    chosen = ["--date-order", "dmy", "--protocol", "Scalp Tattoo", "--encoding", "windows-1252"]
    status, document, _ = _json(capsys, table, *chosen)
    assert (status, document["accepted"], document["encoding"], document["delimiter"]) == (0, 1, "windows-1252", ";")
    assert {row["protocol"] for row in _outbox(capsys)} == {"scalp-tattoo"}


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"just,words\n"])
def test_a_file_that_cannot_be_read_ends_with_status_1_and_an_error(
    table: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is None:
        table.unlink()
    else:
        table.write_bytes(content)
    status, document, _ = _json(capsys, table)
    assert status == 1
    assert (document["error"]["field"], bool(document["error"]["next_step"])) == ("file", True)


@pytest.mark.parametrize(
    ("option", "field"),
    [("--protocol", "protocol"), ("--encoding", "encoding"), ("--date-order", "date_order")],
)
def test_a_wrong_option_ends_with_status_2(
    table: Path, capsys: pytest.CaptureFixture[str], option: str, field: str
) -> None:
    status, document, _ = _json(capsys, table, option, "nonsense")
    assert (status, document["error"]["field"]) == (2, field)


def test_people_get_the_faults_as_a_table_and_the_numbers_in_a_sentence(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(
        "name,email,treatment,treatment_date,shoe size\n"
        "Sam Reed,sam@example.com,scalp-tattoo,2026-10-01,42\n"
        "\x1b[2JKim,kim,scalp-tattoo,2026-11-20,41\n"
    )
    assert perform(["import", str(table), "--dry-run", *NOW]) == 0
    said = capsys.readouterr()
    assert "row  column  what is wrong" in said.out
    assert "3    email" in said.out
    assert "\x1b" not in said.out + said.err
    assert "shoe size" in said.err
    assert "2 rows (utf-8): 1 can be imported, 0 known already, 1 rejected." in said.err
    assert "3 e-mails of old treatments are too late" in said.err
    assert "Nothing was written." in said.err
    assert perform(["import", str(table), *NOW]) == 0
    assert "1 imported, 0 known already, 1 rejected." in capsys.readouterr().err
