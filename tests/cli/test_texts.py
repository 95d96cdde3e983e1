"""Commands about the words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import SMP, CommandLine

DAY_1 = f"{SMP}/day-01"
APPROVE = ("texts", "approve", DAY_1, "--by", "dr.lee@example.com", "--review-by", "2027-11-20")


@pytest.fixture
def source(either: CommandLine) -> Path:
    """The shipped first text as a file."""
    path = either.folder / "day-01.en.md"
    path.write_text(either.document("texts", "show", DAY_1)["source"], "utf-8")
    return path


def add_clinician(cli: CommandLine) -> None:
    cli.document("staff", "add", "--email", "dr.lee@example.com", "--name", "Dr Lee", "--role", "clinician")


def test_a_clinician_approves_a_version_until_a_day(either: CommandLine) -> None:
    add_clinician(either)
    done = either.document(*APPROVE)
    assert (done["state"], done["version"]) == ("approved", 1)
    assert (done["approved_by"], done["review_by"]) == ("dr.lee@example.com", "2027-11-20")
    states = {row["name"]: row["state"] for row in either.lines("texts", "list") if row["protocol"] == SMP}
    assert {name for name, state in states.items() if state == "approved"} == {"day-01"}
    assert {"catch-up", "day-03", "day-10", "today-00", "today-15"} < states.keys()


def test_nobody_else_approves(cli: CommandLine) -> None:
    assert cli.refusal(*APPROVE)["code"] == "not_allowed"
    cli.document("staff", "add", "--email", "dr.lee@example.com", "--name", "Lee", "--role", "owner")
    refused = cli.refusal(*APPROVE)
    assert (refused["status"], refused["field"]) == (1, "by")


@pytest.mark.parametrize("day", ["2026-11-20", "2026-02-30", "9999-12-31", "next year"])
def test_a_review_day_is_a_day_to_come(cli: CommandLine, day: str) -> None:
    add_clinician(cli)
    refused = cli.refusal(*APPROVE[:-1], day)
    assert (refused["status"], refused["field"]) == (2, "review_by")


def test_an_edit_is_a_new_draft_beside_the_approved_version(either: CommandLine, source: Path) -> None:
    add_clinician(either)
    either.document(*APPROVE)
    source.write_text(source.read_text("utf-8").replace("Dear ", "Hello ", 1), "utf-8")
    saved = either.document("texts", "edit", DAY_1, source)
    assert (saved["version"], saved["state"]) == (2, "draft")
    assert either.document("texts", "show", DAY_1)["version"] == 2
    assert either.document("texts", "show", DAY_1, "--version", 1)["state"] == "approved"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + "\nCall {{ doctor }}.\n", "doctor"),
        (lambda text: text[: len(text) // 3], ""),
        (lambda _: "", ""),
        (lambda text: text + "\0", "NUL"),
    ],
)
def test_a_text_that_cannot_be_right_is_not_saved(either: CommandLine, source: Path, change: object, said: str) -> None:
    assert callable(change)
    source.write_text(change(source.read_text("utf-8")), "utf-8")
    refused = either.refusal("texts", "edit", DAY_1, source)
    assert (refused["status"], refused["code"]) == (2, "bad_text")
    assert said in refused["message"]
    assert either.document("texts", "show", DAY_1)["version"] == 1


def test_a_file_that_is_no_text_is_not_saved(cli: CommandLine) -> None:
    file = cli.folder / "day-01.md"
    file.write_bytes(b"\xff\xfe\x00\x01")
    assert cli.refusal("texts", "edit", DAY_1, file)["code"] == "bad_text"
    assert cli.refusal("texts", "edit", DAY_1, cli.folder / "nowhere.md")["status"] in (1, 2)
    assert cli.refusal("texts", "edit", DAY_1, cli.folder)["status"] in (1, 2)


@pytest.mark.parametrize("text", ["day-01", f"{SMP}/day-99", "botox/day-01", "x" * 10_000, f"{SMP}/", "/"])
def test_a_text_that_is_not_there_is_told(cli: CommandLine, text: str) -> None:
    refused = cli.refusal("texts", "show", text)
    assert refused["status"] in (1, 2)
    assert refused["field"] == "text"
    assert cli.refusal("texts", "show", DAY_1, "--version", "99")["code"] == "not_found"
    assert cli.refusal("texts", "show", DAY_1, "--version", str(2**63))["status"] == 2


def test_the_shipped_texts_hold_what_a_strict_editor_asks_for(bare: CommandLine) -> None:
    answer = bare("texts", "check")
    assert (answer.status, answer.out) == (0, "")
    assert "Nothing to mend in 16 texts." in answer.err
    assert bare.lines("texts", "check", DAY_1) == []


def test_checking_a_text_that_is_not_there_is_not_a_green_answer(bare: CommandLine) -> None:
    for which in ("botox", f"{SMP}/day-99"):
        refused = bare.refusal("texts", "check", which)
        assert (refused["status"], refused["code"]) == (1, "not_found")


def test_showing_prints_the_source_and_nothing_else(cli: CommandLine) -> None:
    answer = cli("texts", "show", DAY_1)
    assert answer.err == ""
    assert answer.out == cli.document("texts", "show", DAY_1)["source"]
