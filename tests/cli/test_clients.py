"""Commands about clients."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine


def test_a_client_is_registered_with_consent_attested_now(either: CommandLine) -> None:
    client = either.document(
        "client", "add", "--name", "Sam Reed", "--email", "Sam@EXAMPLE.com", "--phone", "01632 960 002"
    )
    assert client == {
        "id": 1,
        "clinic_id": 1,
        "name": "Sam Reed",
        "email": "Sam@example.com",
        "phone": "01632 960 002",
        "language": "en",
        "client_ref": None,
        "guardian": None,
        "consent_on": "2026-11-20",
        "state": "active",
    }
    assert either.document("client", "show", 1) == client
    assert either.lines("client", "list") == [client]


def test_an_explicit_no_is_recorded_and_nothing_will_be_sent(cli: CommandLine) -> None:
    client = cli.document("client", "add", "--name", "Sam Reed", "--email", "sam@example.com", "--no-consent")
    assert (client["state"], client["consent_on"]) == ("no_consent", None)
    assert {step["state"] for step in cli.treat(client["id"])["plan"]} == {"cancelled"}
    both = cli.refusal(
        "client", "add", "--name", "A B", "--email", "a@example.com", "--no-consent", "--consent-on", "2026-11-01"
    )
    assert both["status"] == 2


@pytest.mark.parametrize(
    ("name", "email", "field"),
    [
        ("Sam Reed", "sam", "email"),
        ("Sam Reed", "sam@example", "email"),
        ("Sam Reed", "sam@example.com, lou@example.com", "email"),
        ("Sam Reed", "sam@example.com\nBcc: x@example.com", "email"),
        ("Sam Reed", "", "email"),
        ("Sam\nReed", "sam@example.com", "name"),
        ("Sam\x1b[2JReed", "sam@example.com", "name"),
        ("=?utf-8?q?Sam?=", "sam@example.com", "name"),
        ("x" * 10_000, "sam@example.com", "name"),
        ("   ", "sam@example.com", "name"),
    ],
)
def test_what_is_no_name_or_address_is_refused_naming_the_field(
    cli: CommandLine, name: str, email: str, field: str
) -> None:
    refused = cli.refusal("client", "add", "--name", name, "--email", email)
    assert (refused["status"], refused["code"], refused["field"]) == (2, "bad_input", field)
    assert refused["next_step"]
    assert cli.lines("client", "list") == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--phone", "call me"),
        ("--language", "english please"),
        ("--consent-on", "2026-11-21"),
        ("--consent-on", "2026-02-30"),
        ("--guardian", "=?utf-8?q?K?="),
    ],
)
def test_every_other_field_is_checked_too(cli: CommandLine, option: str, value: str) -> None:
    refused = cli.refusal("client", "add", "--name", "Sam Reed", "--email", "sam@example.com", option, value)
    assert refused["status"] == 2
    assert refused["field"] is not None


def test_the_same_person_twice_is_refused_with_the_id_of_the_first(either: CommandLine) -> None:
    either.client()
    refused = either.refusal("client", "add", "--name", "SAM  REED", "--email", "SAM@example.com")
    assert refused["status"] == 2
    assert "client 1" in refused["message"]


def test_a_client_of_another_clinic_is_unknown_here(either: CommandLine) -> None:
    either.client()
    either("clinic", "add", "--name", "Southgate", "--timezone", "Europe/Lisbon")
    for words in (
        ("client", "show", "1"),
        ("client", "set", "1", "name=X Y"),
        ("client", "stop", "1"),
        ("client", "erase", "1"),
        ("client", "export", "1"),
        ("treatment", "list", "--client", "1"),
        ("treatment", "add", "--client", "1", "--protocol", "scalp-tattoo", "--on", "2026-11-20"),
        ("outbox", "--client", "1"),
        ("preview", "scalp-tattoo", "day-01", "--client", "1"),
    ):
        refused = either.refusal(*words, "--clinic", "2")
        assert (refused["status"], refused["code"]) == (1, "not_found"), words
        assert refused["message"] == "this clinic has no client 1"
    assert either.document("client", "show", 1, "--clinic", 1)["state"] == "active"


def test_fields_are_changed_and_an_unknown_one_is_named(cli: CommandLine) -> None:
    client = cli.client()
    changed = cli.document("client", "set", client, "email=sam@example.org", "phone=01632 960 003", "client_ref=A-7")
    assert (changed["email"], changed["phone"], changed["client_ref"]) == ("sam@example.org", "01632 960 003", "A-7")
    refused = cli.refusal("client", "set", client, "birthday=1990-01-01")
    assert (refused["status"], refused["field"]) == (2, "birthday")


def test_stop_and_erase_end_what_is_planned_and_pause_holds_it(cli: CommandLine) -> None:
    client = cli.client()
    cli.treat(client)

    def states() -> set[str]:
        return {row["state"] for row in cli.lines("outbox")}

    assert cli.document("client", "pause", client)["state"] == "paused"
    assert states() == {"held"}
    assert cli.document("client", "resume", client)["state"] == "active"
    assert states() == {"planned"}
    assert cli.document("client", "stop", client)["state"] == "stopped"
    assert states() == {"cancelled"}
    assert cli.document("client", "unstop", client)["state"] == "active"
    assert cli.document("client", "erase", client)["name"] == "erased-1"


def test_people_read_sentences_on_standard_error_and_data_on_standard_output(cli: CommandLine) -> None:
    assert "aftercare client add" in cli("client", "list").err
    answer = cli("client", "add", "--name", "Sam Reed", "--email", "sam@example.com")
    assert answer.err == ""
    assert "Sam Reed" in answer.out
    assert cli("client", "stop", "1").out == ""
    assert cli("client", "list").out.splitlines() == [
        "id  state    phone  e-mail           name",
        "1   stopped         sam@example.com  Sam Reed",
    ]


def test_an_export_holds_everything_about_one_client_and_nobody_else(cli: CommandLine) -> None:
    client, other = cli.client(), cli.client("Lou Day")
    cli.treat(client, "2026-11-15")
    cli.treat(other)
    export = cli("client", "export", client).document
    assert set(export) == {"client", "treatments", "emails", "calls", "check_ins"}
    assert export["client"]["email"] == "sam@example.com"
    assert len(export["treatments"]) == 1
    assert [row["step"] for row in export["emails"]] == ["day-01", "day-03", "day-10"]
    assert [row["reason"] for row in export["calls"]] == ["registered_late"]
    assert "Lou" not in str(export)


def test_each_look_at_a_record_leaves_its_line_in_the_audit(either: CommandLine) -> None:
    """As at the desk: one an hour for who opens it, one for every copy that is taken."""

    def looks() -> list[tuple[str, str]]:
        lines = either.lines("audit")
        assert all(line["actor"].startswith("cli:") for line in lines)
        return [(line["action"], line["subject"]) for line in lines if line["action"] in looked]

    looked = ("client opened", "client exported")
    first, second = either.client(), either.client("Lou Day")
    either.treat(second)
    either("client", "show", first)
    either("client", "show", first)
    assert looks() == [("client opened", f"client {first}")]
    either("preview", "scalp-micropigmentation", "day-03", "--client", second)
    assert looks()[-1] == ("client opened", f"client {second}")
    either("client", "export", first)
    assert looks()[-1] == ("client exported", f"client {first}")
    either.refusal("client", "show", 99)
    either.refusal("client", "export", 99)
    either.refusal("preview", "scalp-micropigmentation", "day-03", "--client", 99)
    assert len(looks()) == 3
    assert either.document("audit", "--verify")["ok"]


def test_a_hello_is_planned_at_once_when_asked_for_and_never_for_who_said_no(cli: CommandLine) -> None:
    cli.document("client", "add", "--name", "Sam Reed", "--email", "sam@example.com", "--hello")
    assert [(row["kind"], row["state"]) for row in cli.lines("outbox")] == [("hello", "planned")]
    refused = cli.refusal("client", "add", "--name", "A B", "--email", "a@example.com", "--no-consent", "--hello")
    assert refused["field"] == "hello"
    assert len(cli.lines("client", "list")) == 1
