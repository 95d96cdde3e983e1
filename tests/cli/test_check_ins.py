"""What clients answered, on the command line."""

from __future__ import annotations

from datetime import date

from service.actions.answer import link_of
from service.actions.check_in import answer_check_in
from service.mail.catalogue import Catalogue
from service.settings import read_settings
from service.store.engine import Store
from tests.support.builders import at
from tests.support.command_line import CommandLine

KEYS = ["id", "clinic_id", "client_id", "treatment_id", "day", "level", "rules", "rules_version"]
KEYS += ["email_id", "call_id", "answered_at", "corrected"]
CLEAR = {"q1": ("none",), "q2": ("no",), "q4": ("none",), "q5": ("none",), "q6": ("none",)}


def answer(client_id: int, q3: str, now: str) -> None:
    """As a client does through the link."""
    store = Store(read_settings().database)
    with store.write() as connection:
        link = link_of(client_id, "sam@example.com")
        answer_check_in(connection, Catalogue.load().protocols, link, CLEAR | {"q3": (q3,)}, at(now))
    store.close()


def test_a_line_has_level_rules_and_time_and_no_answer(either: CommandLine) -> None:
    client = either.client()
    either.treat(client, date(2026, 11, 20).isoformat())
    answer(client, "fading", "2026-11-23 12:20")
    (line,) = either.lines("check-ins", "list")
    assert list(line) == KEYS
    assert (line["client_id"], line["day"], line["level"], line["rules"]) == (client, 3, "T", ["13"])
    assert (line["answered_at"], line["call_id"]) == ("2026-11-23T12:20:00Z", 1)
    assert "fading" not in str(line)
    (call,) = either.lines("calls", "list")
    assert (call["reason"], call["level"], call["due_at"]) == ("red_answer", "T", "2026-11-23T13:20:00Z")
    export = either.document("client", "export", client)
    assert export["check_ins"][0]["answers"]["q3"] == ["fading"]


def test_people_see_who_which_day_and_how_urgent(cli: CommandLine) -> None:
    client = cli.client()
    cli.treat(client)
    answer(client, "fading", "2026-11-23 12:20")
    answer(client, "none", "2026-11-23 12:25")
    assert cli("check-ins", "list").out.splitlines() == [
        "id  client  day  answered          level                     call",
        "1   1       3    Mon 23 Nov 12:20  T: call the clinic today  1     corrected later",
        "2   1       3    Mon 23 Nov 12:25  N: normal",
    ]
    assert "a red answer in a check-in" in cli("calls", "list").out


def test_the_list_is_one_clients_or_says_what_is_missing(cli: CommandLine) -> None:
    assert "AFTERCARE_PUBLIC_URL" in cli("check-ins", "list").err
    client, other = cli.client(), cli.client("Kim Day")
    cli.treat(client)
    answer(client, "none", "2026-11-23 12:20")
    assert len(cli.lines("check-ins", "list", "--client", client)) == 1
    assert cli.lines("check-ins", "list", "--client", other) == []
    assert cli.refusal("check-ins", "list", "--client", 99)["status"] == 1


def test_a_clinic_switches_the_check_in_off_and_on(cli: CommandLine) -> None:
    assert cli.document("clinic", "show")["check_in"] is True
    shown = cli("clinic", "set", "check_in=off").out.splitlines()
    assert [line.split() for line in shown if line.startswith("check_in")] == [["check_in", "off"]]
    assert cli.document("clinic", "show")["check_in"] is False
    refused = cli.refusal("clinic", "set", "check_in=no")
    assert (refused["status"], refused["field"]) == (2, "check_in")
