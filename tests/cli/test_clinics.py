"""Commands about clinics and staff."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine


def test_a_clinic_shows_every_field_and_what_is_missing(either: CommandLine) -> None:
    shown = either.document("clinic", "show")
    assert shown["timezone"] == "Europe/London"
    assert shown["send_at"] == "10:00"
    assert shown["missing"] == []
    assert either.document("clinic", "set", "hours=")["missing"] == ["hours"]
    assert "Missing before live mode: hours." in either("clinic", "show").err


@pytest.mark.parametrize(
    ("pair", "field"),
    [
        ("timezone=Europe/Londom", "timezone"),
        ("timezone=../etc/passwd", "timezone"),
        ("timezone=", "timezone"),
        ("send_at=25:00", "send_at"),
        ("send_at=10am", "send_at"),
        ("reply_to=desk", "reply_to"),
        ("from_address=a@b", "from_address"),
        ("phone=none", "phone"),
        ("emergency_number=dial", "emergency_number"),
        ("hours=always", "hours"),
        ("language=english please", "language"),
        ("name=", "name"),
        ("name=" + "x" * 10_000, "name"),
        ("sender_name=A\nB", "sender_name"),
        ("sender_name==?utf-8?q?x?=", "sender_name"),
        ("id=7", "id"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_field_and_the_fix(cli: CommandLine, pair: str, field: str) -> None:
    before = cli.document("clinic", "show")
    refused = cli.refusal("clinic", "set", pair)
    assert (refused["status"], refused["code"], refused["field"]) == (2, "bad_input", field)
    assert refused["next_step"]
    assert cli.document("clinic", "show") == before


def test_a_new_hour_holds_for_new_plans_only(cli: CommandLine) -> None:
    cli.treat(cli.client())
    cli.document("clinic", "set", "send_at=18:15")
    assert {row["due_at"][11:] for row in cli.lines("outbox")} == {"10:00:00Z"}
    later = cli.treat(cli.client("Lou Day"))
    assert {step["due_at"][11:] for step in later["plan"]} == {"18:15:00Z"}


def test_a_second_clinic_has_its_own_zone_and_texts(either: CommandLine) -> None:
    added = either.document("clinic", "add", "--name", "Southgate", "--timezone", "Australia/Perth")
    assert added["id"] == 2
    assert "phone" in added["missing"]
    assert [row["name"] for row in either.lines("clinic", "list")] == ["Northgate Clinic", "Southgate"]
    assert either.lines("texts", "list", "--clinic", 2)


def test_two_clinics_of_one_name_could_not_be_told_apart(cli: CommandLine) -> None:
    refused = cli.refusal("clinic", "add", "--name", "Northgate Clinic", "--timezone", "Europe/Lisbon")
    assert (refused["status"], refused["field"]) == (2, "name")
    cli.document("clinic", "add", "--name", "Southgate", "--timezone", "Europe/Lisbon")
    assert cli.refusal("clinic", "set", "name=Southgate", "--clinic", 1)["field"] == "name"
    assert cli.document("clinic", "set", "name=Southgate", "--clinic", 2)["name"] == "Southgate"


def test_staff_are_added_listed_and_disabled(either: CommandLine) -> None:
    lee = either.document("staff", "add", "--email", "dr.lee@example.com", "--name", "Dr Lee", "--role", "clinician")
    assert (lee["id"], lee["clinic_id"], lee["role"]) == (1, 1, "clinician")
    assert [row["email"] for row in either.lines("staff", "list")] == ["dr.lee@example.com"]
    assert either.document("staff", "disable", 1) == {"id": 1, "disabled": True}
    assert "Fri 20 Nov 16:00" in either("staff", "list").out
    assert either.refusal("staff", "disable", 1)["code"] == "not_found"


@pytest.mark.parametrize(
    ("email", "name", "role", "field"),
    [
        ("lee", "Dr Lee", "clinician", "email"),
        ("lee@example.com", "", "clinician", "name"),
        ("lee@example.com", "Dr\x07Lee", "clinician", "name"),
        ("lee@example.com", "Dr Lee", "doctor", "role"),
    ],
)
def test_a_wrong_staff_member_is_refused(cli: CommandLine, email: str, name: str, role: str, field: str) -> None:
    refused = cli.refusal("staff", "add", "--email", email, "--name", name, "--role", role)
    assert (refused["status"], refused["field"]) == (2, field)


def test_one_address_is_one_staff_member_in_whatever_case(cli: CommandLine) -> None:
    cli.document("staff", "add", "--email", "lee@example.com", "--name", "Dr Lee", "--role", "owner")
    refused = cli.refusal("staff", "add", "--email", "Lee@Example.com", "--name", "Lee", "--role", "ops")
    assert (refused["status"], refused["field"]) == (2, "email")
