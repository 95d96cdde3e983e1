"""Trouble at every step of a real conversation: what was heard, what was sent, what was not."""

import asyncio
import selectors
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from service.domain.replies import CONNECTION_LOST, NOT_SMTP, TIMED_OUT, Heard, Kind, Stage, classify
from service.mail.relay import Conversation
from tests.support.relay_talk import (
    EITHER_WAY,
    FAULTS,
    MESSAGE,
    PARCEL,
    SHORT,
    Marks,
    address_of,
    ended,
    hasty_once_connected,
    run,
    talk,
    usable_after,
)
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
    ScriptedRelay,
    at,
    every,
    first_of,
    greylisting,
    recipients,
)


@pytest.mark.parametrize(("action", "failure"), FAULTS, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@EITHER_WAY
def test_a_lost_reply_says_where_it_was_lost(stage: str, action: Action, failure: str, pipelining: bool) -> None:
    with ScriptedRelay(at(stage, action), pipelining=pipelining) as relay:
        heard, usable = run(usable_after(hasty_once_connected(address_of(relay))))
    where = Stage.MESSAGE if stage == "dot" else Stage(stage)
    assert heard == Heard(where, failure=failure)
    assert not usable
    assert classify(heard).kind is (Kind.IN_DOUBT if stage == "dot" else Kind.TEMPORARY)
    assert relay.log == [] or stage == "dot"


@pytest.mark.parametrize("code", [421, 450, 550])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@EITHER_WAY
def test_a_refusal_is_heard_and_only_421_ends_the_conversation(stage: str, code: int, pipelining: bool) -> None:
    with ScriptedRelay(at(stage, Reply(code, "4.0.0 no")), pipelining=pipelining) as relay:
        heard, usable = run(usable_after(address_of(relay)))
    assert heard == Heard(Stage.MESSAGE if stage == "dot" else Stage(stage), code, "4.0.0 no")
    assert usable is (code != 421)
    assert relay.log == []


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@EITHER_WAY
def test_the_message_after_a_refused_one_goes_out_on_the_same_connection(stage: str, pipelining: bool) -> None:
    other = replace(PARCEL, rcpt_to="other@client.test")
    with ScriptedRelay(at(stage, Reply(550, "5.0.0 no"), only=1), pipelining=pipelining) as relay:
        heard = run(talk(address_of(relay), PARCEL, other))
    assert [one.code for one in heard] == [550, 250]
    assert [one.rcpt_to for one in relay.log] == [("other@client.test",)]
    assert relay.connections == 1
    assert ("RSET" in relay.commands) is (stage != "dot")


@pytest.mark.parametrize(
    ("stage", "refused"), [("mail", Reply(550, "5.7.1 sender")), ("rcpt", Reply(550, "5.1.1 unknown"))]
)
def test_the_first_refusal_counts_and_no_empty_message_is_sent_to_end_the_data(stage: str, refused: Reply) -> None:
    script = first_of(at(stage, refused), at("data", Reply(354, "go on anyway")))
    with ScriptedRelay(script) as relay:
        heard, usable = run(usable_after(address_of(relay)))
        relay.wait_until_alone()
    assert heard == Heard(Stage(stage), 550, str(refused.text))
    assert not usable
    assert "." not in relay.commands


@pytest.mark.parametrize(
    "action", [Drop(), Reset(), Hang(), Garbage(), Reply(421, "bye"), Reply(250, "what?")], ids=str
)
def test_a_refused_recipient_stays_refused_whatever_the_relay_does_next(action: Action) -> None:
    script = first_of(at("rcpt", Reply(550, "5.1.1 unknown")), at("data", action))
    with ScriptedRelay(script) as relay:
        heard, usable = run(usable_after(hasty_once_connected(address_of(relay))))
    assert (heard, usable) == (Heard(Stage.RCPT, 550, "5.1.1 unknown"), False)


@pytest.mark.parametrize(
    ("stage", "code", "expected"),
    [
        ("mail", 354, Heard(Stage.MAIL, failure=NOT_SMTP)),
        ("rcpt", 354, Heard(Stage.RCPT, failure=NOT_SMTP)),
        ("data", 250, Heard(Stage.DATA, failure=NOT_SMTP)),
        ("dot", 354, Heard(Stage.MESSAGE, 354, "odd")),
    ],
)
@EITHER_WAY
def test_a_reply_out_of_step_ends_the_conversation(stage: str, code: int, expected: Heard, pipelining: bool) -> None:
    with ScriptedRelay(at(stage, Reply(code, "odd")), pipelining=pipelining) as relay:
        assert run(usable_after(address_of(relay))) == (expected, False)
    assert relay.log == []


@pytest.mark.parametrize("action", [Reply(502, "what?"), Reply(421, "bye"), Drop()], ids=str)
@EITHER_WAY
def test_a_reset_that_fails_is_trouble_of_the_connection_alone(action: Action, pipelining: bool) -> None:
    script = first_of(at("rcpt", Reply(550, "5.1.1 unknown")), at("rset", action))
    with ScriptedRelay(script, pipelining=pipelining) as relay:
        heard = run(talk(address_of(relay), PARCEL, PARCEL))
    verdict = classify(heard[1])
    assert heard[1].stage is Stage.MAIL
    assert (verdict.kind, verdict.counts) == (Kind.TEMPORARY, False)


def test_a_lost_reply_to_the_dot_is_in_doubt_whether_the_relay_kept_the_message_or_not() -> None:
    for keep in (True, False):
        with ScriptedRelay(at("dot", AcceptAndDrop(keep=keep))) as relay:
            heard = run(talk(address_of(relay), PARCEL))
        assert heard == [Heard(Stage.MESSAGE, failure=CONNECTION_LOST)]
        assert len(relay.log) == keep


HUGE = replace(PARCEL, message=MESSAGE + b"\r\n" * 8_000_000)


@pytest.mark.parametrize(
    ("action", "failure"),
    [(Hang(reading=False), TIMED_OUT), (Each((Read(1), Reply(250, "early"), Hang(reading=False))), NOT_SMTP)],
    ids=str,
)
def test_nothing_is_in_doubt_while_the_end_of_the_message_has_not_left(action: Action, failure: str) -> None:
    with ScriptedRelay(at("body", action)) as relay:
        heard = run(talk(hasty_once_connected(address_of(relay)), HUGE))
    assert heard[0].stage is Stage.DATA
    assert heard[0].failure == failure
    assert classify(heard[0]).kind is Kind.TEMPORARY


def test_a_refusal_in_the_middle_of_the_message_is_heard() -> None:
    enough = Each((Read(1), Reply(552, "5.3.4 enough"), Hang(reading=False)))
    with ScriptedRelay(at("body", enough)) as relay:
        heard, usable = run(usable_after(address_of(relay), HUGE))
    assert heard == Heard(Stage.MESSAGE, 552, "5.3.4 enough")
    assert not usable
    assert relay.log == []


@EITHER_WAY
def test_the_whole_message_has_one_limit_however_steadily_the_replies_drip(pipelining: bool) -> None:
    def slow(stage: str, _argument: str, _count: int) -> Action | None:
        return Drip(0.015) if stage in {"mail", "rcpt", "data"} else None

    with ScriptedRelay(slow, pipelining=pipelining) as relay:
        heard, usable = run(usable_after(replace(address_of(relay), session_timeout=SHORT)))
    assert (heard.failure, usable) == (TIMED_OUT, False)
    assert heard.stage in {Stage.RCPT, Stage.DATA}


def test_a_relay_that_closes_an_idle_connection_is_noticed_before_the_next_message() -> None:
    async def work() -> tuple[bool, Heard]:
        conversation = await Conversation.open(address_of(relay))
        await conversation.send(PARCEL, Marks())
        await ended(conversation)
        mark = Marks()
        late = await conversation.send(PARCEL, mark)
        await conversation.close()
        return mark.calls == 0, late

    for goodbye in (Reply(421, "4.4.2 idle too long"), Drop(), Garbage(b"4")):
        with ScriptedRelay(at("dot", Each((Reply(250, "ok"), goodbye)))) as relay:
            assert run(work()) == (True, Heard(Stage.MAIL, failure=CONNECTION_LOST))


def test_every_nth_message_can_meet_a_421_and_the_others_arrive() -> None:
    async def work() -> list[int | None]:
        codes = []
        for number in range(6):
            heard = await talk(address_of(relay), replace(PARCEL, rcpt_to=f"{number}@client.test"))
            codes.append(heard[0].code)
        return codes

    with ScriptedRelay(every(3, "rcpt", Reply(421, "4.7.0 slow down"))) as relay:
        assert run(work()) == [250, 250, 421, 250, 250, 421]
    assert len(relay.log) == 4


def test_recipients_get_their_own_answers() -> None:
    script = first_of(recipients({"gone@client.test": Reply(550, "5.1.1 unknown")}), greylisting())
    with ScriptedRelay(script) as relay:
        gone = replace(PARCEL, rcpt_to="gone@client.test")
        heard = run(talk(address_of(relay), gone, PARCEL, PARCEL))
    assert [one.code for one in heard] == [550, 451, 250]


def test_closing_never_waits_for_a_relay_that_has_stopped_listening() -> None:
    for action in (Hang(), Drop(), Reset(), Garbage(), Reply(500, "never")):
        with ScriptedRelay(at("quit", action)) as relay:
            assert run(talk(hasty_once_connected(address_of(relay)), PARCEL))[0].code == 250


def test_closing_twice_is_harmless() -> None:
    async def work() -> None:
        conversation = await Conversation.open(address_of(relay))
        await conversation.close()
        await conversation.close()
        assert not conversation.usable

    with ScriptedRelay() as relay:
        run(work())


class Standing(selectors.DefaultSelector):
    """With `until` set, the process looks at its sockets and then stands still until that is true, as if frozen there."""

    until: Callable[[], bool] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.until is None:
            return super().select(timeout)
        until, self.until = self.until, None
        found = super().select(0)
        while not until():
            time.sleep(0.001)
        return found


def test_a_process_that_stood_still_past_the_limit_hears_the_reply_that_came_meanwhile() -> None:
    standing = Standing()
    relay = ScriptedRelay(at("dot", Delay(0.2)))

    async def work() -> Heard:
        conversation = await Conversation.open(hasty_once_connected(address_of(relay)))
        saying = asyncio.create_task(conversation.send(PARCEL, Marks()))
        while not relay.counts["dot"]:  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0)
        over = time.monotonic() + 2 * SHORT
        standing.until = lambda: bool(relay.log) and time.monotonic() > over
        heard = await saying
        await conversation.close()
        return heard

    with relay, asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(standing)) as runner:
        assert runner.run(work()).code == 250
