"""Each promise turns red when somebody breaks it by hand, and no other does; both databases."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.store.engine import Instant, Store
from service.store.promises import PROMISES, SHOWN, ask_all
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import World, at, make_world

NOW = at("2026-11-21 10:00")
BEFORE, AFTER = at("2026-11-21 09:59"), at("2026-11-23 10:00")


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    """Lou (e-mails 1 to 3): day 1 missed, its call covered by day 3. Sam (4 to 6): day 1 sent, the others planned."""
    world = make_world(store, tmp_path)
    lou, sam = world.client("Lou Day", now="2026-11-18 16:00"), world.client("Sam Reed")
    world.treat(lou, "2026-11-18", now="2026-11-18 16:00")
    world.treat(sam, "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    return world


def by_hand(world: World, *statements: str, **times: datetime) -> None:
    """What no program of ours would do, as somebody with a database shell does it."""
    with world.store.write() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            names = [name for name in times if f":{name}" in statement]
            typed = [sa.bindparam(name, times[name], type_=Instant) for name in names]
            connection.execute(sa.text(statement).bindparams(*typed))


def drop(world: World, sqlite: str, postgresql: str) -> None:
    by_hand(world, sqlite if world.store.is_sqlite else postgresql)


def broken(world: World, now: datetime = NOW) -> dict[str, list[int]]:
    with world.store.read() as connection:
        return {one.name: list(one.ids) for one in ask_all(connection, now) if one.ids}


def test_after_an_honest_day_every_promise_is_green(world: World) -> None:
    assert world.rows()[0].state == "missed"
    assert {row.state for row in world.rows()} == {"missed", "sent", "planned"}
    assert broken(world) == {}
    with world.store.read() as connection:
        findings = ask_all(connection, NOW)
    assert [one.state for one in findings] == ["green"] * len(PROMISES)
    assert [one.message for one in findings] == [one.sentence for one in PROMISES]


SENT, NEXT, LAST = 4, 5, 6
_CALL = (
    "INSERT INTO calls (clinic_id, client_id, email_id, reason, opened_at, due_at, state)"
    " VALUES (1, 2, {0}, 'failed', :before, :after, 'open')"
)
_ATTEMPT = (
    "INSERT INTO attempts (clinic_id, email_id, worker, token, marked_at, ended_at, outcome)"
    " VALUES (1, {0}, 'w', 't', :before, :after, '{1}')"
)
_SUPPRESSION = (
    "INSERT INTO suppressions (clinic_id, email_folded, reason, created_at) VALUES (1, '{0}', 'dead', :before)"
)
_TREATMENT = (
    "INSERT INTO treatments (clinic_id, client_id, protocol, area, treated_on, created_at, created_by)"
    " VALUES (1, 2, 'scalp-tattoo', 'scalp', '{0}', :before, 'hand')"
)
_CLINIC = "INSERT INTO clinics (id, name, timezone, created_at) VALUES (2, 'Southgate', 'Europe/London', :before)"
_SET = "UPDATE emails SET {1} WHERE id = {0}"


def _copies(outcome: str) -> list[str]:
    """Two more attempts, each under a mark of its own."""
    return [_ATTEMPT.format(SENT, outcome).replace("'t'", f"'{token}'") for token in ("t1", "t2")]


@pytest.mark.parametrize(
    ("name", "ids", "statements"),
    [
        ("P1 window", [SENT], [_SET.format(SENT, "marked_at = :before")]),
        ("P1 window", [SENT], [_SET.format(SENT, "marked_at = useful_until")]),
        ("P1 wishes", [SENT], ["UPDATE clients SET stopped_at = :before WHERE id = 2"]),
        ("P1 wishes", [SENT], ["UPDATE clients SET erased_at = :before WHERE id = 2"]),
        ("P1 wishes", [SENT], ["UPDATE treatments SET cancelled_at = :before WHERE id = 2"]),
        ("P1 address", [SENT], [_SUPPRESSION.format("sam@example.com")]),
        ("P2 copies", [SENT], [_SET.format(SENT, "doubt_retries = 2, doubt_since = :before")]),
        ("P2 copies", [SENT], _copies("sent")),
        ("P2 copies", [SENT], _copies("worker_lost")),
        ("P2 listed", [SENT], [_SET.format(SENT, "doubt_retries = 1")]),
        ("P2 listed", [NEXT], [_ATTEMPT.format(NEXT, "in_doubt")]),
        ("P3 calls", [1], ["DELETE FROM calls"]),
        ("P3 calls", [NEXT], [_SET.format(NEXT, "state = 'failed'")]),
        ("P3 calls", [NEXT], [_SET.format(NEXT, "state = 'unconfirmed', doubt_since = :before")]),
        ("P3 evidence", [NEXT], [_SET.format(NEXT, "state = 'sent', sent_at = :after, marked_at = :after")]),
        ("P4 mark", [SENT], [_SET.format(SENT, "marked_at = NULL")]),
        ("P5 trouble", [NEXT], [_SET.format(NEXT, "state = 'failed', reason = 'relay_trouble'"), _CALL.format(NEXT)]),
        ("P7 one voice", [NEXT, LAST], [_TREATMENT.format("2026-11-21")]),
        ("P7 one voice", [NEXT, LAST], [_TREATMENT.format("2026-11-20")]),
        ("P9 clinics", [LAST], [_CLINIC, _SET.format(LAST, "clinic_id = 2")]),
        ("P9 calls", [1], [_CLINIC, "UPDATE calls SET clinic_id = 2"]),
        ("P9 people", [LAST], [_SET.format(LAST, "client_id = 1")]),
        ("P9 people's calls", [1], ["UPDATE calls SET client_id = 2 WHERE email_id IN (1, 2, 3)"]),
        ("P2 identity", [SENT, NEXT], [_SET.format("4 OR id = 5", "message_id = '<one@example.com>'")]),
        ("clinics", [2], [_CLINIC, "UPDATE clinics SET timezone = 'Mars/X' WHERE id = 2"]),
        ("P1 window", [SENT], [_SET.format(SENT, "sent_at = :before")]),
        ("P11 days", [3, NEXT, LAST], ["UPDATE clinics SET timezone = 'Pacific/Kiritimati'"]),
    ],
)
def test_a_promise_broken_by_hand_is_red_and_no_other(
    world: World, name: str, ids: list[int], statements: list[str]
) -> None:
    by_hand(world, *statements, before=BEFORE, after=AFTER)
    assert broken(world) == {name: ids}


def test_a_reminder_too_soon_after_another_one_is_red(world: World) -> None:
    soon = "due_at = :before, not_before = :before, marked_at = :soon, sent_at = :soon, ended_at = :soon, attempts = 1"
    statements = (_SET.format(NEXT, f"state = 'sent', {soon}"), _ATTEMPT.format(NEXT, "sent"))
    by_hand(world, *statements, before=BEFORE, after=AFTER, soon=at("2026-11-21 21:59"))
    assert broken(world) == {"gap": [NEXT]}
    by_hand(world, _SET.format(NEXT, "marked_at = :soon"), soon=at("2026-11-21 22:00"))
    assert broken(world) == {}


def test_one_mark_told_by_the_rescue_and_by_its_worker_is_one_copy(world: World) -> None:
    by_hand(world, _ATTEMPT.format(SENT, "worker_lost"), _ATTEMPT.format(SENT, "sent"), before=BEFORE, after=AFTER)
    assert broken(world) == {}


def test_a_state_that_nobody_knows_is_red(world: World) -> None:
    drop(world, "SELECT 1", "ALTER TABLE emails DROP CONSTRAINT ck_emails_state")
    by_hand(world, _SET.format(LAST, "state = 'delivered'"))
    assert broken(world) == {"P3 states": [LAST]}


def test_two_e_mails_for_one_step_are_red(world: World) -> None:
    by_hand(world, "DROP INDEX uq_emails_step", _SET.format(LAST, "step = 'day-03'"))
    assert broken(world) == {"P6 once": [LAST]}


def test_a_changed_line_of_the_audit_is_red(world: World) -> None:
    drop(world, "DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_change ON audit")
    by_hand(world, "UPDATE audit SET actor = 'nobody' WHERE id = 2")
    assert broken(world) == {"audit": [2]}


def test_a_line_missing_from_the_audit_is_red(world: World) -> None:
    drop(world, "DROP TRIGGER audit_no_delete", "DROP TRIGGER audit_no_change ON audit")
    by_hand(world, "DELETE FROM audit WHERE id = 2")
    assert broken(world) == {"audit": [3]}


def test_what_waits_longer_than_ten_minutes_is_a_warning(world: World) -> None:
    assert broken(world, at("2026-11-23 10:10")) == {}
    late = datetime.fromisoformat("2026-11-23T10:10:01Z")
    assert broken(world, late) == {"on time": [NEXT]}
    with world.store.read() as connection:
        assert {one.state for one in ask_all(connection, late)} == {"green", "yellow"}


@pytest.mark.parametrize(
    "statements",
    [
        [_SUPPRESSION.format("sam@example.com"), "UPDATE suppressions SET lifted_at = :just"],
        ["UPDATE clients SET email_folded = 'new@example.com' WHERE id = 2", _SUPPRESSION.format("new@example.com")],
        ["UPDATE clients SET stopped_at = :after WHERE id = 2"],
        [_TREATMENT.format("2026-11-19")],
        [_ATTEMPT.format(SENT, "refused")] * 5,
        [_SET.format(LAST, "clinic_id = 1")],
    ],
)
def test_what_only_looks_like_a_breach_is_green(world: World, statements: list[str]) -> None:
    by_hand(world, *statements, before=BEFORE, after=AFTER, just=at("2026-11-21 09:59"))
    assert broken(world) == {}


def test_many_breaches_are_shown_in_part_and_say_so(world: World) -> None:
    for number in range(SHOWN):
        world.treat(world.client(f"Kim{number} Ash"), "2026-11-20")
    by_hand(world, "UPDATE emails SET state = 'missed' WHERE state = 'planned'")
    with world.store.read() as connection:
        finding = next(one for one in ask_all(connection, NOW) if one.name == "P3 calls")
    assert len(finding.ids) == SHOWN
    assert finding.ids == sorted(finding.ids)
    assert finding.message.endswith("and perhaps more")
    assert finding.state == "red"
