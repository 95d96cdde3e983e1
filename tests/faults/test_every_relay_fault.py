"""Every way in which a relay misbehaves, one after the other: what is lost, repeated or spent on it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.faults.judging import Case, Tally, make_case
from tests.faults.working import rounds_at, worker_of
from tests.support.relay_talk import server_side
from tests.support.scripted_relay import (
    AcceptAndDrop,
    Action,
    Delay,
    Drip,
    Drop,
    Each,
    Garbage,
    Hang,
    Read,
    Reply,
    Reset,
    Script,
    ScriptedRelay,
    Security,
    at,
    every,
    first_of,
    greylisting,
)

Told = Callable[[str, Tally], None]
MAILS = 24
#: Minutes at which rounds are run while the relay misbehaves, and after it was mended: what is put off comes again.
TROUBLED = (0, 2, 7, 20, 45)
WELL = (90, 130, 170, 210)


@dataclass(frozen=True)
class Fault:
    """One misbehaviour. doubt: whether a reply to a message can be lost, so that some may go twice.

    settled: it ends the mails it hits (a refusal). spends: it may cost attempts.
    """

    name: str
    script: Callable[[], Script]
    doubt: bool = False
    settled: bool = False
    spends: bool = False
    relay: dict[str, object] = field(default_factory=dict)


def nth(stage: str, action: Action, number: int = 5) -> Callable[[], Script]:
    return lambda: every(number, stage, action)


def first(stage: str, action: Action, times: int = 2) -> Callable[[], Script]:
    """Only the first few times: a relay in trouble that recovers."""
    return lambda: lambda now, _, count: action if now == stage and count <= times else None


def by_recipient() -> Script:
    """A code a recipient, by the number in the address: 0 unknown, 1 full for now, 2 policy, others taken."""
    codes = {
        0: Reply(550, "5.1.1 user unknown"),
        1: Reply(452, "4.2.2 mailbox full"),
        2: Reply(554, "5.7.1 refused by policy"),
    }
    seen: set[str] = set()

    def script(stage: str, argument: str, _count: int) -> Action | None:
        if stage != "rcpt":
            return None
        kind = int(argument.partition("@")[0].removeprefix("client")) % 6
        again = argument in seen
        seen.add(argument)
        return None if kind == 1 and again else codes.get(kind)

    return script


MISBEHAVIOURS: tuple[tuple[str, Action], ...] = (
    ("drops", Drop()),
    ("resets", Reset()),
    ("hangs", Hang()),
    ("talks garbage", Garbage()),
    ("drips", Drip(0.4)),
)
STAGES = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "quit")


def faults() -> list[Fault]:
    found = []
    for stage in STAGES:
        for words, action in MISBEHAVIOURS:
            if stage == "body" and words in ("drips", "talks garbage"):
                continue  # there it says nothing of its own
            when = first if stage in ("connect", "ehlo") else nth
            found.append(Fault(f"{words} at {stage}", when(stage, action), doubt=stage in ("body", "dot")))
    half = Each((Read(2000), Drop()))
    return [
        *found,
        Fault("drops in the middle of a message", nth("body", half), doubt=True),
        Fault("accepts and drops", nth("dot", AcceptAndDrop()), doubt=True),
        Fault("forgets the message and drops", nth("dot", AcceptAndDrop(keep=False)), doubt=True),
        Fault("answers 421 at every 3rd MAIL", nth("mail", Reply(421, "4.3.2 closing"), 3)),
        Fault("answers 421 at every 3rd RCPT", nth("rcpt", Reply(421, "4.3.2 closing"), 3)),
        Fault("answers 421 at every 5th dot", nth("dot", Reply(421, "4.3.2 closing")), spends=True),
        Fault("answers 451 at every 5th dot", nth("dot", Reply(451, "4.3.0 try again")), spends=True),
        Fault("answers 452 too many recipients", nth("rcpt", Reply(452, "4.5.3 too many"), 4)),
        Fault("greets with 554", first("connect", Reply(554, "no service here"))),
        Fault("refuses our sender for a while", first("mail", Reply(550, "5.1.8 bad sender"), 1)),
        Fault("denies relaying for a while", first("rcpt", Reply(550, "5.7.1 relay access denied"), 1)),
        Fault("greylists everybody once", greylisting, spends=True),
        Fault("refuses by recipient", by_recipient, settled=True, spends=True),
        Fault("has no PIPELINING and is slow", lambda: at("rcpt", Delay(0.02)), relay={"pipelining": False}),
        Fault("has no PIPELINING and drops", nth("dot", Drop()), doubt=True, relay={"pipelining": False}),
        Fault("takes only 1,000 bytes for a while", first_of, relay={"size": 1000}),
    ]


#: A relay that stays silent costs seconds, not minutes.
HASTY = {
    "relay_connect_timeout": "3",
    "relay_reply_timeout": "0.6",
    "relay_dot_timeout": "0.6",
    "relay_session_timeout": "5",
    "relay_connections": "2",
}


@pytest.fixture
def case_for(sqlite_template: Path, tmp_path: Path) -> Callable[..., Case]:
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    return lambda port, **settings: make_case(f"sqlite:///{path}", tmp_path, MAILS, port, **(HASTY | settings))


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name.replace(" ", "-"))
def test_nothing_is_lost_on_a_relay_that(
    case_for: Callable[..., Case], tmp_path: Path, told: Told, fault: Fault
) -> None:
    with ScriptedRelay(fault.script(), log_file=tmp_path / "relay.jsonl", **fault.relay) as relay:  # type: ignore[arg-type]
        case = case_for(relay.port)
        with case.program:
            worker = worker_of(case)
            rounds_at(worker, case, TROUBLED)
            hit = case.states()
            relay.script, relay.size = first_of(), None
            rounds_at(worker, case, WELL)
            tally = case.judge(at=300)
            states, spent = case.states(), max(row.attempts for row in case.rows())
        case.store.close()
    told(f"relay {fault.name}", tally)
    assert set(states) <= {"sent", "unconfirmed", "failed"}, (hit, states)
    assert fault.settled or not states["failed"]
    assert fault.doubt or not (tally.twice or states["unconfirmed"])
    assert fault.doubt or fault.spends or spent == 1
    assert tally.sent + states["unconfirmed"] + states["failed"] >= MAILS


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["another name", "expired", "unknown authority", "STARTTLS stripped"])
def test_a_relay_that_cannot_prove_itself_gets_nothing_and_costs_nobody(
    case_for: Callable[..., Case], tmp_path: Path, told: Told, fault: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    right = Security(server_side(authority.issue_cert("127.0.0.1")))
    with ScriptedRelay(tls=wrong(fault, authority, right.context), log_file=tmp_path / "relay.jsonl") as relay:
        case = case_for(relay.port, relay_tls="starttls", relay_ca_file=str(tmp_path / "ca.pem"))
        with case.program:
            worker = worker_of(case)
            rounds_at(worker, case, TROUBLED)
            assert case.states() == {"planned": MAILS}
            assert {row.attempts for row in case.rows()} == {0}
            assert not relay.counts["mail"]
            relay.tls = right
            rounds_at(worker, case, WELL)
            tally = case.judge(at=300)
        case.store.close()
    assert (tally.sent, tally.twice) == (MAILS, 0)
    told(f"relay TLS: {fault}, mended later", tally)


def wrong(fault: str, authority: trustme.CA, right: ssl.SSLContext) -> Security:
    past = datetime.now(UTC) - timedelta(days=1)
    match fault:
        case "another name":
            return Security(server_side(authority.issue_cert("relay.elsewhere.test")))
        case "expired":
            certificate = authority.issue_cert("127.0.0.1", not_before=past - timedelta(days=9), not_after=past)
            return Security(server_side(certificate))
        case "unknown authority":
            return Security(server_side(trustme.CA().issue_cert("127.0.0.1")))
    return Security(right, offered=False)
