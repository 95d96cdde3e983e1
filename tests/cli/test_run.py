"""Commands that send."""

from __future__ import annotations

import fcntl

import pytest

from tests.support.command_line import CommandLine
from tests.support.scripted_relay import Reply, ScriptedRelay, at

COUNTS = ["claimed", "sent", "failed", "missed", "in_doubt", "unconfirmed", "cancelled", "held", "planned", "catch_ups"]


def relay_settings(relay: ScriptedRelay) -> dict[str, str]:
    return {
        "relay_host": "127.0.0.1",
        "relay_port": str(relay.port),
        "relay_tls": "none",
        "trial_allow": "example.com",
    }


def test_a_tick_counts_by_outcome(either: CommandLine) -> None:
    either.treat(either.client())
    counts = either.document("tick", "--now", "2026-11-21T10:00:00Z")
    assert list(counts) == COUNTS
    assert counts == dict.fromkeys(COUNTS, 0) | {"claimed": 1, "sent": 1}
    assert either.document("tick", "--until-idle", "--now", "2026-11-21T10:00:00Z") == dict.fromkeys(COUNTS, 0)


def test_an_empty_day_is_a_normal_day(either: CommandLine) -> None:
    assert either.document("tick") == dict.fromkeys(COUNTS, 0)
    answer = either("tick")
    assert (answer.status, answer.out, answer.err) == (0, "", "Nothing to do.\n")


def test_an_incomplete_clinic_holds_its_mails_and_the_tick_goes_on(bare: CommandLine) -> None:
    bare("init", "--clinic", "Northgate", "--timezone", "Europe/London")
    bare.treat(bare.client())
    assert bare.document("tick", "--now", "2026-11-21T10:00:00Z")["held"] == 1


def test_without_a_relay_the_test_mail_goes_to_the_catcher_and_says_so(cli: CommandLine) -> None:
    told = cli.document("test-email", "me@example.com")
    assert (told["accepted"], told["caught"], told["code"]) == (True, True, 250)
    assert "nothing left this machine" in cli("test-email", "me@example.com").err
    assert len(list((cli.folder / "data" / "caught" / "new").iterdir())) == 2


def test_the_test_mail_tells_what_the_relay_said(cli: CommandLine) -> None:
    with ScriptedRelay() as relay:
        told = cli.document("test-email", "me@example.com", **relay_settings(relay))
        assert (told["accepted"], told["caught"]) == (True, False)
        assert told["relay"] == f"127.0.0.1:{relay.port}"
    assert [message.rcpt_to for message in relay.log] == [("me@example.com",)]
    assert b"scalp" not in relay.log[0].data.lower()


@pytest.mark.parametrize(
    ("stage", "reply", "fix"),
    [
        ("mail", Reply(550, "5.7.1 sender refused"), "from_address"),
        ("rcpt", Reply(550, "5.1.1 no such user"), "another address"),
        ("dot", Reply(554, "5.6.0 looks like spam"), "operator"),
        ("connect", Reply(554, "5.7.1 go away"), "operator"),
    ],
)
def test_a_relay_that_refuses_the_test_mail_is_quoted_with_what_to_do(
    cli: CommandLine, stage: str, reply: Reply, fix: str
) -> None:
    with ScriptedRelay(at(stage, reply)) as relay:
        refused = cli.refusal("test-email", "me@example.com", **relay_settings(relay))
    assert (refused["status"], refused["code"]) == (1, "unavailable")
    assert str(reply.code) in refused["message"]
    assert fix in refused["next_step"]
    assert "me@example.com" not in refused["message"]


def test_a_relay_that_is_not_there_is_told(cli: CommandLine) -> None:
    with ScriptedRelay() as relay:
        settings = relay_settings(relay)
    refused = cli.refusal("test-email", "me@example.com", **settings)
    assert (refused["status"], refused["code"]) == (1, "unavailable")
    assert "AFTERCARE_RELAY_HOST" in refused["next_step"]


def test_a_test_mail_needs_an_address_and_a_clinic_that_can_write(bare: CommandLine) -> None:
    bare("init", "--clinic", "Northgate", "--timezone", "Europe/London")
    assert bare.refusal("test-email", "me")["field"] == "email"
    refused = bare.refusal("test-email", "me@example.com")
    assert (refused["status"], refused["field"]) == (1, "reply_to")


def test_a_moved_clock_and_a_running_worker_do_not_go_together(cli: CommandLine) -> None:
    (cli.folder / "data" / "workers").mkdir()
    with (cli.folder / "data" / "workers" / "other.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = cli.refusal("tick", "--now", "2026-11-21T10:00:00Z")
    assert (refused["status"], refused["field"]) == (1, "now")


@pytest.mark.parametrize("words", [("serve",), ("web",)])
def test_pages_that_others_could_reach_without_https_do_not_start(cli: CommandLine, words: tuple[str, ...]) -> None:
    answer = cli(*words, bind="0.0.0.0:8025")
    assert answer.status == 2
    assert "AFTERCARE_BIND" in answer.err


@pytest.mark.parametrize("words", [("serve",), ("worker",)])
def test_live_mode_does_not_start_with_an_unapproved_text_in_use(cli: CommandLine, words: tuple[str, ...]) -> None:
    cli.treat(cli.client())
    answer = cli(*words, mode="live", now="", relay_host="127.0.0.1", bind="127.0.0.1:0")
    assert answer.status == 2
    assert "is not approved" in answer.err
