"""The commands `check` and `simulate`."""

from __future__ import annotations

import sqlite3

import pytest

from tests.support.command_line import CommandLine


def test_check_is_green_and_says_every_promise(either: CommandLine) -> None:
    either.treat(either.client())
    either.document("tick", "--now", "2026-11-21T10:00:00Z")
    told = either.document("check")
    assert told["ok"] is True
    assert {frozenset(item) for item in told["items"]} == {frozenset(("name", "state", "message", "next_step", "ids"))}
    assert {item["state"] for item in told["items"]} == {"green"}
    assert {item["name"].split()[0] for item in told["items"]} >= {"P1", "P2", "P3", "P6", "P7", "P9", "P11"}


def test_a_broken_promise_is_red_with_its_rows_and_ends_with_1(cli: CommandLine) -> None:
    cli.treat(cli.client())
    database = sqlite3.connect(cli.folder / "data" / "aftercare.db")
    with database:
        database.execute("UPDATE emails SET state = 'missed' WHERE id = 2")
    database.close()
    answer = cli("check", "--json")
    assert answer.status == 1
    (red,) = [item for item in answer.document["items"] if item["state"] != "green"]
    assert (red["name"], red["state"], red["ids"]) == ("P3 calls", "red", [2])
    assert red["next_step"]
    people = cli("check")
    assert people.status == 1
    assert "broken by e-mail 2" in people.out


def test_what_waits_too_long_is_a_warning_only(cli: CommandLine) -> None:
    cli.treat(cli.client())
    answer = cli("check", "--json", "--now", "2026-11-21T10:10:01Z")
    assert answer.status == 0
    assert [item["name"] for item in answer.document["items"] if item["state"] == "yellow"] == ["on time"]


def test_a_simulated_outage_tells_late_missed_and_calls(either: CommandLine) -> None:
    either.treat(either.client())
    words = ("simulate", "--days", "12", "--down", "2026-11-21T00:00Z..2026-11-25T08:00Z")
    rows = either.lines(*words)
    assert [(row["step"], row["state"], row["call"]) for row in rows] == [
        ("day-01", "missed", True),
        ("day-03", "missed", True),
        ("catch-up-05", "sent", False),
        ("day-10", "sent", False),
    ]
    assert {row["state"] for row in either.lines("outbox")} == {"planned"}
    people = either(*words)
    assert "Mon 30 Nov 10:00" in people.out
    assert "2 missed, 2 sent; 2 calls" in people.err
    assert "day " not in people.err.replace("day-", "")


def test_late_but_still_right_is_told(cli: CommandLine) -> None:
    cli.treat(cli.client())
    rows = cli.lines("simulate", "--days", "2", "--down", "2026-11-21T00:00Z..2026-11-21T15:00Z")
    assert [(row["step"], row["sent_at"], row["late"]) for row in rows] == [("day-01", "2026-11-21T15:00:00Z", True)]


@pytest.mark.parametrize(
    "down",
    [
        "2026-11-21",
        "2026-11-21..2026-11-22",
        "2026-11-22T00:00Z..2026-11-21T00:00Z",
        "..",
        "0001-01-01T00:00Z..2026-11-21T00:00Z",
        "x..9999-12-31T23:59:59-10:00",
    ],
)
def test_an_outage_that_cannot_be_is_refused(cli: CommandLine, down: str) -> None:
    refused = cli.refusal("simulate", "--days", "2", "--down", down)
    assert (refused["status"], refused["field"]) == (2, "down")


def test_other_clinics_are_not_told(cli: CommandLine) -> None:
    cli.treat(cli.client())
    cli.document("clinic", "add", "--name", "Southgate", "--timezone", "Europe/Lisbon")
    assert cli.lines("simulate", "--days", "12", "--clinic", "2") == []
    assert len(cli.lines("simulate", "--days", "12", "--clinic", "1")) == 3


def test_a_clinic_that_is_not_complete_holds_everything_in_the_simulation_too(bare: CommandLine) -> None:
    bare("init", "--clinic", "Northgate", "--timezone", "Europe/London")
    bare.treat(bare.client())
    rows = bare.lines("simulate", "--days", "1")
    assert [(row["state"], row["reason"]) for row in rows] == [("held", "render_error")]
