"""Commands of the call list."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine

KEYS = ["id", "clinic_id", "client_id", "email_id", "reason", "level", "phone", "opened_at", "due_at"]
KEYS += ["state", "outcome", "closed_by", "closed_at"]


def test_a_call_line_has_every_key_of_the_interface(either: CommandLine) -> None:
    either.treat(either.client(phone="01632 960 002"), "2026-11-18")
    (call,) = either.lines("calls", "list")
    assert list(call) == KEYS
    assert (call["reason"], call["state"], call["phone"]) == ("registered_late", "open", "01632 960 002")
    assert call["opened_at"] == "2026-11-20T16:00:00Z"


def test_people_see_who_why_and_until_when(cli: CommandLine) -> None:
    cli.treat(cli.client(phone="01632 960 002"), "2026-11-18")
    assert cli("calls", "list").out.splitlines() == [
        "id  until             phone          why                                state  who",
        "1   Fri 20 Nov 18:00  01632 960 002  registered too late for an e-mail  open   Sam Reed (1)",
    ]


def test_closing_needs_an_outcome_and_leaves_a_name(either: CommandLine) -> None:
    either.treat(either.client(), "2026-11-18")
    assert either.refusal("calls", "close", 1)["field"] == "outcome"
    assert either.refusal("calls", "close", 1, "--outcome", "fine")["status"] == 2
    closed = either.document("calls", "close", 1, "--outcome", "reached", "--note", "coming at 4 pm")
    assert list(closed) == KEYS
    assert (closed["state"], closed["outcome"]) == ("closed", "reached")
    assert closed["closed_by"].startswith("cli:")
    assert either.lines("calls", "list", "--state", "open") == []
    refused = either.refusal("calls", "close", 1, "--outcome", "reached")
    assert (refused["status"], refused["code"]) == (1, "not_allowed")


@pytest.mark.parametrize("note", ["a\nb", "x" * 10_000])
def test_a_note_is_one_line_of_fair_length(cli: CommandLine, note: str) -> None:
    cli.treat(cli.client(), "2026-11-18")
    refused = cli.refusal("calls", "close", 1, "--outcome", "reached", "--note", note)
    assert (refused["status"], refused["field"]) == (2, "note")


def test_an_empty_call_list_says_that_this_is_good(cli: CommandLine) -> None:
    answer = cli("calls", "list")
    assert (answer.status, answer.out) == (0, "")
    assert "Nobody needs a call" in answer.err
