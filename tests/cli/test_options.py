"""What every command shares: ids, dates, instants, the clinic, the data folder, the clock."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine


@pytest.mark.parametrize("client_id", ["0", "00", "9223372036854775808", "9" * 400, "1_0", "１", "seven", "1.0", ""])
def test_what_is_no_id_is_bad_usage_on_both_databases(either: CommandLine, client_id: str) -> None:
    refused = either.refusal("client", "show", client_id)
    assert refused["status"] == 2
    assert "ids are whole numbers from 1" in refused["message"]
    assert len(refused["message"]) < 200


def test_a_negative_id_is_bad_usage(cli: CommandLine) -> None:
    assert cli.refusal("client", "show", "-1")["status"] == 2


def test_the_largest_id_is_simply_not_found(either: CommandLine) -> None:
    for words in (("client", "show"), ("treatment", "cancel"), ("staff", "disable")):
        refused = either.refusal(*words, 2**63 - 1)
        assert (refused["status"], refused["code"]) == (1, "not_found")
    refused = either.refusal("calls", "close", 2**63 - 1, "--outcome", "reached")
    assert (refused["status"], refused["code"]) == (1, "not_found")


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("2026-02-30", "not in the calendar"),
        ("0001-01-01", "too far away"),
        ("9999-12-31", "too far away"),
        ("0000-01-01", "not in the calendar"),
        ("20261120", "not a date"),
        ("2026-W47-5", "not a date"),
        ("20/11/2026", "not a date"),
        ("２０２６-11-20", "not a date"),
        ("x" * 10_000, "not a date"),
        ("", "not a date"),
    ],
)
def test_an_impossible_date_is_refused_naming_the_option(cli: CommandLine, date: str, words: str) -> None:
    refused = cli.refusal("treatment", "add", "--client", "1", "--protocol", "scalp-tattoo", "--on", date)
    assert (refused["status"], refused["field"]) == (2, "on")
    assert words in refused["message"]
    assert len(refused["message"]) < 200


@pytest.mark.parametrize(
    "now", ["2026-11-21", "2026-11-21T10:00", "tomorrow", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", ""]
)
def test_now_must_be_an_instant_with_its_zone_and_not_off_the_calendar(cli: CommandLine, now: str) -> None:
    refused = cli.refusal("tick", "--now", now)
    assert (refused["status"], refused["field"]) == (2, "now")


def test_now_is_refused_in_live_mode(cli: CommandLine) -> None:
    refused = cli.refusal("tick", "--now", "2026-11-21T10:00:00Z", mode="live", now="")
    assert (refused["status"], refused["field"]) == (2, "now")


def test_with_several_clinics_one_must_be_chosen(either: CommandLine) -> None:
    either("clinic", "add", "--name", "Southgate", "--timezone", "Europe/Lisbon")
    refused = either.refusal("client", "list")
    assert (refused["status"], refused["field"]) == (2, "clinic")
    assert "2 (Southgate)" in refused["message"]
    assert either.lines("client", "list", "--clinic", "2") == []
    assert either.refusal("client", "list", "--clinic", "3")["code"] == "not_found"


def test_without_a_clinic_it_is_said_how_to_make_one(bare: CommandLine) -> None:
    assert bare("init").status == 0
    refused = bare.refusal("client", "list")
    assert (refused["status"], refused["field"]) == (2, "clinic")
    assert "aftercare init" in refused["next_step"]


def test_without_a_database_it_is_said_how_to_make_one(bare: CommandLine) -> None:
    refused = bare.refusal("outbox")
    assert (refused["status"], refused["code"]) == (2, "bad_configuration")
    assert "aftercare init" in refused["next_step"]


def test_a_data_folder_that_cannot_be_is_named(bare: CommandLine) -> None:
    (bare.folder / "file").write_text("")
    refused = bare.refusal("init", data_dir=str(bare.folder / "file" / "data"))
    assert (refused["status"], refused["field"]) == (2, "AFTERCARE_DATA_DIR")
    refused = bare.refusal("init", data_dir="/proc/aftercare")
    assert (refused["status"], refused["field"]) == (2, "AFTERCARE_DATA_DIR")


def test_a_database_of_a_newer_program_is_left_alone(cli: CommandLine) -> None:
    path = cli.folder / "data" / "aftercare.db"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    database.close()
    for words in (("client", "list"), ("init",), ("tick",)):
        refused = cli.refusal(*words)
        assert (refused["status"], refused["code"]) == (2, "bad_configuration")
        assert "newer" in refused["message"]


def test_a_postgresql_that_is_not_there_is_told_without_its_password(bare: CommandLine) -> None:
    answer = bare("client", "list", "--json", database_url="postgresql://desk:hunter2@127.0.0.1:1/aftercare")
    assert answer.status == 1
    assert answer.error["code"] == "unavailable"
    assert "hunter2" not in answer.out + answer.err


def test_a_pair_needs_a_key_a_sign_and_comes_once(cli: CommandLine) -> None:
    client = cli.client()
    assert cli.refusal("client", "set", client, "phone")["status"] == 2
    assert "twice" in cli.refusal("client", "set", client, "name=A B", "name=C D")["message"]
    assert cli.refusal("clinic", "set", "nmae=x")["field"] == "nmae"


@pytest.mark.parametrize("limit", ["0", "-1", "many", str(2**63)])
def test_a_limit_is_a_number_from_one(cli: CommandLine, limit: str) -> None:
    refused = cli.refusal("outbox", "--limit", limit)
    assert (refused["status"], refused["field"]) == (2, "limit")


def test_a_data_folder_is_closed_to_others(bare: CommandLine) -> None:
    bare("init")
    assert Path(bare.folder / "data").stat().st_mode & 0o077 == 0
