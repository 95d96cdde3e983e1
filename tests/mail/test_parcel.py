"""A message arrives byte for byte, or is not sent at all."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.replies import Heard, Kind, Scope, Stage, Verdict, classify
from service.mail.parcel import Parcel
from tests.support.relay_talk import EITHER_WAY, MESSAGE, PARCEL, address_of, run, talk
from tests.support.scripted_relay import Drop, Each, Garbage, Reply, Reset, ScriptedRelay, at


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
    assert heard[0] == Heard(Stage.MAIL, 552, "5.3.4 the relay takes only smaller messages")
    assert classify(heard[0]) == Verdict(Kind.CONFIGURATION, Scope.RELAY)  # whose letters are all about as long
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
