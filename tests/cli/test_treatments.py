"""Commands about treatments."""

from __future__ import annotations

import pytest

from tests.support.command_line import SMP, CommandLine


def test_a_treatment_answers_its_plan_read_back_from_the_rows(either: CommandLine) -> None:
    planned = either.treat(either.client())
    assert planned == {
        "treatment_id": 1,
        "plan": [
            {
                "step": step,
                "day": day,
                "due_at": f"{due}T10:00:00Z",
                "useful_until": until,
                "state": "planned",
                "reason": None,
            }
            for step, day, due, until in [
                ("day-01", 1, "2026-11-21", "2026-11-22T12:00:00Z"),
                ("day-03", 3, "2026-11-23", "2026-11-24T12:00:00Z"),
                ("day-10", 10, "2026-11-30", "2026-12-01T20:00:00Z"),
            ]
        ],
    }


def test_people_see_weekdays_in_the_clinics_zone_and_reasons_without_codes(cli: CommandLine) -> None:
    cli.client()
    answer = cli("treatment", "add", "--client", "1", "--protocol", SMP, "--on", "2026-11-18")
    assert answer.out.splitlines() == [
        "step    goes out          state    why",
        "day-01  Thu 19 Nov 10:00  missed   registered too late for it",
        "day-03  Sat 21 Nov 10:00  planned",
        "day-10  Sat 28 Nov 10:00  planned",
    ]
    assert answer.err == "Treatment 1, times in Europe/London:\n"


def test_the_same_treatment_twice_changes_nothing_and_says_so(either: CommandLine) -> None:
    client = either.client()
    first = either.treat(client)
    again = either("treatment", "add", "--client", client, "--protocol", SMP, "--on", "2026-11-20", "--json")
    assert again.document == first
    assert "nothing was changed" in again.err
    assert len(either.lines("outbox")) == 3


def test_a_treatment_type_without_a_protocol_is_never_registered_silently(cli: CommandLine) -> None:
    cli.client()
    refused = cli.refusal("treatment", "add", "--client", "1", "--protocol", "botox", "--on", "2026-11-20")
    assert (refused["status"], refused["field"]) == (2, "protocol")
    assert "'botox'" in refused["message"]
    assert SMP in refused["next_step"]
    assert cli.lines("treatment", "list") == []


def test_a_protocol_is_known_by_its_title_too(cli: CommandLine) -> None:
    cli.client()
    title = cli.document("protocols", "show", SMP)["title"]
    words = ("treatment", "add", "--client", "1", "--protocol", title.upper(), "--on", "2026-11-20")
    assert cli.document(*words)["treatment_id"] == 1


@pytest.mark.parametrize(
    ("on", "at", "field"), [("2026-11-21", "", "on"), ("1960-01-01", "", "on"), ("2026-11-20", "25:00", "at")]
)
def test_a_day_or_hour_that_cannot_be_is_refused(cli: CommandLine, on: str, at: str, field: str) -> None:
    cli.client()
    refused = cli.refusal("treatment", "add", "--client", "1", "--protocol", SMP, "--on", on, "--at", at)
    assert (refused["status"], refused["field"]) == (2, field)


def test_a_corrected_day_plans_anew_and_says_which_steps_were_kept(either: CommandLine) -> None:
    treatment = either.treat(either.client(), "2026-11-20", "--at", "14:30")["treatment_id"]
    moved = either.document("treatment", "correct", treatment, "--on", "2026-11-19")
    assert set(moved) == {"treatment_id", "plan", "kept"}
    assert [step["due_at"] for step in moved["plan"]] == [f"2026-11-{day}T10:00:00Z" for day in (20, 22, 29)]
    assert moved["kept"] == []
    assert either.lines("treatment", "list")[0]["treated_at"] == "14:30"
    either.document("tick", "--now", "2026-11-20T16:30:00Z")
    same = either("treatment", "correct", treatment, "--on", "2026-11-18", "--now", "2026-11-20T17:00:00Z")
    assert "day-01" in same.err


def test_a_cancelled_treatment_sends_nothing_more(cli: CommandLine) -> None:
    treatment = cli.treat(cli.client())["treatment_id"]
    cancelled = cli.document("treatment", "cancel", treatment)
    assert {(step["state"], step["reason"]) for step in cancelled["plan"]} == {("cancelled", "cancelled")}
    refused = cli.refusal("treatment", "cancel", treatment)
    assert (refused["status"], refused["code"]) == (1, "not_allowed")
    assert "cancelled" in cli("treatment", "list").out


def test_a_list_without_treatments_teaches_how_to_add_one(cli: CommandLine) -> None:
    answer = cli("treatment", "list")
    assert (answer.status, answer.out) == (0, "")
    assert "aftercare treatment add --client" in answer.err


def test_the_lot_and_the_note_are_kept_shown_and_changed(either: CommandLine) -> None:
    client = either.client()
    treatment = either.treat(client, "2026-11-20", "--lot", "B-2291", "--note", "thin skin")["treatment_id"]
    shown = either.document("treatment", "show", treatment)
    assert shown == {
        "id": 1,
        "clinic_id": 1,
        "client_id": client,
        "protocol": SMP,
        "treated_on": "2026-11-20",
        "treated_at": "",
        "cancelled_at": None,
        "lot": "B-2291",
        "note": "thin skin",
    }
    assert either.lines("treatment", "list") == [shown]
    assert either.document("treatment", "set", treatment, "note=") == shown | {"note": ""}
    assert either.document("client", "export", client)["treatments"][0]["lot"] == "B-2291"
    assert "B-2291" in either("treatment", "show", treatment).out


@pytest.mark.parametrize(("pair", "field"), [("lot=" + "x" * 61, "lot"), ("on=2026-11-01", "on"), ("note", "note")])
def test_what_cannot_be_noted_is_refused_naming_the_field(cli: CommandLine, pair: str, field: str) -> None:
    cli.treat(cli.client(), "2026-11-20", "--lot", "B-2291")
    refused = cli.refusal("treatment", "set", 1, pair)
    assert (refused["status"], refused["field"]) == (2, field)
    assert cli.document("treatment", "show", 1)["lot"] == "B-2291"
    assert cli.refusal("treatment", "show", 9)["code"] == "not_found"
