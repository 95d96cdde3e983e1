"""Commands that watch over the work."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.settings import read_settings
from service.store import outages, watch
from service.store.tables import beats
from service.wiring import open_service
from tests.support.command_line import CommandLine
from tests.support.webhook import a_webhook
from tests.support.world import at

KEYS = ["id", "began_at", "ended_at", "kind", "cause", "note", "touched", "late", "missed", "replaced", "open"]
KEYS += ["failed", "cancelled", "unconfirmed", "clients"]
CLIENT_KEYS = ["client_id", "email_id", "step", "due_at", "state", "reason", "sent_at"]
#: Nothing could be sent over the day on which the first reminder of a treatment of 20 November falls due.
BEGAN, ENDED = "2026-11-20 23:10", "2026-11-22 13:00"
LATER = "2026-11-22T13:00:00Z"


def an_outage(*, ended: bool = True) -> None:
    with open_service(read_settings()) as service, service.store.write() as connection:
        outages.open_outage(connection, "relay", at(BEGAN), "connect: connection refused")
        if ended:
            outages.close_outage(connection, "relay", at(ENDED))


def test_an_outage_line_has_every_key_of_the_interface(either: CommandLine) -> None:
    sam = either.client()
    either.treat(sam)
    an_outage()
    either.document("tick", "--now", LATER)
    (line,) = either.lines("outages", "--now", LATER)
    assert list(line) == KEYS
    assert (line["began_at"], line["ended_at"]) == ("2026-11-20T23:10:00Z", "2026-11-22T13:00:00Z")
    assert (line["kind"], line["cause"], line["note"]) == ("relay", "connect: connection refused", None)
    assert {key: line[key] for key in KEYS[6:-1] if line[key]} == {"touched": 1, "missed": 1}
    (client,) = line["clients"]
    assert list(client) == CLIENT_KEYS
    assert (client["client_id"], client["step"], client["state"]) == (sam, "day-01", "missed")
    assert (client["due_at"], client["sent_at"], client["reason"]) == ("2026-11-21T10:00:00Z", None, "too_late")
    assert either.document("outages", "show", line["id"], "--now", LATER) == line


def test_people_see_the_figures_and_then_client_by_client(cli: CommandLine) -> None:
    cli.treat(cli.client())
    an_outage()
    cli.document("tick", "--now", LATER)
    assert cli("outages", "--now", LATER).out.splitlines() == [
        "id  began             ended             what            touched  late  missed  replaced  open  why",
        (
            "1   Fri 20 Nov 23:10  Sun 22 Nov 13:00  the mail relay  1        0     1       0         0     "
            "connect: connection refused"
        ),
    ]
    assert cli("outages", "show", 1, "--now", LATER).out.splitlines() == [
        "client  e-mail  step    due               sent  what",
        "1       1       day-01  Sat 21 Nov 10:00        missed: its time was over before it could go out",
    ]


def test_an_outage_that_goes_on_says_so(cli: CommandLine) -> None:
    an_outage(ended=False)
    assert cli.lines("outages")[0]["ended_at"] is None
    assert "goes on" in cli("outages").out


def test_another_clinics_clients_are_not_shown(either: CommandLine) -> None:
    either.treat(either.client())
    other = either.document("clinic", "add", "--name", "Southgate", "--timezone", "Europe/London")["id"]
    an_outage()
    (line,) = either.lines("outages", "--clinic", other, "--now", LATER)
    assert (line["touched"], line["clients"]) == (0, [])
    assert either.lines("outages", "--clinic", 1, "--now", LATER)[0]["touched"] == 1


def test_a_note_says_what_is_known(either: CommandLine) -> None:
    an_outage()
    (line,) = either.lines("outages")
    noted = either.document("outages", "note", line["id"], "--text", "a new password")
    assert noted["note"] == "a new password"
    assert either.lines("outages")[0]["note"] == "a new password"
    assert "connect: connection refused; a new password" in either("outages").out
    assert either.refusal("outages", "note", line["id"], "--text", "a\nb")["field"] == "note"
    unknown = either.refusal("outages", "note", line["id"] + 1, "--text", "a cable")
    assert (unknown["status"], unknown["code"], unknown["field"]) == (1, "not_found", "outage")
    assert either.refusal("outages", "show", line["id"] + 1)["code"] == "not_found"


def test_no_outage_is_good_news(cli: CommandLine) -> None:
    answer = cli("outages")
    assert (answer.status, answer.out) == (0, "")
    assert "No outage yet" in answer.err


def test_an_alert_test_posts_one_alert_that_says_so(bare: CommandLine) -> None:
    with a_webhook() as webhook:
        assert bare.document("alert-test", alert_webhook=webhook.url) == {"told": True}
        assert bare("alert-test", alert_webhook=webhook.url).status == 0
    assert webhook.told == [("test", "open"), ("test", "open")]
    assert list(webhook.posts[0]) == ["service", "alert", "state", "message", "since"]
    assert "This is a test" in webhook.posts[0]["message"]


def test_an_alert_test_without_a_webhook_names_the_setting(bare: CommandLine) -> None:
    refused = bare.refusal("alert-test")
    assert (refused["status"], refused["field"]) == (2, "AFTERCARE_ALERT_WEBHOOK")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_alert_test_that_fails_says_what_was_answered(bare: CommandLine, status: int) -> None:
    with a_webhook() as webhook:
        webhook.status = status
        answer = bare("alert-test", alert_webhook=webhook.url)
        refused = bare.refusal("alert-test", alert_webhook=webhook.url)
    assert answer.status == refused["status"] == 1
    assert f"it answered {status}" in answer.err
    assert "secret" not in answer.err + str(refused)


def test_an_alert_test_to_nobody_says_so(bare: CommandLine) -> None:
    refused = bare.refusal("alert-test", alert_webhook="http://127.0.0.1:1/top-secret")
    assert refused["status"] == 1
    assert "Connection refused" in refused["message"]
    assert "secret" not in str(refused)


def test_a_round_by_cron_is_watched_like_those_of_the_daemon(either: CommandLine) -> None:
    either.monkeypatch.delenv("AFTERCARE_NOW")
    with a_webhook() as webhook:
        either.document("tick", heartbeat_url=f"{webhook.url}/alive")
        assert webhook.gets == ["/hooks/top-secret/alive"]
    with open_service(read_settings()) as service, service.store.write() as connection:
        good = watch.last_good(connection)
        assert good is not None
        connection.execute(beats.update().values(last_at=good - timedelta(days=2)))
    either.document("tick")
    (line,) = either.lines("outages")
    assert (line["kind"], line["cause"]) == ("down", "no worker was running")


def test_a_round_at_another_time_tells_nobody(either: CommandLine) -> None:
    with a_webhook() as webhook:
        either.document("tick", "--now", LATER, heartbeat_url=webhook.url)
        assert webhook.gets == []
