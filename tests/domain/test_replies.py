"""Every stage and reply has one meaning: the table, row by row, and the promises that hold for all of it."""

import pytest

from service.domain.replies import (
    CONNECTION_LOST,
    NOT_SMTP,
    TIMED_OUT,
    Heard,
    Kind,
    Scope,
    Stage,
    Verdict,
    classify,
)

ACCEPTED = Verdict(Kind.ACCEPTED, Scope.MESSAGE, counts=True)
RELAY_LATER = Verdict(Kind.TEMPORARY, Scope.RELAY)
CONNECTION_LATER = Verdict(Kind.TEMPORARY, Scope.CONNECTION)
CLOSING = Verdict(Kind.TEMPORARY, Scope.CONNECTION, counts=True)
CONFIGURATION = Verdict(Kind.CONFIGURATION, Scope.RELAY)
RECIPIENT_LATER = Verdict(Kind.TEMPORARY, Scope.RECIPIENT, counts=True)
RECIPIENT_NEVER = Verdict(Kind.PERMANENT, Scope.RECIPIENT, counts=True)
DEAD_ADDRESS = Verdict(Kind.PERMANENT, Scope.RECIPIENT, counts=True, suppress=True)
MESSAGE_LATER = Verdict(Kind.TEMPORARY, Scope.MESSAGE, counts=True)
MESSAGE_NEVER = Verdict(Kind.PERMANENT, Scope.MESSAGE, counts=True)
IN_DOUBT = Verdict(Kind.IN_DOUBT, Scope.CONNECTION, counts=True)
WITHHELD = Verdict(Kind.WITHHELD, Scope.MESSAGE)

TABLE = [
    # connect and greeting
    (Heard(Stage.CONNECT, failure="Connection refused"), RELAY_LATER),
    (Heard(Stage.CONNECT, failure=TIMED_OUT), RELAY_LATER),
    (Heard(Stage.GREETING, failure=TIMED_OUT), RELAY_LATER),
    (Heard(Stage.GREETING, failure=NOT_SMTP), RELAY_LATER),
    (Heard(Stage.GREETING, 421, "4.3.2 shutting down"), RELAY_LATER),
    (Heard(Stage.GREETING, 450, "4.7.1 later"), RELAY_LATER),
    (Heard(Stage.GREETING, 554, "5.7.1 go away"), CONFIGURATION),
    (Heard(Stage.GREETING, 521, "no mail here"), CONFIGURATION),
    # TLS: never a fallback
    (Heard(Stage.TLS, failure="STARTTLS is not offered"), CONFIGURATION),
    (Heard(Stage.TLS, failure="TLS: certificate has expired"), CONFIGURATION),
    (Heard(Stage.TLS, failure=NOT_SMTP), CONFIGURATION),
    (Heard(Stage.TLS, 501, "5.5.4 no"), CONFIGURATION),
    (Heard(Stage.TLS, 454, "4.7.0 TLS not available now"), RELAY_LATER),
    (Heard(Stage.TLS, failure=CONNECTION_LOST), RELAY_LATER),
    (Heard(Stage.TLS, failure=TIMED_OUT), RELAY_LATER),
    # log-in
    (Heard(Stage.AUTH, 535, "5.7.8 wrong"), CONFIGURATION),
    (Heard(Stage.AUTH, 534, "5.7.9 too weak"), CONFIGURATION),
    (Heard(Stage.AUTH, 538, "5.7.11 encryption required"), CONFIGURATION),
    (Heard(Stage.AUTH, 530, "5.7.0 must STARTTLS"), CONFIGURATION),
    (Heard(Stage.AUTH, 504, "5.5.4 not offered"), CONFIGURATION),
    (Heard(Stage.AUTH, 334, "and now?"), CONFIGURATION),
    (Heard(Stage.AUTH, 454, "4.7.0 later"), RELAY_LATER),
    (Heard(Stage.AUTH, 421, "4.7.0 bye"), RELAY_LATER),
    (Heard(Stage.AUTH, failure=CONNECTION_LOST), RELAY_LATER),
    # sender
    (Heard(Stage.MAIL, 550, "5.1.8 bad sender"), CONFIGURATION),
    (Heard(Stage.MAIL, 553, "5.7.1 not yours"), CONFIGURATION),
    (Heard(Stage.MAIL, 530, "5.7.0 authenticate"), CONFIGURATION),
    (Heard(Stage.MAIL, 452, "4.3.1 disk full"), RELAY_LATER),
    (Heard(Stage.MAIL, 421, "bye"), CONNECTION_LATER),
    (Heard(Stage.MAIL, failure=CONNECTION_LOST), CONNECTION_LATER),
    # recipient, for now
    (Heard(Stage.RCPT, 450, "4.2.1 busy"), RECIPIENT_LATER),
    (Heard(Stage.RCPT, 451, "4.7.1 greylisted"), RECIPIENT_LATER),
    (Heard(Stage.RCPT, 452, "4.2.2 mailbox full"), RECIPIENT_LATER),
    (Heard(Stage.RCPT, 450, "5.1.1 user unknown"), RECIPIENT_LATER),  # the first digit of the reply decides
    (Heard(Stage.RCPT, 452, "4.5.3 too many recipients"), CONNECTION_LATER),
    (Heard(Stage.RCPT, 421, "4.7.0 too much"), CONNECTION_LATER),
    (Heard(Stage.RCPT, failure=TIMED_OUT), CONNECTION_LATER),
    (Heard(Stage.RCPT, 354), CONNECTION_LATER),
    # recipient, for good: the address itself is dead
    *[(Heard(Stage.RCPT, 550, f"{code} no"), DEAD_ADDRESS) for code in ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10")],
    (Heard(Stage.RCPT, 550, "5.2.1 disabled"), DEAD_ADDRESS),
    (Heard(Stage.RCPT, 550, "5.1.1: nobody"), DEAD_ADDRESS),
    (Heard(Stage.RCPT, 550, "5.1.1"), DEAD_ADDRESS),
    (Heard(Stage.RCPT, 556, "5.1.10 null MX"), DEAD_ADDRESS),
    (Heard(Stage.RCPT, 556, ""), DEAD_ADDRESS),
    (Heard(Stage.RCPT, 550, "user unknown"), DEAD_ADDRESS),
    (Heard(Stage.RCPT, 550, "No such user here"), DEAD_ADDRESS),
    (Heard(Stage.RCPT, 550, "Mailbox <address> does not exist"), DEAD_ADDRESS),
    # recipient, for good: but nothing says the address is dead
    (Heard(Stage.RCPT, 552, "5.2.2 mailbox full"), RECIPIENT_NEVER),
    (Heard(Stage.RCPT, 550, "5.4.4 no route"), RECIPIENT_NEVER),
    (Heard(Stage.RCPT, 550, "5.7.1 blocked by policy"), RECIPIENT_NEVER),
    (Heard(Stage.RCPT, 550, "5.7.1 user unknown to the policy"), RECIPIENT_NEVER),  # the code outweighs the words
    (Heard(Stage.RCPT, 550, "mailbox unavailable"), RECIPIENT_NEVER),
    (Heard(Stage.RCPT, 553, "5.6.7 no such letters"), RECIPIENT_NEVER),
    (Heard(Stage.RCPT, 550, "5.1.12 no"), RECIPIENT_NEVER),
    # not the recipient's trouble
    (Heard(Stage.RCPT, 550, "5.7.1 Relay access denied"), CONFIGURATION),
    (Heard(Stage.RCPT, 554, "Relaying denied"), CONFIGURATION),
    (Heard(Stage.RCPT, 454, "4.7.1 <address>: Relay access denied"), CONFIGURATION),
    (Heard(Stage.RCPT, 550, "5.7.1 Authentication required"), CONFIGURATION),
    (Heard(Stage.RCPT, 530, "5.7.0 first log in"), CONFIGURATION),
    (Heard(Stage.RCPT, 503, "5.5.1 MAIL first"), CONFIGURATION),
    (Heard(Stage.RCPT, 550, "5.1.8 <address>: Sender address rejected: Domain not found"), CONFIGURATION),
    (Heard(Stage.RCPT, 450, "4.1.8 <address>: Sender address rejected: Domain not found"), RELAY_LATER),
    (Heard(Stage.RCPT, 553, "5.1.7 bad"), CONFIGURATION),
    (Heard(Stage.RCPT, 450, "<address>: Sender address rejected"), RELAY_LATER),
    (Heard(Stage.RCPT, 550, "5.7.1 this recipient wants no mail from 10.5.1.7"), RECIPIENT_NEVER),
    (Heard(Stage.RCPT, 550, "No Such User Here Sender verify failed"), CONFIGURATION),
    # DATA and the final dot
    (Heard(Stage.DATA, 451, "4.3.0 later"), MESSAGE_LATER),
    (Heard(Stage.MESSAGE, 451, "4.3.0 later"), MESSAGE_LATER),
    (Heard(Stage.MESSAGE, 452, "4.3.1 disk full"), MESSAGE_LATER),
    (Heard(Stage.DATA, 421, "bye"), CLOSING),
    (Heard(Stage.MESSAGE, 421, "bye"), CLOSING),
    (Heard(Stage.DATA, 552, "5.3.4 too large"), MESSAGE_NEVER),
    (Heard(Stage.MESSAGE, 552, "5.3.4 too large"), MESSAGE_NEVER),
    (Heard(Stage.MESSAGE, 554, "5.6.0 content rejected"), MESSAGE_NEVER),
    (Heard(Stage.MESSAGE, 500, "5.5.2 line too long"), MESSAGE_NEVER),
    (Heard(Stage.DATA, 503, "5.5.1 RCPT first"), CONFIGURATION),
    (Heard(Stage.DATA, 530, "5.7.0 no"), CONFIGURATION),
    (Heard(Stage.MESSAGE, 530, "5.7.0 no"), CONFIGURATION),
    (Heard(Stage.DATA, failure=CONNECTION_LOST), CONNECTION_LATER),
    (Heard(Stage.DATA, 250, "what?"), CONNECTION_LATER),
    (Heard(Stage.MESSAGE, 250, "2.0.0 queued"), ACCEPTED),
    (Heard(Stage.MESSAGE, 251, "forwarded"), ACCEPTED),
    (Heard(Stage.MESSAGE, 299, ""), ACCEPTED),
    (Heard(Stage.MESSAGE, failure=CONNECTION_LOST), IN_DOUBT),
    (Heard(Stage.MESSAGE, failure=TIMED_OUT), IN_DOUBT),
    (Heard(Stage.MESSAGE, failure=NOT_SMTP), IN_DOUBT),
    (Heard(Stage.MESSAGE, 354, "go on"), IN_DOUBT),
    # our own last check
    (Heard(Stage.MARK), WITHHELD),
    (Heard(Stage.MARK, 250, "whatever"), WITHHELD),
]

EVERYTHING = [
    Heard(stage, code, text, "" if code else failure)
    for stage in Stage
    for code in (None, *range(200, 600))
    for text in ("", "5.1.1 user unknown", "4.5.3 many", "relay access denied")
    for failure in (CONNECTION_LOST, "odd")
    if code is None or failure == "odd"
]


@pytest.mark.parametrize(("heard", "verdict"), TABLE, ids=str)
def test_a_reply_means_what_its_row_of_the_table_says(heard: Heard, verdict: Verdict) -> None:
    assert classify(heard) == verdict


def test_every_stage_with_every_code_or_none_has_an_answer() -> None:
    assert {type(classify(heard)) for heard in EVERYTHING} == {Verdict}


def test_only_a_positive_reply_to_the_message_is_accepted() -> None:
    accepted = {(heard.stage, heard.code) for heard in EVERYTHING if classify(heard).kind is Kind.ACCEPTED}
    assert accepted == {(Stage.MESSAGE, code) for code in range(200, 300)}


def test_doubt_arises_nowhere_but_after_the_message_began() -> None:
    doubtful = {(heard.stage, heard.code) for heard in EVERYTHING if classify(heard).kind is Kind.IN_DOUBT}
    assert doubtful == {(Stage.MESSAGE, code) for code in (None, *range(300, 400))}


def test_an_address_is_given_up_only_for_a_refusal_of_the_recipient() -> None:
    given_up = {(heard.stage, (heard.code or 0) // 100) for heard in EVERYTHING if classify(heard).suppress}
    assert given_up == {(Stage.RCPT, 5)}


def test_trouble_of_the_relay_never_uses_up_an_attempt() -> None:
    verdicts = [classify(heard) for heard in EVERYTHING]
    assert not [verdict for verdict in verdicts if verdict.scope is Scope.RELAY and verdict.counts]
    assert all(verdict.scope is Scope.RELAY for verdict in verdicts if verdict.kind is Kind.CONFIGURATION)


def test_an_enhanced_code_is_read_only_where_the_words_begin_with_one() -> None:
    assert Heard(Stage.RCPT, 550, "5.1.1 no such user").enhanced == "5.1.1"
    assert Heard(Stage.RCPT, 550, "see 5.1.1 there").enhanced is None
    assert Heard(Stage.RCPT, 550, "5.1.1.7 is an address").enhanced is None


@pytest.mark.parametrize(
    "words",
    [
        "5.7.1 <relay.example[192.0.2.1]>: Client host rejected: Access denied",
        "5.7.1 <clinic>: Helo command rejected: Host not found",
        "5.4.6 Daily sending quota exceeded",
        "5.7.708 Service unavailable. Access denied, traffic not accepted from this IP",
        "5.7.60 SMTP; Client does not have permissions to send as this sender",
    ],
)
def test_a_relay_that_refuses_us_at_rcpt_is_not_the_clients_trouble(words: str) -> None:
    assert classify(Heard(Stage.RCPT, 550, words)) == Verdict(Kind.CONFIGURATION, Scope.RELAY)


@pytest.mark.parametrize(
    "words",
    [
        "5.1.1 <address>: undeliverable address: host mx.example said: 554 5.7.1 blocked using zen.spamhaus.org",
        "verification failed for return path: no such user here",
        "sender: no such user",
        "5.1.1 <b+tok@bounce.example>: sender unknown",
        "5.1.1 mailbox full",
    ],
)
def test_words_that_speak_of_something_else_suppress_nobody(words: str) -> None:
    verdict = classify(Heard(Stage.RCPT, 550, words))
    assert not verdict.suppress


def test_another_servers_refusal_that_a_relay_quotes_does_not_stop_the_line() -> None:
    words = "5.7.1 host mx.example said: 550 Client host rejected"
    assert classify(Heard(Stage.RCPT, 550, words)).scope is Scope.RECIPIENT
