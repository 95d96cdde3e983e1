"""Real conversations with a relay that misbehaves at every step: what was heard, what was sent, what was not."""

import asyncio
import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.replies import CONNECTION_LOST, NOT_SMTP, TIMED_OUT, Heard, Kind, Scope, Stage, Verdict, classify
from service.mail.parcel import Parcel
from service.mail.relay import Conversation, NotOpened, RelayAddress
from tests.support.scripted_relay import (
    AcceptAndDrop,
    Action,
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
    recipients,
)

T = TypeVar("T")
MESSAGE = b"Message-ID: <1@clinic.test>\r\nSubject: Today\r\n\r\nAll is well.\r\n.leading dot\r\n..two\r\n"
PARCEL = Parcel("bounce-1@clinic.test", "jane.doe@client.test", MESSAGE)
SHORT = 0.2
FAULTS: list[tuple[Action, str]] = [
    (Drop(), CONNECTION_LOST),
    (Reset(), CONNECTION_LOST),
    (Hang(), TIMED_OUT),
    (Drip(0.05), TIMED_OUT),
    (Garbage(), NOT_SMTP),
    (Garbage(b"250 " + b"x" * 8_000_000 + b"\r\n"), NOT_SMTP),
    (Garbage(b"250-again\r\n" * 200), NOT_SMTP),
    (Garbage(b"250-one\r\n550 other\r\n"), NOT_SMTP),
    (Garbage(b"999 nonsense\r\n"), NOT_SMTP),
    (Garbage(b"25\r\n"), NOT_SMTP),
]
EITHER_WAY = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "one by one"])


class Marks:
    """The mark of a test: counts its calls and answers as told."""

    def __init__(self, answer: bool = True, then: Callable[[], Awaitable[None]] | None = None) -> None:
        self.calls = 0
        self._answer = answer
        self._then = then

    async def __call__(self) -> bool:
        self.calls += 1
        if self._then:
            await self._then()
        return self._answer


def address_of(relay: ScriptedRelay, tls: Literal["starttls", "implicit", "none"] = "none") -> RelayAddress:
    return RelayAddress("127.0.0.1", relay.port, tls=tls, local_hostname="desk.clinic.test")


def hasty(address: RelayAddress) -> RelayAddress:
    return replace(address, connect_timeout=SHORT, reply_timeout=SHORT, dot_timeout=SHORT)


async def talk(
    address: RelayAddress, *parcels: Parcel, mark: Callable[[], Awaitable[bool]] | None = None
) -> list[Heard]:
    """What is heard about each parcel over one conversation, as long as it is usable."""
    heard = []
    conversation = await Conversation.open(address)
    try:
        for parcel in parcels:
            if conversation.usable:
                heard += [await conversation.send(parcel, mark or Marks())]
    finally:
        await conversation.close()
    return heard


async def usable_after(address: RelayAddress, parcel: Parcel = PARCEL) -> tuple[Heard, bool]:
    conversation = await Conversation.open(address)
    try:
        heard = await conversation.send(parcel, Marks())
        return heard, conversation.usable
    finally:
        await conversation.close()


async def ended(conversation: Conversation) -> None:
    """Return when the relay has ended this conversation; a connection's end has no event to wait for."""
    async with asyncio.timeout(5):
        while conversation.usable:  # noqa: ASYNC110
            await asyncio.sleep(0)


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def not_opened(address: RelayAddress) -> Heard:
    with pytest.raises(NotOpened) as refused:
        run(talk(address))
    return refused.value.heard


# -- the straight way


@EITHER_WAY
def test_an_accepted_message_arrives_byte_for_byte(pipelining: bool) -> None:
    with ScriptedRelay(pipelining=pipelining) as relay:
        heard = run(talk(address_of(relay), PARCEL))
        relay.wait_until_alone()
    assert heard == [Heard(Stage.MESSAGE, 250, "2.0.0 queued")]
    assert [(one.data, one.mail_from, one.rcpt_to, one.message_id) for one in relay.log] == [
        (MESSAGE, PARCEL.mail_from, (PARCEL.rcpt_to,), "<1@clinic.test>")
    ]
    assert [line.partition(" ")[0] for line in relay.commands] == ["EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"]


@EITHER_WAY
def test_one_conversation_carries_many_messages(pipelining: bool) -> None:
    parcels = [replace(PARCEL, rcpt_to=f"client{number}@client.test") for number in range(5)]
    with ScriptedRelay(pipelining=pipelining) as relay:
        heard = run(talk(address_of(relay), *parcels))
    assert [one.code for one in heard] == [250] * 5
    assert [one.rcpt_to for one in relay.log] == [(parcel.rcpt_to,) for parcel in parcels]
    assert relay.connections == 1


def test_a_message_larger_than_any_buffer_arrives_whole() -> None:
    large = MESSAGE + b"".join(b".%d\r\n" % number for number in range(300_000))
    with ScriptedRelay() as relay:
        assert run(talk(address_of(relay), replace(PARCEL, message=large)))[0].code == 250
    assert relay.log[0].data == large


LINES = st.lists(st.sampled_from([b"", b".", b"..", b"text", b".text", b"a.b", b". "]), min_size=1, max_size=12)


def test_dots_come_back_as_they_were_sent() -> None:
    with ScriptedRelay() as relay:

        @settings(max_examples=60, deadline=None)
        @given(messages=st.lists(LINES, min_size=1, max_size=4))
        def round_trip(messages: list[list[bytes]]) -> None:
            relay.log.clear()
            parcels = [replace(PARCEL, message=b"\r\n".join([*lines, b""])) for lines in messages]
            run(talk(address_of(relay), *parcels))
            assert [one.data for one in relay.log] == [parcel.message for parcel in parcels]

        round_trip()


def test_a_message_stuffed_by_its_writer_is_not_stuffed_again() -> None:
    with ScriptedRelay() as relay:
        run(talk(address_of(relay), replace(PARCEL, message=b"a\r\n..b\r\n", stuffed=True)))
    assert relay.log[0].data == b"a\r\n.b\r\n"


@pytest.mark.parametrize("code", [250, 251, 252, 299])
def test_any_positive_reply_to_the_dot_is_accepted_whatever_follows(code: int) -> None:
    for after in (Drop(), Reset(), Garbage()):
        with ScriptedRelay(at("dot", Each((Reply(code, "2.0.0 ok"), after)))) as relay:
            heard = run(talk(address_of(relay), PARCEL))
        assert heard == [Heard(Stage.MESSAGE, code, "2.0.0 ok")]
        assert classify(heard[0]).kind is Kind.ACCEPTED


# -- the mark


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


def test_a_mark_that_fails_withholds_the_message_and_names_no_data() -> None:
    async def fail() -> None:
        raise LookupError("jane.doe@client.test")

    with ScriptedRelay() as relay:
        heard = run(talk(address_of(relay), PARCEL, mark=Marks(then=fail)))
        relay.wait_until_alone()
    assert heard == [Heard(Stage.MARK, failure="mark failed (LookupError)")]
    assert relay.cut_off == [b""]


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


# -- trouble at every step


@pytest.mark.parametrize(("action", "failure"), FAULTS, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@EITHER_WAY
def test_a_lost_reply_says_where_it_was_lost(stage: str, action: Action, failure: str, pipelining: bool) -> None:
    with ScriptedRelay(at(stage, action), pipelining=pipelining) as relay:
        heard, usable = run(usable_after(hasty(address_of(relay))))
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
        heard, usable = run(usable_after(hasty(address_of(relay))))
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
        heard = run(talk(hasty(address_of(relay)), HUGE))
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
        return Drip(0.01) if stage in {"mail", "rcpt", "data"} else None

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
            assert run(talk(hasty(address_of(relay)), PARCEL))[0].code == 250


def test_closing_twice_is_harmless() -> None:
    async def work() -> None:
        conversation = await Conversation.open(address_of(relay))
        await conversation.close()
        await conversation.close()
        assert not conversation.usable

    with ScriptedRelay() as relay:
        run(work())


# -- what may be sent at all


@pytest.mark.parametrize(
    "parcel",
    [
        replace(PARCEL, message="ä\r\n".encode()),
        replace(PARCEL, message=b"no line end"),
        replace(PARCEL, message=b"bare\nline feed\r\n"),
        replace(PARCEL, message=b"bare\rreturn\r\n"),
        replace(PARCEL, message=b""),
        replace(PARCEL, rcpt_to=""),
        replace(PARCEL, rcpt_to="a@b.test>\r\nRCPT TO:<c@d.test"),
        replace(PARCEL, rcpt_to="a b@c.test"),
        replace(PARCEL, mail_from="a@b.test> SIZE=1"),
    ],
    ids=str,
)
def test_what_could_be_read_as_another_command_or_message_is_refused(parcel: Parcel) -> None:
    with ScriptedRelay() as relay, pytest.raises(ValueError, match=r"address|message"):
        run(talk(address_of(relay), parcel))
    assert not relay.counts["mail"]


def test_an_empty_sender_is_allowed() -> None:
    with ScriptedRelay() as relay:
        run(talk(address_of(relay), replace(PARCEL, mail_from="")))
    assert relay.log[0].mail_from == ""


def test_a_message_larger_than_announced_is_not_sent_and_the_next_one_is() -> None:
    large = replace(PARCEL, message=MESSAGE + b"x\r\n" * 100)
    with ScriptedRelay(size=len(MESSAGE)) as relay:
        heard = run(talk(address_of(relay), large, PARCEL))
    assert heard[0] == Heard(Stage.DATA, 552, "5.3.4 larger than the relay takes")
    assert heard[1].code == 250
    assert relay.counts["mail"] == 1


def test_a_size_of_zero_announces_no_limit() -> None:
    with ScriptedRelay(size=0) as relay:
        assert run(talk(address_of(relay), PARCEL))[0].code == 250


def test_an_address_with_foreign_letters_goes_out_only_where_the_relay_takes_it() -> None:
    foreign = replace(PARCEL, rcpt_to="josé@client.test")
    with ScriptedRelay(smtputf8=True) as relay:
        assert run(talk(address_of(relay), foreign))[0].code == 250
        assert relay.log[0].rcpt_to == ("josé@client.test",)
        assert relay.commands[1].endswith(" SMTPUTF8")
    with ScriptedRelay() as relay:
        heard = run(talk(address_of(relay), foreign, replace(PARCEL, mail_from="é@clinic.test")))
        assert [(one.stage, one.code) for one in heard] == [(Stage.RCPT, 553), (Stage.MAIL, 553)]
        assert not relay.counts["mail"]


# -- what is kept of the words


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("5.1.1 <jane.doe@client.test>: unknown", "5.1.1 <address>: unknown"),
        ("5.1.1 Jane.Doe: user unknown", "5.1.1 <address>: user unknown"),
        ("see why?id=jane.doe%40client.test;ip=1", "see <address>;ip=1"),
        ('"jane doe"@client.test unknown', "<address> unknown"),
        ("other@[192.0.2.1] too", "<address> too"),
        ("tab\tbell\x07 null\x00 high\x9b end", "tab bell null high end"),
        ("x" * 499 + "é" + "y" * 10, "x" * 499 + "é"),
        (" ".join(["word"] * 300), (" ".join(["word"] * 300))[:500]),
        (("5.1.1 two", "5.1.1 lines"), "5.1.1 two lines"),
        (("two", "other lines"), "two other lines"),
        ("", ""),
    ],
    ids=str,
)
def test_the_words_are_one_clean_line_without_an_address(words: str | tuple[str, ...], kept: str) -> None:
    with ScriptedRelay(at("rcpt", Reply(550, words))) as relay:
        assert run(talk(address_of(relay), PARCEL))[0].text == kept


def test_a_local_part_that_is_a_word_of_replies_does_not_hide_their_meaning() -> None:
    with ScriptedRelay(at("rcpt", Reply(550, "user unknown"))) as relay:
        heard = run(talk(address_of(relay), replace(PARCEL, rcpt_to="user@client.test")))
    assert heard[0].text == "user unknown"
    assert classify(heard[0]).suppress


# -- connecting


def test_a_closed_port_is_trouble_with_connecting() -> None:
    with ScriptedRelay() as relay:
        address = address_of(relay)
    heard = not_opened(address)
    assert heard == Heard(Stage.CONNECT, failure="Connection refused")


def test_a_host_that_does_not_answer_at_all_is_trouble_with_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as opened:
        for _ in range(4):  # fills the queue: the next connection gets no answer
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        address = RelayAddress("127.0.0.1", full.getsockname()[1], tls="none", connect_timeout=SHORT)
        assert not_opened(address) == Heard(Stage.CONNECT, failure=TIMED_OUT)
        with pytest.raises(TimeoutError):
            run(asyncio.wait_for(Conversation.open(replace(address, connect_timeout=30)), SHORT))


def test_a_host_that_does_not_exist_is_trouble_with_connecting() -> None:
    for host in ("relay.invalid", "a..b"):
        heard = not_opened(RelayAddress(host, 25, tls="none", connect_timeout=5))
        assert (heard.stage, heard.code) == (Stage.CONNECT, None)
        assert heard.failure


@pytest.mark.parametrize("stage", ["connect", "ehlo"])
@pytest.mark.parametrize(("action", "failure"), FAULTS[:5], ids=lambda value: str(value)[:30])
def test_trouble_with_the_greeting_is_heard_as_such(stage: str, action: Action, failure: str) -> None:
    with ScriptedRelay(at(stage, action)) as relay:
        heard = not_opened(hasty(address_of(relay)))
    assert classify(heard) == Verdict(Kind.TEMPORARY, Scope.RELAY)
    if action != Reset():  # an early reset may meet the connecting itself
        assert heard == Heard(Stage.GREETING, failure=failure)


@pytest.mark.parametrize("action", [Drop(), Hang(), Garbage(), Reply(421, "no"), Reply(554, "no")], ids=str)
def test_behind_implicit_tls_the_greeting_is_still_the_greeting(
    action: Action, secure: ssl.SSLContext, ca_file: Path
) -> None:
    with ScriptedRelay(at("connect", action), tls=Security(secure, implicit=True)) as relay:
        assert not_opened(hasty(secured(relay, "implicit", ca_file))).stage is Stage.GREETING


def test_a_relay_that_never_answers_a_tls_handshake_is_trouble_with_tls(ca_file: Path) -> None:
    with ScriptedRelay(at("connect", Hang())) as relay:
        heard = not_opened(hasty(secured(relay, "implicit", ca_file)))
    assert heard == Heard(Stage.TLS, failure=TIMED_OUT)


@pytest.mark.parametrize("stage", ["connect", "ehlo"])
@pytest.mark.parametrize("code", [421, 450, 521, 554])
def test_a_refused_greeting_is_heard_with_its_code(stage: str, code: int) -> None:
    with ScriptedRelay(at(stage, Reply(code, "5.7.1 for joe@client.test"))) as relay:
        assert not_opened(address_of(relay)) == Heard(Stage.GREETING, code, "5.7.1 for <address>")


def test_a_relay_that_says_more_than_it_was_asked_is_not_trusted() -> None:
    with ScriptedRelay(at("ehlo", Reply(250, ("hello", "PIPELINING\r\n250 and this")))) as relay:
        assert not_opened(address_of(relay)) == Heard(Stage.GREETING, failure=NOT_SMTP)


# -- TLS and log-in


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def secure(authority: trustme.CA) -> ssl.SSLContext:
    return server_side(authority.issue_cert("127.0.0.1"))


HOW = pytest.mark.parametrize("how", ["starttls", "implicit"])
How = Literal["starttls", "implicit"]


def secured(relay: ScriptedRelay, how: How, ca_file: Path | None) -> RelayAddress:
    return replace(address_of(relay, how), ca_file=ca_file)


@HOW
@EITHER_WAY
def test_messages_travel_encrypted(how: How, pipelining: bool, secure: ssl.SSLContext, ca_file: Path) -> None:
    with ScriptedRelay(tls=Security(secure, implicit=how == "implicit"), pipelining=pipelining) as relay:
        heard = run(talk(secured(relay, how, ca_file), PARCEL, PARCEL))
        relay.wait_until_alone()
    assert [one.code for one in heard] == [250, 250]
    assert [one.data for one in relay.log] == [MESSAGE, MESSAGE]
    assert ("STARTTLS" in relay.commands) is (how == "starttls")


@HOW
@pytest.mark.parametrize("fault", [Drop(), Hang(), AcceptAndDrop()], ids=str)
def test_a_reply_lost_on_an_encrypted_connection_is_in_doubt_as_well(
    how: How, fault: Action, secure: ssl.SSLContext, ca_file: Path
) -> None:
    with ScriptedRelay(at("dot", fault), tls=Security(secure, implicit=how == "implicit")) as relay:
        heard, usable = run(usable_after(replace(secured(relay, how, ca_file), dot_timeout=SHORT)))
    assert (heard.stage, heard.code, usable) == (Stage.MESSAGE, None, False)


@HOW
def test_the_mark_guards_an_encrypted_message_too(how: How, secure: ssl.SSLContext, ca_file: Path) -> None:
    with ScriptedRelay(tls=Security(secure, implicit=how == "implicit")) as relay:
        heard = run(talk(secured(relay, how, ca_file), PARCEL, mark=Marks(answer=False)))
        relay.wait_until_alone()
    assert heard[0].stage is Stage.MARK
    assert (relay.log, relay.cut_off) == ([], [b""])


def test_a_stripped_starttls_sends_neither_password_nor_mail(secure: ssl.SSLContext, ca_file: Path) -> None:
    with ScriptedRelay(tls=Security(secure, offered=False), auth={"clinic": "secret"}) as relay:
        heard = not_opened(replace(secured(relay, "starttls", ca_file), username="clinic", password="secret"))
        relay.wait_until_alone()
    assert heard == Heard(Stage.TLS, failure="STARTTLS is not offered")
    assert classify(heard).kind is Kind.CONFIGURATION
    assert relay.commands == ["EHLO desk.clinic.test"]


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (Reply(454, "4.7.0 not now"), Kind.TEMPORARY),
        (Reply(501, "5.5.4 no"), Kind.CONFIGURATION),
        (Drop(), Kind.TEMPORARY),
        (Hang(), Kind.TEMPORARY),
        (Garbage(), Kind.CONFIGURATION),
        (Each((Reply(220, "go"), Hang())), Kind.TEMPORARY),
        (Each((Reply(220, "go"), Drop())), Kind.TEMPORARY),
        (Each((Reply(220, "go"), Read(1), Garbage(b"250 plain text\r\n"), Hang())), Kind.CONFIGURATION),
    ],
    ids=str,
)
def test_trouble_with_starttls_is_heard_as_such(
    action: Action, kind: Kind, secure: ssl.SSLContext, ca_file: Path
) -> None:
    with ScriptedRelay(at("starttls", action), tls=Security(secure)) as relay:
        heard = not_opened(hasty(secured(relay, "starttls", ca_file)))
        relay.wait_until_alone()
    assert heard.stage is Stage.TLS
    assert classify(heard).kind is kind
    assert not relay.counts["mail"]


def test_plain_text_slipped_in_before_the_handshake_is_never_read_as_a_reply(
    secure: ssl.SSLContext, ca_file: Path
) -> None:
    injected = at("starttls", Reply(220, "go\r\n250-injected\r\n250 SIZE 1"))
    with ScriptedRelay(injected, tls=Security(secure)) as relay:
        assert run(talk(secured(relay, "starttls", ca_file), PARCEL))[0].code == 250


def test_bytes_nobody_asked_for_inside_tls_are_trouble_with_tls(secure: ssl.SSLContext, ca_file: Path) -> None:
    script = at("ehlo", Reply(250, ("hello", "PIPELINING\r\n250 and this")))
    with ScriptedRelay(script, tls=Security(secure, implicit=True)) as relay:
        assert not_opened(secured(relay, "implicit", ca_file)) == Heard(Stage.TLS, failure=NOT_SMTP)


@HOW
@pytest.mark.parametrize("fault", ["another name", "self-signed", "expired", "unknown authority"])
def test_a_certificate_that_proves_nothing_ends_it(
    how: How, fault: str, authority: trustme.CA, secure: ssl.SSLContext, ca_file: Path
) -> None:
    trusted: Path | None = ca_file
    context = secure
    if fault == "another name":
        context = server_side(authority.issue_cert("relay.elsewhere.test"))
    elif fault == "self-signed":
        context = server_side(trustme.CA().issue_cert("127.0.0.1"))
    elif fault == "expired":
        past = datetime.now(UTC) - timedelta(days=1)
        context = server_side(authority.issue_cert("127.0.0.1", not_before=past - timedelta(days=9), not_after=past))
    else:
        trusted = None
    with ScriptedRelay(tls=Security(context, implicit=how == "implicit"), auth={"clinic": "secret"}) as relay:
        address = replace(secured(relay, how, trusted), username="clinic", password="secret")
        heard = not_opened(address)
        relay.wait_until_alone()
    assert heard.stage is Stage.TLS
    assert classify(heard).kind is Kind.CONFIGURATION
    assert heard.failure.startswith("TLS: ")
    assert "AUTH" not in relay.commands
    assert not relay.counts["mail"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@HOW
def test_a_relay_that_speaks_only_old_tls_hears_no_command(how: How, secure: ssl.SSLContext, ca_file: Path) -> None:
    secure.maximum_version = ssl.TLSVersion.TLSv1_1
    with ScriptedRelay(tls=Security(secure, implicit=how == "implicit")) as relay:
        assert not_opened(secured(relay, how, ca_file)).stage is Stage.TLS
        relay.wait_until_alone()
    assert not relay.counts["mail"]


def test_an_unreadable_authority_file_is_trouble_with_tls(tmp_path: Path) -> None:
    (tmp_path / "odd.pem").write_text("no certificate")
    for name in ("missing.pem", "odd.pem"):
        heard = not_opened(RelayAddress("127.0.0.1", 1, ca_file=tmp_path / name))
        assert (heard.stage, classify(heard).kind) == (Stage.TLS, Kind.CONFIGURATION)


def test_a_relay_without_tls_behind_the_implicit_port_is_trouble_with_tls(ca_file: Path) -> None:
    with ScriptedRelay() as relay:
        heard = not_opened(secured(relay, "implicit", ca_file))
    assert heard.stage is Stage.TLS


@HOW
@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_logging_in_works(how: How, method: str, secure: ssl.SSLContext, ca_file: Path) -> None:
    security = Security(secure, implicit=how == "implicit")
    with ScriptedRelay(tls=security, auth={"clinic": "secret"}, auth_methods=(method,)) as relay:
        address = replace(secured(relay, how, ca_file), username="clinic", password="secret")
        assert run(talk(address, PARCEL))[0].code == 250
    assert relay.counts["auth"] == 1


def test_a_relay_that_knows_only_challenges_can_be_logged_in_to(secure: ssl.SSLContext, ca_file: Path) -> None:
    script = at("auth", Reply(235, "2.7.0 welcome"))
    with ScriptedRelay(script, tls=Security(secure), auth={}, auth_methods=("CRAM-MD5",)) as relay:
        address = replace(secured(relay, "starttls", ca_file), username="clinic", password="secret")
        assert run(talk(address, PARCEL))[0].code == 250


@pytest.mark.parametrize(
    ("script", "password", "expected"),
    [
        (None, "wrong", Heard(Stage.AUTH, 535, "5.7.8 wrong")),
        (at("auth", Reply(454, "4.7.0 later")), "secret", Heard(Stage.AUTH, 454, "4.7.0 later")),
        (at("auth", Reply(534, "5.7.9 weak")), "secret", Heard(Stage.AUTH, 534, "5.7.9 weak")),
        (at("auth", Reply(530, "5.7.0 no")), "secret", Heard(Stage.AUTH, 530, "5.7.0 no")),
        (at("auth", Drop()), "secret", Heard(Stage.AUTH, failure=CONNECTION_LOST)),
        (at("auth", Hang()), "secret", Heard(Stage.AUTH, failure=TIMED_OUT)),
        (at("auth", Garbage()), "secret", Heard(Stage.AUTH, failure=NOT_SMTP)),
    ],
    ids=str,
)
def test_a_failed_log_in_is_heard_and_tried_once(
    script: Script | None, password: str, expected: Heard, secure: ssl.SSLContext, ca_file: Path
) -> None:
    script = script or (lambda _stage, _argument, _count: None)
    with ScriptedRelay(script, tls=Security(secure), auth={"clinic": "secret"}) as relay:
        address = replace(secured(relay, "starttls", ca_file), username="clinic", password=password, reply_timeout=1)
        assert not_opened(address) == expected
        relay.wait_until_alone()
    assert relay.counts["auth"] == 1


@pytest.mark.parametrize("methods", [(), ("GSSAPI",)])
def test_a_user_name_without_a_way_to_log_in_is_a_fault_of_the_settings(
    methods: tuple[str, ...], secure: ssl.SSLContext, ca_file: Path
) -> None:
    with ScriptedRelay(tls=Security(secure), auth={"clinic": "secret"}, auth_methods=methods) as relay:
        heard = not_opened(replace(secured(relay, "starttls", ca_file), username="clinic", password="secret"))
    assert heard.stage is Stage.AUTH
    assert classify(heard).kind is Kind.CONFIGURATION


def test_a_password_never_travels_in_clear_beyond_this_machine() -> None:
    for host in ("192.0.2.1", "relay.test"):
        heard = not_opened(RelayAddress(host, 25, username="clinic", password="secret", tls="none"))
        assert (heard.stage, classify(heard).kind) == (Stage.AUTH, Kind.CONFIGURATION)
    with ScriptedRelay(auth={"clinic": "secret"}) as relay:
        for host in ("127.0.0.1", "localhost"):
            address = replace(address_of(relay), host=host, username="clinic", password="secret")
            assert run(talk(address, PARCEL))[0].code == 250


def test_an_address_and_its_errors_never_show_the_password() -> None:
    address = RelayAddress("relay.test", 587, username="clinic", password="hunter2")
    assert "hunter2" not in repr(address)
    refused = NotOpened(Heard(Stage.AUTH, 535, "5.7.8 wrong"))
    assert str(refused) == "auth: 535 5.7.8 wrong"
