"""What comes before the first message: reaching the relay, its greeting, and what they say when they fail."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.replies import NOT_SMTP, TIMED_OUT, Heard, Kind, Scope, Stage, Verdict, classify
from service.mail.relay import Conversation, RelayAddress
from tests.support.relay_talk import FAULTS, SHORT, address_of, hasty, not_opened, run, secured
from tests.support.scripted_relay import Action, Drop, Garbage, Hang, Reply, Reset, ScriptedRelay, Security, at


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
