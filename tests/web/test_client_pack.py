"""The audit pack: what an inspector gets about one client and a span of days, and what nobody gets by it."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import calls as call_list
from service.actions import clinic_setup, revise, words
from service.actions.calls import Closing
from service.actions.remarking import change_remarks
from service.actions.words import Approval, TextKey
from service.store import audit as chain
from service.store.calls import Call, open_call
from service.store.engine import Store
from service.store.tables import Role, audit, calls, emails, texts
from tests.support.builders import build_email
from tests.support.desk import Browser, signed_in
from tests.support.scripted_relay import Accepted, ScriptedRelay
from tests.support.world import SMP, World, another_clinic, at, make_world, read, text_of

LATER = "2026-12-02 12:00"
SPAN = {"since": "2026-11-20", "until": "2026-11-25"}
KEY = re.compile(r"(?<=/[sct]/)[\w-]{40}")


@dataclass
class Pack:
    """A ZIP that came from the desk."""

    archive: zipfile.ZipFile

    def text(self, name: str) -> str:
        return self.archive.read(name).decode("utf-8-sig")

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text(name), newline="")))

    def everything(self) -> str:
        return "\n".join(self.text(name) for name in self.archive.namelist())


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path, public_url="https://care.example.org")


@pytest.fixture
def went_out(world: World) -> Iterator[list[Accepted]]:
    """Sam's days 1, 3 and 10, day 3 with signed words and a call after it; and Lou's, who is nobody's business here."""
    sam = world.client("Sam Reed", now="2026-11-20 10:00", phone="01632 960 001")
    treated = world.treat(sam, "2026-11-20", now="2026-11-20 10:01").treatment_id
    world.treat(world.client("Lou Day", "lou@example.com", now="2026-11-20 10:00"), "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
        with world.store.write() as connection:
            who, catalogue = world.who("2026-11-22 09:00"), world.service.catalogue
            given = {"email": "obi@northgate-clinic.org", "name": "Dr Adaeze Obi", "role": "clinician"}
            clinic_setup.add_staff(connection, world.clinic, given, who)
            approval = Approval("obi@northgate-clinic.org", date(2027, 11, 20))
            words.approve(connection, catalogue, world.clinic, (TextKey(SMP, "day-03", "en"), approval), who)
            said = {"lot": "B-2291", "note": "thin skin"}
            change_remarks(connection, world.clinic, treated, (None, said), who)
        world.tick(relay, "2026-11-23 10:00")
        phone(world, sam)
        world.tick(relay, "2026-11-30 10:00")
        yield [one for one in relay.log if "sam@example.com" in read(one)["To"]]


def phone(world: World, client_id: int) -> None:
    with world.store.write() as connection:
        open_call(connection, Call(world.clinic.id, client_id, None, "reply"), at("2026-11-24 09:00"))
        (call_id,) = connection.execute(sa.select(calls.c.id)).scalars()
        closing = Closing("reached", "=HYPERLINK(1) all is well")
        call_list.close(connection, world.clinic, call_id, closing, world.who("2026-11-24 09:20"))


def take(browser: Browser, span: dict[str, str] = SPAN, client_id: int = 1) -> Pack:
    answer = browser.post(f"/clients/{client_id}/pack", span)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    return Pack(zipfile.ZipFile(io.BytesIO(answer.content)))


@pytest.fixture
def owner(world: World, went_out: list[Accepted]) -> Iterator[Browser]:
    del went_out
    with signed_in(world, Role.OWNER, LATER) as browser:
        yield browser


def test_the_words_are_those_that_went_out_with_times_proof_and_the_digest_of_the_message(
    world: World, went_out: list[Accepted], owner: Browser
) -> None:
    given = take(owner)
    rows = given.rows("emails.csv")
    assert [(row["what"], row["words"], row["sent to"]) for row in rows] == [
        ("day-01", "exact", "sam@example.com"),
        ("day-03", "exact", "sam@example.com"),
    ]
    assert [row["relay took it"] for row in rows] == ["2026-11-21T10:00:00+00:00", "2026-11-23T10:00:00+00:00"]
    for row, message in zip(rows, went_out, strict=False):
        text = text_of(message).replace("\r\n", "\n").strip()
        assert KEY.search(text)
        assert given.text(row["file"]).strip() == KEY.sub("…", text)
        assert row["message id"] in message.data.decode()
    with world.store.read() as connection:
        kept = connection.execute(sa.select(emails.c.digest).where(emails.c.client_id == 1).order_by(emails.c.id))
        assert [row["sha256 of the message"] for row in rows] == list(kept.scalars())[:2]
    assert [(row["e-mail"], row["outcome"]) for row in given.rows("attempts.csv")] == [("1", "sent"), ("2", "sent")]


def test_each_text_has_its_version_its_source_and_who_approved_it_when(world: World, owner: Browser) -> None:
    given = take(owner)
    draft, signed = sorted(given.rows("texts.csv"), key=lambda row: row["name"])
    assert (draft["name"], draft["approved"], draft["approved by"]) == ("day-01", "", "")
    assert (signed["name"], signed["version"], signed["review by"]) == ("day-03", "1", "2027-11-20")
    assert signed["approved by"] == "Dr Adaeze Obi (obi@northgate-clinic.org)"
    assert signed["approved"] == "2026-11-22T09:00:00+00:00"
    assert hashlib.sha256(given.archive.read(signed["file"])).hexdigest() == signed["sha256 of the source"]
    with world.store.read() as connection:
        stored = connection.execute(sa.select(texts.c.source).where(texts.c.id == int(signed["number"])))
        assert given.text(signed["file"]) == stored.scalar_one()
    assert "version 1, approved by Dr Adaeze Obi on 2026-11-22" in given.text("read-me.txt")
    assert "version 1, a draft that nobody has approved" in given.text("read-me.txt")


def test_an_approval_that_came_after_the_e_mail_is_told_as_such(world: World, owner: Browser) -> None:
    with world.store.write() as connection:
        approval, who = Approval("obi@northgate-clinic.org", date(2027, 11, 20)), world.who("2026-11-22 10:00")
        words.approve(connection, world.service.catalogue, world.clinic, (TextKey(SMP, "day-01", "en"), approval), who)
    told = take(owner).text("read-me.txt").splitlines()
    assert [line.strip() for line in told if "Dr Adaeze Obi" in line] == [
        "words: version 1, approved by Dr Adaeze Obi on 2026-11-22, after it went out",
        "words: version 1, approved by Dr Adaeze Obi on 2026-11-22",
    ]


def test_calls_say_why_and_how_they_ended_and_no_cell_is_a_formula(owner: Browser) -> None:
    (call,) = take(owner).rows("calls.csv")
    assert (call["why"], call["outcome"], call["closed by"]) == ("answered an e-mail", "reached", "test")
    assert (call["opened"], call["closed"]) == ("2026-11-24T09:00:00+00:00", "2026-11-24T09:20:00+00:00")
    assert call["note"] == "'=HYPERLINK(1) all is well"


def test_other_days_and_other_clients_are_not_in_it(owner: Browser) -> None:
    one_day = take(owner, {"since": "2026-11-23", "until": "2026-11-23"})
    assert [row["what"] for row in one_day.rows("emails.csv")] == ["day-03"]
    assert [row["number"] for row in one_day.rows("treatments.csv")] == ["1"]
    assert one_day.rows("calls.csv") == []
    after = take(owner, {"since": "2026-11-25", "until": "2026-11-29"})
    assert (after.rows("emails.csv"), after.rows("calls.csv"), after.rows("treatments.csv")) == ([], [], [])
    whole = take(owner, {"since": "2026-01-01", "until": "2026-12-31"})
    assert len(whole.rows("emails.csv")) == 3
    assert "Lou" not in whole.everything()
    assert "lou@" not in whole.everything()


def test_the_day_is_the_clinics_own(world: World, owner: Browser) -> None:
    with world.store.write() as connection:
        # Half past midnight on the 21st in London's summer is still the 20th in UTC.
        due = {"due_at": at("2026-07-20 23:30"), "not_before": at("2026-07-20 23:30")}
        summer = {**due, "useful_until": at("2026-07-21 12:00"), "marked_at": None}
        connection.execute(sa.update(emails).where(emails.c.client_id == 1, emails.c.day == 10).values(summer))
    assert take(owner, {"since": "2026-07-20", "until": "2026-07-20"}).rows("emails.csv") == []
    (row,) = take(owner, {"since": "2026-07-21", "until": "2026-07-21"}).rows("emails.csv")
    assert row["due"] == "2026-07-21T00:30:00+01:00"


def test_what_went_out_late_stands_under_both_its_days_and_what_did_not_is_told_with_its_reason(
    world: World, owner: Browser
) -> None:
    theirs = (emails.c.client_id == 1) & (emails.c.day == 10)
    with world.store.write() as connection:
        late = {"marked_at": at("2026-12-01 09:59"), "sent_at": at("2026-12-01 10:00")}
        connection.execute(sa.update(emails).where(theirs).values(late))
    for day in ("2026-11-30", "2026-12-01"):
        (row,) = take(owner, {"since": day, "until": day}).rows("emails.csv")
        assert (row["due"][:10], row["relay took it"][:10]) == ("2026-11-30", "2026-12-01")
    with world.store.write() as connection:
        missed = {"state": "missed", "reason": "too_late", "sent_at": None, "marked_at": None}
        connection.execute(sa.update(emails).where(theirs).values(missed))
    given = take(owner, {"since": "2026-11-30", "until": "2026-11-30"})
    (row,) = given.rows("emails.csv")
    assert (row["state"], row["why"]) == ("missed", "its time was over before it could go out")
    assert (row["words"], row["file"], row["relay took it"]) == ("none", "", "")
    assert [name for name in given.archive.namelist() if name.startswith("emails/")] == []


def test_more_than_can_be_handed_over_is_refused_whole_and_says_what_to_do(world: World) -> None:
    client_id = world.client(now="2026-11-20 10:00")
    with world.store.write() as connection:
        for _ in range(501):
            build_email(connection, world.clinic, client_id)
    with signed_in(world, Role.OWNER, LATER) as browser:
        refused = browser.post(f"/clients/{client_id}/pack", {"since": "2026-01-01", "until": "2026-12-31"})
    assert refused.status_code == 400
    assert "There are more than 500 e-mails in these days. Choose fewer days" in refused.text
    assert taken(world) == []


def test_no_key_of_a_link_and_no_note_of_the_technician_is_in_it_but_the_lot_is(
    went_out: list[Accepted], owner: Browser
) -> None:
    given = take(owner)
    keys = {key for message in went_out for key in KEY.findall(text_of(message))}
    assert len(keys) == 3
    assert [key for key in keys if key in given.everything()] == []
    assert [row["pigment lot"] for row in given.rows("treatments.csv")] == ["B-2291"]
    assert "thin skin" not in given.everything()


def test_the_audit_can_be_checked_line_by_line_and_says_if_it_was_touched(world: World, owner: Browser) -> None:
    given = take(owner)
    lines = given.rows("audit.csv")
    assert [row["action"] for row in lines] == ["client added", "treatment added", "treatment noted", "call closed"]
    for row in lines:
        sealed = [row["at"], row["actor"], row["action"], row["subject"], row["detail"]]
        parts = [row["seal of the line before"], str(world.clinic.id), *sealed]
        assert hashlib.sha256("\x1f".join(parts).encode()).hexdigest() == row["seal"]
    assert "Every line of the clinic's whole audit is as it was written" in given.text("read-me.txt")
    with world.store.write() as connection:
        last = connection.execute(sa.select(audit).order_by(audit.c.id.desc()).limit(1)).mappings().one()
        forged = {name: last[name] for name in ("clinic_id", "at", "actor", "action", "subject", "previous", "hash")}
        connection.execute(sa.insert(audit), {**forged, "detail": "{}"})
        assert chain.broken_links(connection, world.clinic.id) != []
    assert "ATTENTION: 1 lines of the clinic's whole audit were changed" in take(owner).text("read-me.txt")


def test_every_file_stands_in_the_list_of_sums(owner: Browser) -> None:
    given = take(owner)
    lines = [line.split("  ") for line in given.text("sha256.txt").splitlines()]
    sums = {name: digest for digest, name in lines}
    assert set(sums) == set(given.archive.namelist()) - {"sha256.txt"}
    for name, digest in sums.items():
        assert hashlib.sha256(given.archive.read(name)).hexdigest() == digest


def test_taking_it_is_written_down_with_its_days_and_only_the_owner_may(world: World, owner: Browser) -> None:
    assert 'href="/clients/1/pack"' in owner.get("/clients/1").text
    form = owner.get("/clients/1/pack").text
    assert 'value="2026-11-20"' in form
    assert 'value="2026-12-02"' in form
    assert taken(world) == []
    take(owner)
    assert taken(world) == [('{"from": "2026-11-20", "to": "2026-11-25"}', "owner1@northgate-clinic.org")]
    assert "A pack for an inspector was taken" in owner.get("/clients/1").text
    for role in (Role.RECEPTION, Role.CLINICIAN, Role.OPS):
        with signed_in(world, role, LATER) as browser:
            assert browser.get("/clients/1/pack").status_code == 403
            assert browser.post("/clients/1/pack", SPAN).status_code == 403
            assert "/clients/1/pack" not in browser.get("/clients/1").text
    with signed_in(another_clinic(world, name="Southgate Clinic"), Role.OWNER, LATER) as browser:
        assert browser.post("/clients/1/pack", SPAN).status_code == 404
    assert len(taken(world)) == 1


def taken(world: World) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        query = sa.select(audit.c.detail, audit.c.actor).where(audit.c.action == "audit pack taken")
        return [(row.detail, row.actor) for row in connection.execute(query)]


@pytest.mark.parametrize(
    ("span", "field"),
    [
        ({"since": "soon", "until": "2026-11-25"}, "since"),
        ({"since": "2026-11-20", "until": ""}, "until"),
        ({"since": "2026-11-26", "until": "2026-11-25"}, "until"),
        ({"since": "0001-01-01", "until": "2026-11-25"}, "since"),
    ],
)
def test_days_that_cannot_be_are_said_beside_their_field(
    world: World, owner: Browser, span: dict[str, str], field: str
) -> None:
    refused = owner.post("/clients/1/pack", span)
    assert refused.status_code == 400
    assert f'id="{field}-error"' in refused.text
    assert taken(world) == []


def test_of_an_erased_client_times_are_left_and_no_word(world: World, owner: Browser) -> None:
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, 1, world.who("2026-12-01 12:00"))
    given = take(owner)
    assert "Sam" not in given.everything()
    assert "sam@" not in given.everything()
    assert [(row["what"], row["words"], row["file"]) for row in given.rows("emails.csv")] == [
        ("day-01", "gone", ""),
        ("day-03", "gone", ""),
    ]
    assert "Client: an erased client (number 1)" in given.text("read-me.txt")


def test_a_stop_address_of_the_clients_own_is_shortened_too(store: Store, tmp_path: Path) -> None:
    world = make_world(store, tmp_path, bounce_domain="bounce.example.org", mailbox_url="maildir:/nowhere")
    world.treat(world.client(now="2026-11-20 10:00"), "2026-11-20", now="2026-11-20 10:01")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
        sent = text_of(relay.log[0])
    found: Any = re.search(r"stop\+\w+@bounce\.example\.org", sent)
    assert found is not None
    with signed_in(world, Role.OWNER, LATER) as browser:
        given = take(browser).everything()
        assert found[0] not in browser.get("/clients/1/sent").text
    assert found[0] not in given
    assert "stop+…@bounce.example.org" in given
