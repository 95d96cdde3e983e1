"""Commands about clinics and staff."""

from __future__ import annotations

import re

import pytest

from service.actions import sign_in
from service.settings import read_settings
from service.store import staff
from service.wiring import open_service
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


STEP = ("clinic", "step", "--protocol", "scalp-micropigmentation", "--step", "day-03")


def test_one_step_gets_a_day_and_hour_of_its_own_and_gives_them_back(either: CommandLine) -> None:
    either.treat(either.client())
    said = either.document(*STEP, "--day", 4, "--send-at", "09:15")
    assert said == {
        "protocol": "scalp-micropigmentation",
        "step": "day-03",
        "own": True,
        "day": 4,
        "send_at": "09:15",
        "useful_until_day": 4,
        "useful_until_at": "12:00",
    }
    assert {row["due_at"][11:] for row in either.lines("outbox")} == {"10:00:00Z"}
    later = either.treat(either.client("Lou Day"))
    assert [step["due_at"][5:16] for step in later["plan"]] == ["11-21T10:00", "11-24T09:15", "11-30T10:00"]
    assert either.document(*STEP) == said
    shorter = either.document(*STEP, "--useful-until-at", "11:00")
    assert (shorter["day"], shorter["send_at"], shorter["useful_until_at"]) == (4, "09:15", "11:00")
    told = either(*STEP, "--send-at", "09:30").err
    assert "day 4 at 09:30, useful until day 4 11:00" in told
    assert "The protocol says: day 3 at 10:00, useful until day 4 12:00." in told
    assert either.document(*STEP, "--reset")["own"] is False
    assert "as the protocol says" in either(*STEP, "--day", "").err


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--day", 5, "--send-at", "09:00"), "day"),
        (("--day", "soon"), "day"),
        (("--send-at", "9 am"), "send_at"),
        (("--useful-until-day", 5), "useful_until_day"),
        (("--useful-until-at", "12:01"), "useful_until_at"),
        (("--reset", "--day", 4), "reset"),
        (("--step", "day-02", "--day", 2), "step"),
    ],
)
def test_a_step_that_the_words_do_not_allow_is_refused(cli: CommandLine, options: tuple[str, ...], field: str) -> None:
    refused = cli.refusal(*STEP, *options)
    assert (refused["status"], refused["field"]) == (2, field)
    assert refused["next_step"]


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
    assert "/welcome/" in lee["sign_in_link"]
    assert [row["email"] for row in either.lines("staff", "list")] == ["dr.lee@example.com"]
    assert either.document("staff", "disable", 1) == {"id": 1, "disabled": True}
    assert "Fri 20 Nov 16:00" in either("staff", "list").out
    assert either.refusal("staff", "disable", 1)["code"] == "not_found"
    assert either.refusal("staff", "link", 1)["code"] == "not_allowed"
    assert either.document("staff", "enable", 1) == {"id": 1, "disabled": False}
    assert either.document("staff", "link", 1)["id"] == 1


def test_no_list_of_staff_tells_a_password_or_a_secret(cli: CommandLine) -> None:
    added = cli.document("staff", "add", "--email", "lee@example.com", "--name", "Dr Lee", "--role", "owner")
    (listed,) = cli.lines("staff", "list")
    public = {
        "id",
        "clinic_id",
        "email",
        "name",
        "role",
        "created_at",
        "disabled_at",
        "has_password",
        "has_code",
        "sessions",
    }
    assert (set(listed), set(added)) == (public, public | {"sign_in_link"})


def test_a_staff_member_gets_a_new_link_by_number_or_address(cli: CommandLine) -> None:
    cli.document("staff", "add", "--email", "Lee@example.com", "--name", "Dr Lee", "--role", "clinician")
    for named in ("1", "lee@EXAMPLE.com"):
        answer = cli("staff", "link", named, public_url="https://desk.northgate.org")
        assert answer.status == 0
        assert re.fullmatch(r"https://desk\.northgate\.org/welcome/[\w-]{43}\n", answer.out)
    for named in ("2", "bo@example.com", "x" * 500, "É\u202e"):
        refused = cli.refusal("staff", "link", named)
        assert (refused["status"], refused["code"], refused["field"]) == (1, "not_found", "person")


def test_the_only_owner_who_lost_their_phone_gets_in_again_from_the_command_line(cli: CommandLine) -> None:
    link = cli.document("staff", "add", "--email", "lee@example.com", "--name", "Lee", "--role", "owner")[
        "sign_in_link"
    ]
    with open_service(read_settings()) as service:
        sign_in.choose_password(service.store, link.rpartition("/")[2], "violet anchor biscuit moon", service.now())
        with service.store.write() as connection:
            staff.change(connection, 1, code_secret="sealed")
    assert cli.lines("staff", "list")[0]["has_code"]
    assert cli.refusal("staff", "disable", 1)["code"] == "not_allowed"
    assert cli.document("staff", "link", 1, "--remove-code")["sign_in_link"]
    told = cli.lines("staff", "list")[0]
    assert (told["has_code"], told["has_password"], told["sessions"]) == (False, True, 0)


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


def test_closed_days_are_set_by_an_option_and_taken_back(either: CommandLine) -> None:
    shown = either.document(
        "clinic", "set", "--closed-days", "2027-01-01 2026-12-25..2026-12-26", "phone=01632 960 007"
    )
    assert shown["closed_days"] == "2026-12-25..2026-12-26\n2027-01-01"
    assert shown["phone"] == "01632 960 007"
    assert either.document("clinic", "show")["closed_days"] == shown["closed_days"]
    refused = either.refusal("clinic", "set", "--closed-days", "2026-12-26..2026-12-25")
    assert (refused["field"], refused["status"]) == ("closed_days", 2)
    assert either.document("clinic", "set", "--closed-days", "")["closed_days"] == ""


def test_setting_nothing_is_refused(cli: CommandLine) -> None:
    assert cli("clinic", "set").status == 2
