"""The mark comes after the go-ahead and before the message, and without it no byte leaves."""

import asyncio
import select
import threading

import pytest

from service.domain.replies import CONNECTION_LOST, NOT_SMTP, Heard, Stage
from service.mail.relay import Conversation
from tests.support.relay_talk import EITHER_WAY, PARCEL, Marks, address_of, ended, run, talk
from tests.support.scripted_relay import Action, Drop, Garbage, Hang, Reply, Reset, ScriptedRelay, at


@EITHER_WAY
def test_the_mark_comes_once_after_the_go_ahead_and_before_the_message(pipelining: bool) -> None:
    with ScriptedRelay(pipelining=pipelining) as relay:
        known: list[list[str]] = []

        async def look() -> None:
            known.append(list(relay.commands))

        mark = Marks(answer=True, then=look)
        run(talk(address_of(relay), PARCEL, mark=mark))
    assert mark.calls == 1
    assert known[0][-1] == "DATA"


@EITHER_WAY
def test_without_the_mark_no_byte_of_the_message_leaves(pipelining: bool) -> None:
    with ScriptedRelay(pipelining=pipelining) as relay:
        mark = Marks(answer=False)
        heard = run(talk(address_of(relay), PARCEL, PARCEL, mark=mark))
        relay.wait_until_alone()
    assert (heard, mark.calls) == ([Heard(Stage.MARK, failure="withheld")], 1)
    assert (relay.log, relay.cut_off) == ([], [b""])
    assert "." not in relay.commands


def test_a_mark_that_fails_withholds_the_message() -> None:
    async def fail() -> None:
        raise LookupError("a bug")

    with ScriptedRelay() as relay:
        with pytest.raises(LookupError):
            run(talk(address_of(relay), PARCEL, mark=Marks(then=fail)))
        relay.wait_until_alone()
    assert (relay.log, relay.cut_off) == ([], [b""])


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
@EITHER_WAY
def test_no_mark_is_asked_for_where_the_relay_did_not_say_go_on(stage: str, pipelining: bool) -> None:
    for action in (Reply(550, "5.7.1 no"), Reply(450, "4.7.1 later"), Drop()):
        mark = Marks()
        with ScriptedRelay(at(stage, action), pipelining=pipelining) as relay:
            run(talk(address_of(relay), PARCEL, mark=mark))
        assert mark.calls == 0


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Drop(), Heard(Stage.DATA, failure=CONNECTION_LOST)),
        (Reset(), Heard(Stage.DATA, failure=CONNECTION_LOST)),
        (Reply(421, "4.4.2 too slow"), Heard(Stage.DATA, 421, "4.4.2 too slow")),
        (Reply(552, "5.3.4 after all no"), Heard(Stage.DATA, 552, "5.3.4 after all no")),
        (Reply(250, "queued"), Heard(Stage.DATA, None, "queued", NOT_SMTP)),
        (Garbage(b"25"), Heard(Stage.DATA, failure=NOT_SMTP)),
    ],
    ids=str,
)
def test_a_relay_that_gives_up_during_the_mark_has_accepted_nothing(action: Action, expected: Heard) -> None:
    async def work() -> Heard:
        conversation = await Conversation.open(address_of(relay))
        try:
            return await conversation.send(PARCEL, Marks(then=lambda: ended(conversation)))
        finally:
            await conversation.close()

    with ScriptedRelay(at("body", action)) as relay:
        assert run(work()) == expected
        relay.wait_until_alone()
    assert relay.log == []
    assert "." not in relay.commands


def test_a_cancelled_conversation_sends_no_dot() -> None:
    async def work() -> None:
        conversation = await Conversation.open(address_of(relay))
        waiting = asyncio.Event()

        async def hold() -> None:
            waiting.set()
            await asyncio.Event().wait()

        sending = asyncio.create_task(conversation.send(PARCEL, Marks(then=hold)))
        await waiting.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not conversation.usable
        await conversation.close()

    with ScriptedRelay() as relay:
        run(work())
        relay.wait_until_alone()
    assert (relay.log, relay.cut_off) == ([], [b""])


def test_a_message_of_which_the_system_took_no_byte_is_not_in_doubt() -> None:
    """The connection is reset during the mark, and the message is written before the loop could notice."""

    async def work() -> Heard:
        conversation = await Conversation.open(address_of(relay))

        async def block_until_the_reset_is_here() -> None:
            poll = select.poll()
            poll.register(conversation._dialogue._transport.get_extra_info("socket").fileno(), 0)
            assert poll.poll(5000)

        try:
            return await conversation.send(PARCEL, Marks(then=block_until_the_reset_is_here))
        finally:
            await conversation.close()

    with ScriptedRelay(at("body", Reset())) as relay:
        assert run(work()) == Heard(Stage.DATA, failure=CONNECTION_LOST)


@pytest.mark.parametrize(("stage", "where"), [("rcpt", Stage.RCPT), ("dot", Stage.MESSAGE)])
def test_closing_under_a_message_says_how_far_it_came(stage: str, where: Stage) -> None:
    """Pulling the plug while the relay has the whole message leaves that message in doubt, and says so."""

    async def work() -> Heard:
        conversation = await Conversation.open(address_of(relay))
        sending = asyncio.create_task(conversation.send(PARCEL, Marks()))
        await asyncio.to_thread(reached.wait, 5)
        with pytest.raises(RuntimeError, match="one message at a time"):
            await conversation.send(PARCEL, Marks())
        await conversation.close()
        return await sending

    reached = threading.Event()

    def script(now: str, _argument: str, _count: int) -> Action | None:
        if now != stage:
            return None
        reached.set()
        return Hang()

    with ScriptedRelay(script, pipelining=False) as relay:
        assert run(work()) == Heard(where, failure=CONNECTION_LOST)
