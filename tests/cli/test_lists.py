"""Lists of what goes out and went out."""

from __future__ import annotations

from service.store.lists import ATTEMPT_COLUMNS, OUTBOX_COLUMNS
from tests.support.command_line import CommandLine

OUTBOX = """id, clinic_id, client_id, treatment_id, kind, protocol, step, language, state, reason, due_at, useful_until,
not_before, replaced_at, doubt_since, attempts, doubt_retries, message_id, text_version, sent_at, last_code,
last_enhanced, last_stage, bounced_at, bounce_class"""
ATTEMPT = "email_id, worker, token, claimed_at, marked_at, stage, code, enhanced, reply, ended_at, outcome"


def columns(told: str) -> list[str]:
    return told.replace("\n", " ").split(", ")


def test_an_outbox_line_has_every_column_of_the_interface(either: CommandLine) -> None:
    either.treat(either.client())
    either.document("tick", "--now", "2026-11-21T10:00:30Z")
    rows = either.lines("outbox")
    assert [list(row) for row in rows] == [columns(OUTBOX)] * 3 == [list(OUTBOX_COLUMNS)] * 3
    first = rows[0]
    assert (first["state"], first["sent_at"], first["last_code"]) == ("sent", "2026-11-21T10:00:30Z", 250)
    assert (first["due_at"], first["not_before"]) == ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z")
    assert first["useful_until"] == "2026-11-22T12:00:00Z"
    assert first["message_id"].startswith("<")


def test_an_attempt_line_has_every_column_of_the_interface(either: CommandLine) -> None:
    either.treat(either.client())
    either.document("tick", "--now", "2026-11-21T10:00:00Z")
    (attempt,) = either.lines("attempts", "--email", "1")
    assert list(attempt) == columns(ATTEMPT) == list(ATTEMPT_COLUMNS)
    assert (attempt["outcome"], attempt["code"], attempt["marked_at"]) == ("sent", 250, "2026-11-21T10:00:00Z")
    assert either.lines("attempts", "--email", "2") == []
    table = either("attempts").out.splitlines()
    assert table[0].split() == ["e-mail", "ended", "outcome", "stage", "reply"]
    assert table[1].startswith("1       Sat 21 Nov 10:00  sent     message  250 2.0.0")


def test_the_outbox_is_filtered_and_ordered_by_due_time_and_id(cli: CommandLine) -> None:
    first, second = cli.client(), cli.client("Lou Day")
    cli.treat(first)
    cli.treat(second, "2026-11-18")
    rows = cli.lines("outbox")
    assert [(row["due_at"], row["id"]) for row in rows] == sorted((row["due_at"], row["id"]) for row in rows)
    assert {row["client_id"] for row in cli.lines("outbox", "--client", first)} == {first}
    assert [row["reason"] for row in cli.lines("outbox", "--state", "missed")] == ["registered_late"]
    assert [row["step"] for row in cli.lines("outbox", "--due-before", "2026-11-20T00:00:00Z")] == ["day-01"]
    assert len(cli.lines("outbox", "--limit", "2")) == 2


def test_people_read_local_times_and_reasons_without_codes_in_80_columns(cli: CommandLine) -> None:
    cli.treat(cli.client(), "2026-11-18")
    lines = cli("outbox").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines == [
        "id  client  step    due               state    why",
        "1   1       day-01  Thu 19 Nov 10:00  missed   registered too late for it",
        "2   1       day-03  Sat 21 Nov 10:00  planned",
        "3   1       day-10  Sat 28 Nov 10:00  planned",
    ]


def test_a_wrong_filter_is_bad_usage(cli: CommandLine) -> None:
    refused = cli.refusal("outbox", "--state", "delivered")
    assert (refused["status"], refused["field"]) == (2, "state")
    assert "unconfirmed" in refused["next_step"]
    for instant in ("2026-11-20", "9999-12-31T23:59:59-10:00", "soon"):
        refused = cli.refusal("outbox", "--due-before", instant)
        assert (refused["status"], refused["field"]) == (2, "due_before")


def test_the_forecast_tells_what_goes_out_by_local_date(either: CommandLine) -> None:
    either.treat(either.client())
    rows = either.lines("forecast", "--days", "7")
    assert [list(row) for row in rows] == [
        ["date", "clinic_id", "client_id", "protocol", "step", "due_at", "state"]
    ] * 2
    assert [(row["date"], row["step"]) for row in rows] == [("2026-11-21", "day-01"), ("2026-11-23", "day-03")]
    assert "Sat 21 Nov 10:00" in either("forecast").out
    assert either.refusal("forecast", "--days", "0")["field"] == "days"


def test_a_late_row_is_forecast_for_today_in_the_clinics_zone(cli: CommandLine) -> None:
    cli.document("clinic", "set", "timezone=Pacific/Auckland")
    cli.treat(cli.client(), "2026-11-20", "--now", "2026-11-21T12:30:00Z")
    row = cli.lines("forecast", "--now", "2026-11-21T12:30:00Z")[0]
    assert (row["date"], row["due_at"]) == ("2026-11-22", "2026-11-20T21:00:00Z")


def test_the_forecast_is_what_the_relay_gets(cli: CommandLine) -> None:
    for name in ("Sam Reed", "Lou Day", "Kim Ash"):
        cli.treat(cli.client(name))
    forecast = len(cli.lines("forecast", "--days", "7"))
    sent = sum(
        cli.document("tick", "--until-idle", "--now", f"2026-11-{day}T15:00:00Z")["sent"] for day in range(21, 28)
    )
    assert sent == forecast == 6


def test_lists_with_nothing_in_them_are_no_error_and_teach(either: CommandLine) -> None:
    for words, teaching in ((("outbox",), "treatment"), (("attempts",), "aftercare serve"), (("forecast",), "outbox")):
        assert either.lines(*words) == []
        answer = either(*words)
        assert (answer.status, answer.out) == (0, "")
        assert teaching in answer.err
