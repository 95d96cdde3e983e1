"""The judge sees what it is there to see: one planted violation after the other, none of which the product made."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from service.store.tables import emails
from tests.faults.evidence import ADDRESS, NAME, PUBLIC_URL, canary, open_second_clinic, parsed, readable, too_close
from tests.faults.judging import BrokenError, Case, make_case
from tests.faults.working import rounds_at, worker_of
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import at

MAILS = 6
SMALL_HOURS = at("2026-11-21 04:00")


@pytest.fixture
def case(sqlite_template: Path, tmp_path: Path) -> Iterator[Case]:
    """Six mails of two clinics, not sent yet."""
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    made = make_case(f"sqlite:///{path}", tmp_path, MAILS, 1)
    open_second_clinic(made.store, made.now)
    with made.program:
        yield made
    made.store.close()


def sent(case: Case, minutes: float = 0) -> Case:
    """All of them are sent, so many minutes after the run began by its own clock."""
    with ScriptedRelay(log_file=case.log) as relay:
        rounds_at(worker_of(case, relay_port=str(relay.port)), case, (minutes,))
    return case


def change(case: Case, **values: datetime) -> None:
    with case.store.write() as connection:
        connection.execute(sa.update(emails).where(emails.c.state.in_(("planned", "sent"))).values(**values))


def falsify(case: Case, swap: Callable[[str, str], str]) -> None:
    """Write the log anew with another content of its first message; swap: (its content, the next one's) -> content."""
    lines = [json.loads(line) for line in case.log.read_text("utf-8").splitlines()]
    lines[0]["data"] = swap(lines[0]["data"], lines[1]["data"])
    case.log.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def found_by(case: Case) -> str:
    with pytest.raises(BrokenError) as caught:
        case.judge(here=True)
    return str(caught.value)


def test_six_good_mails_of_two_clinics_are_good(case: Case) -> None:
    """And the judge had something to look at: a name, a link and a clinic in each."""
    assert sent(case).judge().sent == MAILS
    said = [readable(parsed(copy)) for copy in case.copies()]
    assert all(NAME.search(words) and PUBLIC_URL in words for words in said)
    assert {"Southgate" in words for words in said} == {True, False}


def test_a_mail_before_its_hour_is_seen(case: Case) -> None:
    change(sent(case), due_at=case.now + timedelta(minutes=1))
    assert "before its hour" in found_by(case)


def test_a_mail_after_its_shelf_life_is_seen(case: Case) -> None:
    change(sent(case, 30), useful_until=case.now + timedelta(minutes=29))
    assert "after the end" in found_by(case)


def test_hours_are_those_of_the_runs_own_clock(case: Case) -> None:
    """By the machine's clock these would have gone two hours early, and those of the test before in time."""
    change(case, due_at=case.now + timedelta(hours=2), not_before=case.now + timedelta(hours=2))
    assert sent(case, 121).judge(at=181, here=True).sent == MAILS


def email_of(client: int, **more: object) -> SimpleNamespace:
    usual = {"kind": "reminder", "attempts": 1, "doubt_retries": 0, "useful_until": SMALL_HOURS + timedelta(days=2)}
    return SimpleNamespace(**{"client_id": client, **usual, **more})


@pytest.mark.parametrize("kind", ["reminder", "catch_up"])
@pytest.mark.parametrize("hours", [0, 1, 11.99])
def test_two_reminders_of_one_client_within_the_gap_are_seen(kind: str, hours: float) -> None:
    rows = {1: email_of(7), 2: email_of(7, kind=kind)}
    when = {1: [SMALL_HOURS], 2: [SMALL_HOURS + timedelta(hours=hours)]}
    assert len(too_close(rows, when)) == 1


@pytest.mark.parametrize(
    ("hours", "second"),
    [
        (12, email_of(7)),
        (1, email_of(8)),
        (1, email_of(7, kind="hello")),
        (1, email_of(7, attempts=2)),
        (1, email_of(7, doubt_retries=1)),
        (1, email_of(7, useful_until=SMALL_HOURS + timedelta(hours=12))),
    ],
    ids=["far apart", "another client", "a hello", "a retry", "a repeat in doubt", "it would spoil"],
)
def test_what_design_allows_within_the_gap_is_let_pass(hours: float, second: SimpleNamespace) -> None:
    assert too_close({1: email_of(7), 2: second}, {1: [SMALL_HOURS], 2: [SMALL_HOURS + timedelta(hours=hours)]}) == []


def test_a_repeat_counts_for_the_gap_of_what_follows() -> None:
    rows = {1: email_of(7, doubt_retries=1), 2: email_of(7)}
    first = [SMALL_HOURS, SMALL_HOURS + timedelta(minutes=31)]
    assert too_close(rows, {1: first, 2: [SMALL_HOURS + timedelta(hours=12)]})


def named(pattern: str) -> Callable[[str, str], str]:
    """The first message with what the next one holds at `pattern`, in its own place."""

    def swap(mine: str, theirs: str) -> str:
        other = re.findall(pattern, theirs)[0]
        return re.sub(pattern, lambda _: other, mine)

    return swap


@pytest.mark.parametrize(
    ("swap", "words"),
    [
        (named(NAME.pattern), "its greeting names"),
        (lambda mine, theirs: mine.replace("Dear", "Ana" + NAME.findall(theirs)[0]), "it names another client"),
        (lambda mine, theirs: mine.replace("Dear", ADDRESS.findall(theirs)[0]), "it holds another client's address"),
        (named(r"/s/[\w-]+"), "its links are not its client's"),
        (lambda mine, _: mine.replace("Northgate", "Southgate"), "it does not name its clinic"),
        (lambda mine, _: mine.replace("Subject:", "X-Of: Southgate\r\nSubject:"), "it names another clinic"),
    ],
    ids=["greeting", "name", "address", "link", "own clinic", "other clinic"],
)
def test_what_belongs_to_somebody_else_is_seen(case: Case, swap: Callable[[str, str], str], words: str) -> None:
    falsify(sent(case), swap)
    assert words in found_by(case)


@pytest.mark.parametrize("what", ["name", "address", "link"])
def test_a_client_in_a_processs_log_is_seen(case: Case, what: str) -> None:
    sent(case)
    token = readable(parsed(case.copies()[0])).partition(f"{PUBLIC_URL}/s/")[2].split()[0].rstrip(">")
    said = {"name": f"hello Ana{canary(3)}", "address": "to client3@example.com", "link": f"GET /s/{token}"}[what]
    (case.program.folder / "0.log").write_text(f"sending\n{said}\n", "utf-8")
    assert "the log 0.log tells 1 clients' own" in found_by(case)


def test_a_damaged_database_is_seen(case: Case) -> None:
    sent(case)
    with closing(sqlite3.connect(str(case.store.url.database), isolation_level=None)) as hurt:
        hurt.execute("PRAGMA ignore_check_constraints = ON")
        hurt.execute("UPDATE emails SET state = 'nowhere' WHERE id = (SELECT min(id) FROM emails)")
        hurt.execute("UPDATE treatments SET client_id = 4711 WHERE id = 1")
    told = found_by(case)
    assert "the database is damaged" in told
    assert "orphaned: a row of treatments" in told


@pytest.mark.parametrize("here", [True, False])
def test_a_promise_that_only_check_asks_for_is_asked(case: Case, here: bool) -> None:
    with sent(case).store.write() as connection:
        first = sa.select(sa.func.min(emails.c.id)).scalar_subquery()
        connection.execute(sa.update(emails).where(emails.c.id == first).values(doubt_retries=2, doubt_since=case.now))
    with pytest.raises(AssertionError, match="At most one repeat"):
        case.judge(here=here)
