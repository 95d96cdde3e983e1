"""The morning digest says what the rows say, to a person, once a day."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from service import wiring
from service.actions.calls import Closing, close
from service.actions.digest import Digest, digest, words
from service.actions.digest_mail import AGAIN, DigestDuty, compose_digest
from service.domain.reminder import Reason, State
from service.errors import NotAllowed
from service.store import clinics, outages, watch
from service.store.calls import UNDONE, open_calls
from service.store.engine import Store
from service.store.figures import Span
from service.store.tables import calls, emails, paces
from tests.support.builders import build_email
from tests.support.relay_script import at as script_at
from tests.support.scripted_relay import Hang, Reply, Script, ScriptedRelay
from tests.support.world import World, another_clinic, at, make_world, read, text_of

OWNER = "owner@example.com"
WEEKEND = Span(at("2026-12-04 23:10"), at("2026-12-07 08:00"))


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def made(world: World, span: Span, now: datetime | None = None) -> Digest:
    protocols = world.service.catalogue.protocols
    with world.store.read() as connection:
        return digest(connection, world.clinic, span, now or span.until, protocols)


def text(world: World, span: Span, now: datetime | None = None) -> str:
    return words(made(world, span, now))[1]


def duty(world: World, relay: ScriptedRelay, **more: Any) -> DigestDuty:
    settings = world.service.settings.model_copy(update={"relay_port": relay.port})
    address = wiring.relay_address(settings)
    assert address is not None
    it = world.service
    return DigestDuty(world.store, lambda _: address, it.signer, it.catalogue.protocols, OWNER, **more)


def a_weekend_without_a_relay(world: World) -> None:
    """Features 7.3: fourteen notes fall due between Friday night and Monday morning, and nothing can be sent."""
    treated = {"2026-11-25": 2, "2026-12-02": 3, "2026-12-03": 3, "2026-12-04": 4, "2026-12-05": 2}
    for on, number in treated.items():
        for _ in range(number):
            name = f"Client {len(clients_of(world))}"
            now = f"{on} 16:00"
            world.treat(world.client(name, f"{name.replace(' ', '')}@example.com", now=now), on, now=now)
    with ScriptedRelay() as relay:
        for day in ("2026-11-26", "2026-11-28", "2026-12-03", "2026-12-04"):
            world.tick(relay, f"{day} 10:00")
    with ScriptedRelay(script_at("connect", Reply(421, "4.3.2 down"))) as relay:
        for now in ("05 10:00", "06 10:00", "06 12:00", "06 20:00", "07 00:10"):
            world.tick(relay, f"2026-12-{now}")
    with world.store.write() as connection:
        outages.open_outage(connection, "relay", at("2026-12-04 23:10"), "no answer")
        outages.close_outage(connection, "relay", at("2026-12-07 07:40"))
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-12-07 07:40")
        assert len(relay.log) == 10


def clients_of(world: World) -> set[int]:
    return {row.client_id for row in world.rows()}


def test_the_digest_after_a_weekend_without_a_relay_adds_up_the_numbers_for_its_reader(world: World) -> None:
    a_weekend_without_a_relay(world)
    subject, said = words(made(world, WEEKEND))
    assert subject == "Northgate Clinic: 5 calls to make, 14 notes were due"
    assert said == (
        "Northgate Clinic, from Fri 4 Dec 23:10 to Mon 7 Dec 08:00.\n"
        "\n"
        "We could not send from Fri 4 Dec 23:10 to Mon 7 Dec 07:40: the mail server did not take our mail.\n"
        "\n"
        "14 notes were due:\n"
        "- 5 went out late, but still right\n"
        "- 5 expired, replaced by a catch-up note\n"
        "- 4 expired, covered by today's 10:00 note\n"
        "\n"
        "Call these 5. Names, numbers and reasons: aftercare calls list --state open --clinic 1\n"
        "The first was to be made by Sun 6 Dec 14:00.\n"
        "4 other calls will close when the next note goes out.\n"
        "\n"
        "No client got an out-of-date note. No one got two.\n"
        "\n"
        "4 notes go out today, the first at 10:00.\n"
        "\n"
        "No alert is open.\n"
    )


def test_the_calls_that_it_says_will_close_do_close(world: World) -> None:
    a_weekend_without_a_relay(world)
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-12-07 10:00")
    with world.store.read() as connection:
        states = Counter(connection.execute(sa.select(calls.c.state)).scalars())
    assert states == {"open": 5, "covered": 4}
    after = made(world, WEEKEND, at("2026-12-07 10:30"))
    assert (after.calls.total(), after.closing, after.expired["covered"]) == (5, 0, 4)
    assert "covered by the next note" in words(after)[1]


def test_its_figures_equal_the_rows(world: World) -> None:
    a_weekend_without_a_relay(world)
    found = made(world, WEEKEND)
    rows = world.rows(emails.c.kind == "reminder", emails.c.due_at.between(WEEKEND.since, WEEKEND.until))
    states = Counter(row.state for row in rows)
    assert (found.figures.due, found.figures.missed) == (len(rows), states["missed"])
    assert found.figures.on_time + found.figures.late == states["sent"]
    assert found.expired.total() == states["missed"]
    notes = world.rows(emails.c.kind == "catch_up", emails.c.state == "sent")
    assert found.expired["replaced"] == len(notes)


def parts(message: bytes) -> list[str]:
    """The text and the HTML of a mail."""
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    return [part.get_content().replace("\r\n", "\n") for part in parsed.iter_parts()]


def test_it_names_no_client(world: World) -> None:
    client = world.client("Karim Haddad", "karim@example.com", phone="01632 960 555")
    world.treat(client, "2026-12-04", now="2026-12-04 16:00")
    with ScriptedRelay(script_at("rcpt", Reply(550, "5.1.1 no such user karim@example.com"))) as relay:
        world.tick(relay, "2026-12-05 10:00")
    found = made(world, WEEKEND)
    for said in (words(found)[0], *parts(compose_digest(found, world.service.signer, OWNER))):
        assert "arim" not in said.lower()
        assert "Haddad" not in said
        assert "960 555" not in said
    assert "- 1 refused by the mail server" in words(found)[1]
    assert "Call this one. " in words(found)[1]


def test_an_empty_day_is_a_normal_day(world: World) -> None:
    subject, said = words(made(world, WEEKEND))
    assert subject == "Northgate Clinic: nothing was due"
    assert said.split("\n\n")[1:] == [
        "Nothing was due.",
        "There is no call to make.",
        "Nothing goes out today.",
        "No alert is open.\n",
    ]


def test_a_good_day_is_one_sentence(world: World) -> None:
    world.treat(world.client(), "2026-12-04", now="2026-12-04 16:00")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-12-05 10:00")
    subject, said = words(made(world, WEEKEND, at("2026-12-07 08:00")))
    assert subject == "Northgate Clinic: 1 note was due"
    assert "\n\n1 note was due, and went out on time.\n\n" in said
    assert "1 note goes out today, at 10:00." in said


def rows_due(world: World, *states: State, **fields: Any) -> list[int]:
    """Reminders due on the Saturday, one in each state."""
    client = world.client(f"Client {len(world.rows())}")
    due = {"due_at": at("2026-12-05 10:00"), "useful_until": at("2026-12-06 12:00")}
    with world.store.write() as connection:
        return [build_email(connection, world.clinic, client, **due | {"state": state} | fields) for state in states]


def test_every_other_fate_is_told(world: World) -> None:
    rows_due(world, State.UNCONFIRMED, State.HELD, State.PLANNED, State.CANCELLED, State.MISSED)
    rows_due(world, State.MISSED, State.MISSED, reason=Reason.REGISTERED_LATE)
    assert text(world, WEEKEND).split("\n\n")[1] == (
        "4 notes were due:\n"
        "- 1 expired, and nothing has made up for it yet\n"
        "- 1 may not have arrived: the mail server's answer was lost\n"
        "- 1 held until somebody acts: aftercare outbox --state held\n"
        "- 1 still waiting to go out\n"
        "1 more had been called off: a stop, a new date or a newer treatment.\n"
        "2 more could not go: the treatment was entered when their time was over."
    )


def test_a_client_who_was_phoned_or_waits_for_a_note_is_told_as_such(world: World) -> None:
    phoned, waits = rows_due(world, State.MISSED, State.MISSED)
    other = world.client("Ana Ruiz")
    planned = {"due_at": at("2026-12-07 00:10"), "planned_at": at("2026-12-07 00:10")}
    until = {"useful_until": at("2026-12-07 20:00")}
    with world.store.write() as connection:
        connection.execute(sa.update(emails).where(emails.c.id == waits).values(client_id=other))
        build_email(connection, world.clinic, other, kind="catch_up", step="catch-up-03", **planned, **until)
        of_both = {"clinic_id": world.clinic.id, "reason": "missed"}
        whose = [(phoned, world.rows()[0].client_id), (waits, other)]
        lost = [{**of_both, "email_id": one, "client_id": client} for one, client in whose]
        open_calls(connection, lost, at("2026-12-06 12:00"))
        first = connection.execute(sa.select(calls.c.id).where(calls.c.email_id == phoned)).scalar_one()
        close(connection, world.clinic, first, Closing("reached"), world.who("2026-12-06 13:00"))
    said = text(world, WEEKEND)
    assert "- 1 expired; a catch-up note is on its way\n- 1 expired; the client was phoned\n" in said
    assert "Call this one. " in said
    assert "1 note goes out today, now." in said


def test_nobody_is_said_to_be_phoned_about_a_visit_that_was_not(world: World) -> None:
    (lost,) = rows_due(world, State.MISSED)
    with world.store.write() as connection:
        call = {"clinic_id": world.clinic.id, "client_id": world.rows()[0].client_id, "email_id": lost}
        open_calls(connection, [{**call, "reason": "missed"}], at("2026-12-06 12:00"))
        ended = {"state": "closed", "outcome": UNDONE, "closed_at": at("2026-12-06 12:01"), "closed_by": "test"}
        connection.execute(sa.update(calls).values(ended))
    assert "- 1 expired; its registration was undone" in text(world, WEEKEND)


def test_it_praises_only_what_the_rows_prove(world: World) -> None:
    (late,) = rows_due(world, State.SENT, marked_at=at("2026-12-06 12:00"), sent_at=at("2026-12-06 12:00"))
    (again,) = rows_due(world, State.SENT, marked_at=at("2026-12-05 10:00"), doubt_retries=1)
    said = text(world, WEEKEND)
    assert f"Went out outside their time: e-mails {late}. See" in said
    assert f"May have reached their client twice: e-mails {again}. See" in said
    assert "- 1 went out late\n" in said
    assert "No client got" not in said
    assert "No one got" not in said


def test_alerts_and_an_outage_that_goes_on_are_told(world: World) -> None:
    with world.store.write() as connection:
        outages.open_outage(connection, "down", at("2026-12-06 22:00"), "no worker")
        for number in range(10):
            watch.open_alert(connection, f"key {number}", f"Something is wrong {number}.", at("2026-12-06 22:00"))
    said = text(world, WEEKEND)
    assert "We could not send since Sun 6 Dec 22:00: this program was not running." in said
    assert "10 alerts are open:\n- Something is wrong 0.\n" in said
    assert said.endswith("- Something is wrong 7.\n- and 2 more\n")


def test_more_outages_than_a_mail_should_list_are_counted(world: World) -> None:
    with world.store.write() as connection:
        for hour in range(10):
            outages.open_outage(connection, "relay", at(f"2026-12-05 {hour:02d}:00"), "no answer")
            outages.close_outage(connection, "relay", at(f"2026-12-05 {hour:02d}:30"))
    assert "There were 2 more such times: aftercare outages" in text(world, WEEKEND)


def test_times_are_those_of_the_clinics_clock(world: World) -> None:
    paris = another_clinic(world, name="Rive Gauche", timezone="Europe/Paris")
    paris.treat(paris.client(now="2026-12-06 16:00"), "2026-12-06", now="2026-12-06 16:00")
    said = text(paris, WEEKEND)
    assert said.startswith("Rive Gauche, from Sat 5 Dec 00:10 to Mon 7 Dec 09:00.\n")
    assert "1 note goes out today, at 10:00." in said


def test_the_mail_is_text_and_the_same_words_as_html(world: World) -> None:
    with world.store.write() as connection:
        clinic = clinics.change(connection, world.clinic.id, {"name": "Skin & <Co>"})
    found = made(World(world.service, clinic), WEEKEND)
    raw = compose_digest(found, world.service.signer, OWNER)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    plain, html = parts(raw)
    assert (message["To"], message["Auto-Submitted"]) == (OWNER, "auto-generated")
    assert message["From"].startswith("Northgate <")
    assert message["Subject"] == "Skin & <Co>: nothing was due"
    assert plain == words(found)[1]
    assert "<p>Skin &amp; &lt;Co&gt;, from Fri 4 Dec 23:10" in html
    for line in filter(None, plain.split("\n")[1:]):
        assert line in html


def run(it: DigestDuty, now: str) -> int:
    return asyncio.run(it.run(at(now)))


def test_it_goes_out_once_a_day_from_eight_on_the_clinics_clock(world: World) -> None:
    with ScriptedRelay() as relay:
        it = duty(world, relay)
        assert [run(it, f"2026-12-07 {hour}") for hour in ("07:59", "08:00", "08:05", "23:00")] == [0, 1, 0, 0]
        assert run(it, "2026-12-08 08:30") == 1
        assert [message.rcpt_to for message in relay.log] == [(OWNER,)] * 2
    first, second = map(text_of, relay.log)
    assert first.startswith("Northgate Clinic, from Sun 6 Dec 08:00 to Mon 7 Dec 08:00.")
    assert second.startswith("Northgate Clinic, from Mon 7 Dec 08:00 to Tue 8 Dec 08:00.")


def test_of_two_workers_one_sends_it(world: World) -> None:
    with ScriptedRelay() as relay:
        one, other = duty(world, relay), duty(world, relay)

        async def both() -> int:
            return sum(await asyncio.gather(one.run(at("2026-12-07 08:00")), other.run(at("2026-12-07 08:00"))))

        assert asyncio.run(both()) == 1
        assert len(relay.log) == 1


def test_every_clinic_has_its_own_at_its_own_eight(world: World) -> None:
    another_clinic(world, name="Rive Gauche", timezone="Europe/Paris")
    with ScriptedRelay() as relay:
        it = duty(world, relay)
        assert [run(it, f"2026-12-07 {hour}") for hour in ("07:00", "08:00")] == [1, 1]
    assert [read(message)["Subject"].partition(":")[0] for message in relay.log] == ["Rive Gauche", "Northgate Clinic"]


@pytest.mark.parametrize(
    "script",
    [
        script_at("connect", Reply(421, "4.3.2 down"), only=1),
        script_at("rcpt", Reply(550, f"5.1.1 no such user {OWNER}"), only=1),
        script_at("dot", Reply(451, "4.3.0 later"), only=1),
    ],
    ids=["no relay", "no such address", "later"],
)
def test_a_relay_that_does_not_take_it_is_asked_again_later_and_the_log_names_no_address(
    world: World, script: Script
) -> None:
    with ScriptedRelay(script) as relay, structlog.testing.capture_logs() as log:
        it = duty(world, relay)
        later = at("2026-12-07 08:00") + AGAIN
        assert [run(it, "2026-12-07 08:00"), run(it, "2026-12-07 08:05")] == [0, 0]
        assert relay.connections == 1
        assert asyncio.run(it.run(later)) == 1
        assert len(relay.log) == 1
    (line,) = log
    assert (line["log_level"], line["clinic"]) == ("warning", world.clinic.id)
    assert OWNER not in str(log)


def test_a_dropped_duty_is_free_for_another_worker_at_once(world: World) -> None:
    with ScriptedRelay(script_at("connect", Reply(421, "4.3.2 down"), only=1)) as relay:
        assert run(duty(world, relay), "2026-12-07 08:00") == 0
        assert run(duty(world, relay), "2026-12-07 08:01") == 1


def test_a_repeat_of_one_day_has_the_same_message_id(world: World) -> None:
    found = made(world, WEEKEND), made(world, WEEKEND, at("2026-12-07 09:30"))
    ids = [email.message_from_bytes(compose_digest(one, world.service.signer, OWNER))["Message-ID"] for one in found]
    assert ids[0] == ids[1]


def test_what_could_not_be_told_at_the_weekend_is_told_on_monday(world: World) -> None:
    with ScriptedRelay(
        lambda stage, _, count: Reply(421, "4.3.2") if stage == "connect" and 2 <= count <= 3 else None
    ) as relay:
        it = duty(world, relay)
        days = [run(it, f"2026-12-0{day} 08:00") for day in (4, 5, 6, 7)]
        assert days == [1, 0, 0, 1]
    assert text_of(relay.log[1]).startswith("Northgate Clinic, from Fri 4 Dec 08:00 to Mon 7 Dec 08:00.")


def test_after_a_long_time_it_looks_back_two_weeks(world: World) -> None:
    with ScriptedRelay() as relay:
        it = duty(world, relay)
        assert [run(it, "2026-09-01 08:00"), run(it, "2026-12-07 08:00")] == [1, 1]
    assert text_of(relay.log[1]).startswith("Northgate Clinic, from Mon 23 Nov 08:00 to Mon 7 Dec 08:00.")


def test_a_clock_that_went_back_sends_no_second_one(world: World) -> None:
    with ScriptedRelay() as relay:
        it = duty(world, relay)
        assert [run(it, "2026-12-07 08:00"), run(it, "2026-12-06 08:00")] == [1, 0]


def test_a_clinic_without_an_address_gets_none_and_the_others_do(world: World) -> None:
    with world.store.write() as connection:
        clinic = clinics.change(connection, world.clinic.id, {"reply_to": ""})
    with pytest.raises(NotAllowed):
        compose_digest(made(World(world.service, clinic), WEEKEND), world.service.signer, OWNER)
    another_clinic(world, name="Southgate")
    with ScriptedRelay() as relay, structlog.testing.capture_logs() as log:
        it = duty(world, relay)
        assert [run(it, "2026-12-07 08:00"), run(it, "2026-12-07 08:01")] == [0, 1]
    assert [line["clinic"] for line in log] == [clinic.id]


def test_a_clinic_whose_zone_is_unknown_gets_none_and_the_others_do(world: World) -> None:
    there = another_clinic(world, name="Elsewhere")
    with world.store.write() as connection:
        clinics.change(connection, there.clinic.id, {"timezone": "Mars/Base"})
    with ScriptedRelay() as relay:
        assert run(duty(world, relay), "2026-11-23 08:00") == 1


def test_the_relays_limit_a_minute_counts_it(world: World) -> None:
    with ScriptedRelay() as relay:
        it = duty(world, relay, per_minute=1)
        assert run(it, "2026-12-07 08:00") == 1
        assert run(it, "2026-12-08 08:00") == 0
        with world.store.write() as connection:
            connection.execute(sa.delete(paces))
        assert run(it, "2026-12-08 08:01") == 1


def test_a_relay_that_hangs_does_not_hold_up_the_reminders(world: World) -> None:
    with ScriptedRelay(script_at("rcpt", Hang())) as relay, structlog.testing.capture_logs() as log:
        it = duty(world, relay, within=0.2)
        assert run(it, "2026-12-07 08:00") == 0
        relay.wait_until_alone()
    assert "takes too long" in log[0]["event"]


def test_a_database_that_does_not_answer_is_logged_and_raises_nothing(world: World, tmp_path: Path) -> None:
    gone = Store(f"sqlite:///{tmp_path / 'no folder' / 'aftercare.db'}")
    with ScriptedRelay() as relay, structlog.testing.capture_logs() as log:
        assert run(replace(duty(world, relay), store=gone), "2026-12-07 08:00") == 0
        assert relay.connections == 0
    gone.close()
    assert [line["event"] for line in log] == ["no morning digest"]
