"""Treatment types and their days, without a database."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.mail.catalogue import templates_root
from tests.support.command_line import SMP, CommandLine

PLAN = ("plan", "--protocol", SMP, "--on", "2026-11-20", "--timezone", "Europe/London")


def due(plan: object) -> list[str]:
    assert isinstance(plan, dict)
    return [step["due_at"] for step in plan["plan"]]


def test_a_plan_needs_no_database_and_leaves_nothing_behind(bare: CommandLine) -> None:
    plan = bare.document(*PLAN)
    assert set(plan) == {"plan"}
    assert [set(step) for step in plan["plan"]] == [{"step", "day", "due_at", "useful_until", "state", "reason"}] * 3
    assert due(plan) == ["2026-11-21T10:00:00Z", "2026-11-23T10:00:00Z", "2026-11-30T10:00:00Z"]
    assert list(bare.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("on", "zone", "send_at", "first"),
    [
        ("2026-10-24", "Europe/London", "10:00", "2026-10-25T10:00:00Z"),
        ("2027-03-27", "Europe/London", "10:00", "2027-03-28T09:00:00Z"),
        ("2027-03-27", "Europe/London", "01:30", "2027-03-28T01:30:00Z"),
        ("2026-10-24", "Europe/London", "01:30", "2026-10-25T00:30:00Z"),
        ("2026-11-20", "Australia/Perth", "10:00", "2026-11-21T02:00:00Z"),
        ("2026-11-20", "Europe/London", "18:15", "2026-11-21T18:15:00Z"),
        ("2011-12-29", "Pacific/Apia", "10:00", "2011-12-30T20:00:00Z"),
    ],
)
def test_a_day_is_a_calendar_day_of_the_zone(bare: CommandLine, on: str, zone: str, send_at: str, first: str) -> None:
    words = ("plan", "--protocol", SMP, "--on", on, "--timezone", zone, "--send-at", send_at)
    assert due(bare.document(*words, "--now", f"{on}T00:00:00Z"))[0] == first


def test_what_is_too_late_is_missed_with_its_reason(bare: CommandLine) -> None:
    plan = bare.document(*PLAN, "--now", "2026-11-22T12:00:00Z")
    assert [(step["state"], step["reason"]) for step in plan["plan"]] == [
        ("missed", "registered_late"),
        ("planned", None),
        ("planned", None),
    ]
    assert "registered too late for it" in bare(*PLAN, "--now", "2026-11-22T12:00:00Z").out


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--timezone", "Europe/Londom", "timezone"),
        ("--timezone", "/etc/localtime", "timezone"),
        ("--on", "2026-02-30", "on"),
        ("--on", "9999-12-31", "on"),
        ("--on", "0001-01-01", "on"),
        ("--send-at", "24:00", "send_at"),
        ("--protocol", "botox", "protocol"),
        ("--now", "2026-11-20T10:00", "now"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_option(bare: CommandLine, option: str, value: str, field: str) -> None:
    refused = bare.refusal(*PLAN, option, value)
    assert (refused["status"], refused["field"]) == (2, field)


def test_the_treatment_types_are_listed_and_shown(bare: CommandLine) -> None:
    rows = bare.lines("protocols", "list")
    assert [row["key"] for row in rows] == [SMP, "scalp-tattoo"]
    assert rows[0]["days"] == [1, 3, 10]
    shown = bare.document("protocols", "show", SMP)
    assert shown["steps"][0]["useful_until"] == "day 2 12:00"
    assert "1, 3, 10" in bare("protocols", "list").out


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A copy of the words to break."""
    return shutil.copytree(templates_root(), tmp_path / "words")


def test_the_shipped_words_are_right(bare: CommandLine) -> None:
    assert [row["ok"] for row in bare.lines("protocols", "check")] == [True, True]


def test_a_wrong_key_in_a_protocol_is_named_with_its_file(bare: CommandLine, words: Path) -> None:
    file = words / SMP / "protocol.toml"
    file.write_text(file.read_text("utf-8").replace("day = 3\n", "dya = 3\n", 1), "utf-8")
    refused = bare.refusal("protocols", "check", words)
    assert (refused["status"], refused["code"]) == (2, "bad_protocol")
    assert f"{SMP}/protocol.toml" in refused["message"]


def test_an_undefined_variable_in_a_text_is_named_with_its_line(bare: CommandLine, words: Path) -> None:
    file = words / SMP / "day-01.en.md"
    file.write_text(file.read_text("utf-8") + "\nCall {{ doctor }}.\n", "utf-8")
    refused = bare.refusal("protocols", "check", words)
    assert (refused["status"], refused["code"]) == (2, "bad_text")
    assert "doctor" in refused["message"]
    assert "day-01.en.md" in refused["message"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"key = [", b""])
def test_a_protocol_that_is_no_toml_is_refused(bare: CommandLine, words: Path, content: bytes) -> None:
    (words / SMP / "protocol.toml").write_bytes(content)
    assert bare.refusal("protocols", "check", words)["status"] == 2


def test_a_folder_that_is_none_is_refused(bare: CommandLine) -> None:
    assert bare.refusal("protocols", "check", "nowhere")["status"] == 2
    assert bare.refusal("protocols", "check", bare.folder)["status"] == 2
