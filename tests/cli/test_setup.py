"""Commands that set up: init, config, completion."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from service.actions.sign_in import choose_password
from service.cli import COMMANDS
from service.settings import Settings, read_settings
from service.wiring import open_service
from tests.support.command_line import NORTHGATE, CommandLine

ROOT = Path(__file__).parents[2]


def test_init_makes_the_database_the_clinic_the_owner_and_the_drafts(bare: CommandLine) -> None:
    made = bare.document("init", *NORTHGATE, "--owner", "owner@example.com")
    assert re.fullmatch(r"http://127\.0\.0\.1:8025/welcome/[\w-]{43}", made.pop("sign_in_link"))
    assert made == {"clinic_id": 1, "missing": []}
    assert [(row["email"], row["role"]) for row in bare.lines("staff", "list")] == [("owner@example.com", "owner")]
    assert {row["state"] for row in bare.lines("texts", "list")} == {"draft"}
    assert (bare.folder / "data" / "secret.key").stat().st_mode & 0o077 == 0


def test_init_twice_is_harmless(either: CommandLine) -> None:
    before = either.document("clinic", "show"), either.lines("texts", "list")
    for words in (("init",), ("init", *NORTHGATE), ("init", *NORTHGATE, "--owner", "o@example.com")) * 2:
        assert either.document(*words)["clinic_id"] == 1
    assert (either.document("clinic", "show"), either.lines("texts", "list")) == before
    assert len(either.lines("staff", "list")) == 1


def test_inits_link_stands_alone_on_standard_output_and_is_made_until_the_owner_has_a_password(
    bare: CommandLine,
) -> None:
    owner = ("--owner", "owner@example.com")
    first = bare("init", *NORTHGATE, *owner, public_url="https://desk.northgate.org")
    (link,) = first.out.splitlines()
    assert link.startswith("https://desk.northgate.org/welcome/")
    assert "opens once" in first.err
    token = bare.document("init", *owner)["sign_in_link"].rpartition("/")[2]
    with open_service(read_settings()) as service:
        now = service.now()
        assert choose_password(service.store, link.rpartition("/")[2], "violet anchor biscuit moon", now) is None
        assert choose_password(service.store, token, "violet anchor biscuit moon", now) is not None
    assert bare.document("init", *owner)["sign_in_link"] is None
    assert bare.document("init")["sign_in_link"] is None


def test_init_with_a_changed_option_changes_that_and_nothing_else(cli: CommandLine) -> None:
    before = cli.document("clinic", "show")
    cli.document("init", "--clinic", "Northgate Clinic", "--phone", "01632 960 009")
    assert cli.document("clinic", "show") == before | {"phone": "01632 960 009"}
    cli.document("init", "--send-at", "09:00")
    assert cli.document("clinic", "show")["send_at"] == "09:00"


def test_init_says_what_is_missing_before_live_mode(bare: CommandLine) -> None:
    missing = bare.document("init", "--clinic", "Northgate", "--timezone", "Europe/London")["missing"]
    assert missing == [
        f"clinic 1: {name}"
        for name in ("sender_name", "reply_to", "phone", "hours", "emergency_number", "urgent_line_name")
    ]
    assert bare.document("init")["missing"] == missing


def test_init_alone_makes_a_database_and_says_that_a_clinic_is_missing(bare: CommandLine) -> None:
    made = bare.document("init")
    assert made["clinic_id"] is None
    assert "aftercare init --clinic" in made["missing"][0]
    assert bare.refusal("init", "--phone", "01632 960 001")["field"] == "clinic"


def test_init_never_makes_a_second_clinic_by_a_typo(cli: CommandLine) -> None:
    refused = cli.refusal("init", "--clinic", "Nortgate Clinic", "--timezone", "Europe/London")
    assert (refused["status"], refused["field"]) == (2, "clinic")
    assert len(cli.lines("clinic", "list")) == 1


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--clinic", "Northgate"), "timezone"),
        (("--clinic", "Northgate", "--timezone", "Mars/Base"), "timezone"),
        (("--clinic", "Northgate", "--timezone", "Europe/London", "--reply-to", "desk"), "reply_to"),
        (("--clinic", "Northgate", "--timezone", "Europe/London", "--owner", "me"), "owner"),
    ],
)
def test_init_with_a_wrong_value_makes_no_clinic(bare: CommandLine, words: tuple[str, ...], field: str) -> None:
    refused = bare.refusal("init", *words)
    assert (refused["status"], refused["field"]) == (2, field)
    assert bare.lines("clinic", "list") == []


def test_init_logs_nothing_to_read_past(bare: CommandLine) -> None:
    answer = bare("init", *NORTHGATE)
    assert answer.out == ""
    assert answer.err.splitlines() == ["The database is ready.", "Clinic 1: Northgate Clinic, Europe/London."]


def test_config_show_lists_every_setting_and_masks_every_secret(bare: CommandLine) -> None:
    secrets = {
        "relay_password": "hunter2",
        "secret_key": "hunter3" * 6,
        "database_url": "postgresql://desk:hunter4@h/x?application_name=hunter5",
    }
    answer = bare("config", "show", "--json", **secrets)
    assert [row["setting"] for row in answer.lines] == [f"AFTERCARE_{name.upper()}" for name in Settings.model_fields]
    assert {frozenset(row) for row in answer.lines} == {frozenset(("setting", "value", "default", "unit", "meaning"))}
    assert "hunter" not in answer.out + answer.err
    assert "postgresql://desk:***@h/x" in answer.out
    assert "hunter" not in bare("config", "show", **secrets).out


def test_config_show_helps_when_a_setting_is_wrong(bare: CommandLine) -> None:
    answer = bare("config", "show", relay_prot="25")
    assert answer.status == 2
    assert "Did you mean AFTERCARE_RELAY_PORT?" in answer.err
    assert "AFTERCARE_RELAY_PORT" in answer.out
    assert bare.refusal("config", "show", relay_prot="25")["field"] == "AFTERCARE_RELAY_PROT"


def test_config_check_reads_settings_database_key_and_address(cli: CommandLine) -> None:
    assert cli.document("config", "check") == {"ok": True, "missing": []}
    assert cli.refusal("config", "check", bind="0.0.0.0:80")["field"] == "AFTERCARE_BIND"
    assert cli.refusal("config", "check", bind="nonsense")["field"] == "AFTERCARE_BIND"
    public = {"bind": "0.0.0.0:80", "public_url": "https://desk.northgate.org"}
    assert cli.refusal("config", "check", **public)["field"] == "AFTERCARE_TRUST_PROXY"
    assert cli.refusal("config", "check", bind="0.0.0.0:80", trust_proxy="10.0.0.2")["field"] == "AFTERCARE_BIND"
    assert cli.document("config", "check", **public, trust_proxy="10.0.0.2, 10.0.1.0/24")["ok"]
    assert cli.refusal("config", "check", secret_key="short")["field"] == "AFTERCARE_SECRET_KEY"
    assert cli.refusal("config", "check", doubt_retries="7")["field"] == "AFTERCARE_DOUBT_RETRIES"
    (cli.folder / "data" / "aftercare.db").unlink()
    assert cli.refusal("config", "check")["field"] == "AFTERCARE_DATABASE_URL"


def test_config_check_in_live_mode_names_what_is_not_approved(cli: CommandLine) -> None:
    cli.treat(cli.client())
    refused = cli.refusal("config", "check", mode="live", now="", relay_host="mail.example.com")
    assert (refused["status"], refused["field"]) == (2, "AFTERCARE_MODE")
    assert "day-01" in refused["message"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_names_the_commands(bare: CommandLine, shell: str) -> None:
    answer = bare("completion", shell)
    assert answer.status == 0
    assert all(name in answer.out for name in COMMANDS)
    assert "_AFTERCARE_COMPLETE" in answer.out


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("aftercare cl", {"clinic", "client"}),
        ("aftercare texts ap", {"approve"}),
        ("aftercare plan --time", {"--timezone"}),
    ],
)
def test_completion_works_in_bash(bare: CommandLine, typed: str, expected: set[str]) -> None:
    program = bare.folder / "bin" / "aftercare"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m service "$@"\n'
    )
    program.chmod(0o755)
    words = typed.split()
    script = bare("completion", "bash").out + (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        '_aftercare_completion aftercare; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "--norc", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert set(ended.stdout.split()) == expected
    assert ended.stderr == ""


def test_who_looks_in_a_wrong_folder_is_told_where_and_leaves_nothing_there(cli: CommandLine) -> None:
    (cli.folder / "data" / "aftercare.db").unlink()
    (cli.folder / "data").rename(cli.folder / "elsewhere")
    refused = cli.refusal("outbox")
    assert str(cli.folder / "data" / "aftercare.db") in refused["message"]
    assert not (cli.folder / "data").exists()
