"""The command `preview`."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from tests.support.command_line import SMP, CommandLine


def test_a_sample_needs_no_database_and_leaves_nothing_behind(bare: CommandLine) -> None:
    answer = bare("preview", SMP, "day-03")
    assert (answer.status, answer.err) == (0, "")
    assert "Northgate" in answer.out
    assert "Monday 23 November" in answer.out
    assert list(bare.folder.iterdir()) == []


def test_every_format_shows_the_same_mail(bare: CommandLine) -> None:
    parts = bare.document("preview", SMP, "day-01")
    assert set(parts) == {"subject", "text", "html"}
    assert bare("preview", SMP, "day-01", "--format", "text").out == parts["text"]
    assert bare("preview", SMP, "day-01", "--format", "html").out == parts["html"]
    eml = email.message_from_string(bare("preview", SMP, "day-01", "--format", "eml").out, policy=email.policy.default)
    assert eml["Subject"] == parts["subject"]
    assert bare("texts", "preview", SMP, "day-01").out == parts["text"]


@pytest.mark.parametrize("step", ["day-01", "day-03", "day-10", "catch-up", "catch-up-05", "catch-up-14"])
def test_every_step_and_catch_up_has_a_preview(bare: CommandLine, step: str) -> None:
    assert bare("preview", SMP, step).status == 0


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("botox", "day-01"), "protocol"),
        ((SMP, "day-02"), "step"),
        ((SMP, "catch-up-99"), "step"),
        ((SMP, "today-61"), "step"),
        ((SMP, "today-" + "9" * 5000), "step"),
        ((SMP, "today-06", "--language", "tlh"), "language"),
        ((SMP, "catch-up-" + "9" * 5000), "step"),
        ((SMP, "day-01", "--language", "tlh"), "language"),
        ((SMP, "day-01", "--format", "pdf"), "format"),
    ],
)
def test_what_is_not_there_is_told(bare: CommandLine, words: tuple[str, ...], field: str) -> None:
    refused = bare.refusal("preview", *words)
    assert refused["status"] in (1, 2)
    assert refused["field"] == field


@pytest.mark.parametrize("step", ["today-00", "today-06", "today-15", "today-60"])
def test_the_page_of_a_day_has_a_preview_in_text_and_html(bare: CommandLine, step: str) -> None:
    parts = bare.document("preview", SMP, step)
    assert set(parts) == {"subject", "text", "html"}
    assert bare("preview", SMP, step, "--format", "text").out == parts["text"]
    assert bare("preview", SMP, step, "--format", "html").out == parts["html"]
    assert "URGENT: call us or a doctor today if:" in parts["text"]
    assert '<html lang="en" dir="ltr">' in parts["html"]


def test_a_page_cannot_be_printed_as_an_e_mail(bare: CommandLine) -> None:
    answer = bare("preview", SMP, "today-06", "--format", "eml")
    assert (answer.status, answer.out) == (2, "")
    assert "this is a page" in answer.err


def test_a_clients_page_is_previewed_with_the_clinics_numbers_and_no_name(either: CommandLine) -> None:
    client = either.client("Joanna Bird")
    either.treat(client)
    either.document("clinic", "set", "phone=01632 960 777")
    text = either.document("preview", SMP, "today-06", "--client", client)["text"]
    assert "01632 960 777" in text
    assert "Thursday 26 November" in text
    assert "Joanna" not in text
    refused = either.refusal("preview", SMP, "today-06", "--client", client, mode="live", now="")
    assert (refused["code"], refused["field"]) == ("not_found", "text")


def test_a_clients_preview_greets_by_name_and_uses_the_clinics_numbers(either: CommandLine) -> None:
    client = either.client("Joanna Bird")
    either.treat(client)
    either.document("clinic", "set", "phone=01632 960 777")
    text = either.document("preview", SMP, "day-10", "--client", client)["text"]
    assert "Joanna" in text
    assert "01632 960 777" in text
    assert "Monday 30 November" in text


def test_a_client_without_that_treatment_has_no_preview(cli: CommandLine) -> None:
    client = cli.client()
    refused = cli.refusal("preview", SMP, "day-01", "--client", client)
    assert (refused["status"], refused["field"]) == (2, "client")
    cli.treat(client)
    cli.document("client", "erase", client)
    assert cli.refusal("preview", SMP, "day-01", "--client", client)["code"] == "not_found"


def test_a_clinic_that_is_not_complete_is_told_what_it_lacks(bare: CommandLine) -> None:
    bare("init", "--clinic", "Northgate", "--timezone", "Europe/London")
    client = bare.client()
    bare.treat(client)
    refused = bare.refusal("preview", SMP, "day-01", "--client", client)
    assert (refused["status"], refused["code"]) == (1, "not_allowed")
    assert "reply_to" in refused["message"]


def test_in_live_mode_only_an_approved_text_is_previewed(cli: CommandLine, tmp_path: Path) -> None:
    client = cli.client()
    cli.treat(client)
    refused = cli.refusal("preview", SMP, "day-01", "--client", client, mode="live", now="")
    assert (refused["code"], refused["field"]) == ("not_found", "text")
