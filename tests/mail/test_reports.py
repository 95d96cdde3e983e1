"""What a returned message is: hand-made reports in the manner of many mail systems, and hostile ones."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.mail.reports import Report, read_report
from service.mail.reports_mime import MOST_BYTES, MOST_DEPTH, MOST_PARTS
from service.mail.signing import Signer

FOLDER = Path(__file__).parent / "reports"
SIGNER = Signer([b"k" * 40])
TOKEN = SIGNER.bounce_local_part("17").encode()
FORGED = Signer([b"f" * 40]).bounce_local_part("17").encode()

HARD, SOFT, DELAYED, NONE = (("sam@example.com", name) for name in ("hard", "soft", "delayed", "none"))
#: File -> kind, and address and class of each recipient.
EXPECTED: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "amazon_bounce": ("bounce", [HARD]),
    "auto_exchange_away": ("auto_reply", []),
    "auto_gone_for_good": ("auto_reply", []),
    "auto_header_of_old": ("auto_reply", []),
    "auto_no_reply_address": ("auto_reply", []),
    "auto_read_receipt": ("auto_reply", []),
    "auto_subject_only": ("auto_reply", []),
    "auto_vacation_program": ("auto_reply", []),
    "complaint_abuse": ("complaint", [NONE]),
    "complaint_redacted": ("complaint", []),
    "domino_words": ("bounce", [HARD]),
    "dsn_without_status": ("bounce", [HARD]),
    "exchange_2003_words": ("bounce", [HARD]),
    "exchange_2010_unknown": ("bounce", [HARD]),
    "exchange_online_blocked": ("bounce", [SOFT]),
    "exchange_online_not_found": ("bounce", [HARD]),
    "exim_delay_warning": ("bounce", [DELAYED]),
    "exim_dsn_generic_code": ("bounce", [SOFT]),
    "exim_two_addresses": ("bounce", [HARD, ("kim@example.com", "soft")]),
    "exim_unknown_user": ("bounce", [HARD]),
    "exim_unrouteable": ("bounce", [SOFT]),
    "feedback_auth_failure": ("unknown", [NONE]),
    "feedback_not_spam": ("unknown", [NONE]),
    "feedback_two_types": ("unknown", [NONE]),
    "forwarded_to_a_dead_address": ("bounce", [("old.name@example.net", "hard")]),
    "french_words": ("bounce", [SOFT]),
    "german_words": ("bounce", [HARD]),
    "global_delivery_status": ("bounce", [("säm@example.com", "hard")]),
    "google_disabled": ("bounce", [HARD]),
    "google_no_such_user": ("bounce", [HARD]),
    "google_rate_limited": ("bounce", [DELAYED]),
    "hostile_delayed_with_5_1_1": ("bounce", [DELAYED]),
    "hostile_no_action": ("bounce", [SOFT]),
    "hostile_odd_status": ("bounce", [SOFT]),
    "hostile_report_inside_the_original": ("bounce", [SOFT]),
    "hostile_same_address_twice": ("bounce", [SOFT, ("SAM@example.com", "none")]),
    "hostile_sender_rejected": ("bounce", [SOFT]),
    "hostile_status_against_code": ("bounce", [SOFT]),
    "hostile_status_against_reply": ("bounce", [SOFT]),
    "hostile_status_against_text": ("bounce", [SOFT]),
    "hostile_status_only_in_the_text": ("bounce", [("", "soft")]),
    "hostile_text_against_status": ("bounce", [SOFT]),
    "hostile_two_actions": ("bounce", [NONE]),
    "hostile_two_statuses": ("bounce", [SOFT]),
    "human_by_a_group": ("human", []),
    "human_photo_only": ("human", []),
    "human_question": ("human", []),
    "human_stop_in_a_sentence": ("human", []),
    "human_tells_of_a_bounce": ("human", []),
    "postfix_delayed": ("bounce", [DELAYED]),
    "postfix_expired": ("bounce", [SOFT]),
    "postfix_headers_only": ("bounce", [HARD]),
    "postfix_mailbox_full": ("bounce", [SOFT]),
    "postfix_no_such_domain": ("bounce", [HARD]),
    "postfix_success": ("bounce", [NONE]),
    "postfix_unknown_user": ("bounce", [HARD]),
    "postfix_words_only": ("bounce", [HARD]),
    "qmail_no_mailbox": ("bounce", [HARD]),
    "qmail_remote_refused": ("bounce", [SOFT]),
    "sendmail_filter_as_unknown": ("bounce", [SOFT]),
    "sendmail_user_unknown": ("bounce", [HARD]),
    "several_recipients": ("bounce", [HARD, ("kim@example.com", "soft"), ("lee@example.com", "none")]),
    "stop_by_a_robot": ("auto_reply", []),
    "stop_first_line": ("stop", []),
    "stop_html_only": ("stop", []),
    "stop_subject": ("stop", []),
    "stop_subject_signed": ("stop", []),
    "stop_unsubscribe_by_program": ("stop", []),
    "unknown_daemon_chat": ("unknown", []),
    "unknown_empty": ("unknown", []),
    "unknown_no_sender": ("unknown", []),
    "words_greylisted": ("bounce", [DELAYED]),
    "words_without_an_address": ("bounce", [("", "soft")]),
    "wrapped_in_a_forward": ("bounce", [HARD]),
    "yahoo_unknown_554": ("bounce", [SOFT]),
    "yahoo_words": ("bounce", [HARD]),
    "zimbra_html_only": ("bounce", [SOFT]),
}


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.eml").read_bytes().replace(b"bounces+TOKEN", TOKEN)


def read(message: bytes) -> Report:
    return read_report(message, SIGNER)


def classes(report: Report) -> list[tuple[str, str]]:
    return [(one.address, str(one.bounce_class)) for one in report.recipients]


def test_every_report_of_the_folder_has_its_answer() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.eml")) == sorted(EXPECTED)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", EXPECTED)
def test_each_report_is_read_as_what_it_is(name: str, line_end: bytes) -> None:
    report = read(raw(name).replace(b"\n", line_end))
    assert (str(report.kind), classes(report)) == EXPECTED[name]


@pytest.mark.parametrize("name", [name for name, (kind, _) in EXPECTED.items() if kind in ("bounce", "complaint")])
def test_the_signed_address_is_found_in_every_report_and_a_forged_one_in_none(name: str) -> None:
    assert read(raw(name)).token_subject == "17"
    assert read(raw(name).upper()).token_subject == "17"
    assert read(raw(name).replace(TOKEN, FORGED)).token_subject is None
    assert read_report(raw(name), None).token_subject is None


def test_two_signed_addresses_that_differ_prove_nothing() -> None:
    other = SIGNER.bounce_local_part("18").encode()
    assert read(raw("postfix_unknown_user").replace(TOKEN, other, 1)).token_subject is None


def test_a_signed_address_in_the_text_of_a_letter_proves_nothing() -> None:
    text = raw("stop_subject").replace(b"\n\n", b"\n\n" + TOKEN + b"@bounce.example.org ", 1)
    assert read(text).token_subject is None


@pytest.mark.parametrize(
    "name", ["postfix_unknown_user", "postfix_headers_only", "qmail_no_mailbox", "stop_first_line"]
)
def test_our_message_id_is_found_in_what_was_returned_or_answered(name: str) -> None:
    assert read(raw(name)).message_ids == ("<0123456789abcdef0123456789abcd@northgate.example.org>",)


def test_the_sender_is_who_stands_in_the_brackets_not_in_the_name() -> None:
    letter = raw("human_question").replace(
        b"From: Sam Reed <sam@example.com>", b'From: "kim@example.com" <sam@example.com>'
    )
    assert read(letter).sender == "sam@example.com"
    assert read(letter).sent_to == ("desk@northgate.example.org",)


def standard(status: str = "5.1.1", action: str = "failed", words: str = "") -> bytes:
    report = raw("postfix_unknown_user").replace(b"Status: 5.1.1", f"Status: {status}".encode())
    report = report.replace(b"Action: failed", f"Action: {action}".encode())
    code = f"Diagnostic-Code: {words}".encode() if words else b"X-None: none"
    return re.sub(rb"Diagnostic-Code: [^\n]*", lambda _: code, report)


@pytest.mark.parametrize("status", ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.1.1 (bad address)"])
@pytest.mark.parametrize("action", ["failed", "Failed", "failed (no mailbox)"])
def test_six_codes_of_a_failure_say_that_the_address_is_dead(status: str, action: str) -> None:
    assert classes(read(standard(status, action))) == [HARD]


@pytest.mark.parametrize(
    "status",
    [
        *("5.0.0", "5.1.0", "5.1.4", "5.1.8", "5.1.11", "5.1.100", "5.2.0", "5.2.2", "5.4.1", "5.4.4", "5.7.1"),
        *("4.1.1", "2.1.1", "5.1", "5.1.1.1", "5.01.1", "15.1.1", "55.1.1", "5.1.1x", "five", ""),
    ],
)
def test_no_other_code_does(status: str) -> None:
    assert classes(read(standard(status))) == [SOFT]


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded", "", "fail", "failedx"])
def test_nothing_but_a_failure_is_hard(action: str) -> None:
    assert HARD not in classes(read(standard(action=action)))


def test_a_report_in_base64_reads_the_same() -> None:
    head, _, rest = raw("postfix_unknown_user").partition(b"Content-Type: message/delivery-status\n\n")
    status, _, tail = rest.partition(b"\n\n--=_part/one")
    coded = b"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(status)
    assert classes(read(head + coded + b"\n--=_part/one" + tail)) == [HARD]


def nested(depth: int, inside: bytes) -> bytes:
    opened = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth))
    return b"From: a@example.com\n" + opened + inside + b"".join(b"\n--b%d--\n" % n for n in reversed(range(depth)))


def wrapped(times: int, inside: bytes) -> bytes:
    return b"Content-Type: message/rfc822\n\n" * times + inside


def test_beyond_its_bounds_a_message_is_unknown() -> None:
    text = b"Content-Type: text/plain\n\nhello\n"
    for hostile in (
        nested(1000, text),
        nested(MOST_DEPTH + 1, text),
        wrapped(1000, raw("postfix_unknown_user")),
        nested(1, text + b"--b0\n" * 10_000),
        b"Content-Type: message/rfc822\n\n" * 200_000,
        b"From: a@example.com\nSubject: " + b"x" * 1_000_000 + b"\n\nhello\n",
        b"X-A: b\n" * 300_000 + b"\nhello\n",
        raw("human_question") + b"x" * MOST_BYTES,
    ):
        report = read(hostile)
        assert (report.kind, report.recipients, report.token_subject) == ("unknown", (), None)
        assert report.reason.startswith("not read: ")


def test_within_its_bounds_it_is_read() -> None:
    text = b"Content-Type: text/plain\n\nhello\n"
    assert read(nested(MOST_DEPTH, text)).kind == "human"
    assert read(nested(1, text + (b"--b0\n" + text) * (MOST_PARTS - 3))).kind == "human"
    assert classes(read(wrapped(MOST_DEPTH - 2, raw("postfix_unknown_user")))) == [HARD]


def test_ten_thousand_recipients_are_read_by_nobody() -> None:
    one = b"Final-Recipient: rfc822; sam@example.com\nAction: failed\nStatus: 5.1.1\n\n"
    report = read(raw("postfix_unknown_user").replace(b"Final-Recipient:", one * 10_000 + b"Final-Recipient:", 1))
    assert len(report.recipients) <= 50


@pytest.mark.parametrize(
    "hostile",
    [
        b"\0" * 10_000,
        b"From: \0<sam@example.com>\0\nSubject: St\0op\n\n\0",
        b"From: sam@example.com\nSubject: =?utf-8?b?" + b"A" * 50_000,
        b"From: sam@example.com\nSubject: " + b"=?" * 5_000 + b"\n\n",
        b"From: sam@example.com\nSubject: =?unicode_escape?q?=5Cu0041?=\n\n",
        b"From: sam@example.com\nContent-Type: text/plain; charset=idna\n\n" + b"xn--" * 20_000,
        b"From: sam@example.com\nContent-Type: text/plain; charset=zlib\n\nx",
        b"From: sam@example.com\nContent-Type: text/html\n\n" + b"<" * 60_000,
        b"From: sam@example.com\nContent-Type: text/html\n\n" + b"<style>" * 9_000,
        b"From: mailer-daemon@example.com\nSubject: failure notice\n\n" + b"user " * 13_000,
        b"From: mailer-daemon@example.com\nSubject: failure notice\n\n" + b"a+" * 30_000,
        b"From: mailer-daemon@example.com\nSubject: failure notice\n\n" + b"a@" * 30_000,
        b"From: mailer-daemon@example.com\nSubject: failure notice\n\n" + b"5.1." * 16_000,
        b"From: mailer-daemon@example.com\nSubject: failure notice\n\n" + b"a@b.c\n" * 10_000,
        b'From: a@b.example\nContent-Type: multipart/mixed; boundary=""\n\n--\n--\n',
        b"From: a@b.example\nContent-Type: multipart/mixed\n\nhello",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n",
        b"Content-Type: message/delivery-status\n\n",
        b"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n=====",
        b"Content-Type: text/plain;" + b' a="' * 5_000,
        b"\n" * 100_000,
        b":" * 100_000,
        b"\xff\xfe" * 50_000,
    ],
)
def test_nothing_that_anybody_sends_raises_or_is_hard(hostile: bytes) -> None:
    assert "hard" not in {name for _, name in classes(read(hostile))}


@given(st.binary(max_size=600))
def test_any_bytes_have_an_answer(noise: bytes) -> None:
    assert read(noise).token_subject is None


@given(st.sampled_from(sorted(EXPECTED)), st.data())
def test_a_damaged_report_has_an_answer_too(name: str, data: st.DataObject) -> None:
    whole = raw(name)
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    read(whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:])


@given(st.text(max_size=60))
def test_no_word_beside_a_status_that_is_not_dead_makes_it_hard(words: str) -> None:
    line = " ".join(words.split())
    assert HARD not in classes(read(standard("5.2.2", words=f"smtp; {line} user unknown 5.1.1")))


def test_what_a_report_says_about_itself_names_nobody() -> None:
    for name in EXPECTED:
        assert "@" not in read(raw(name)).reason


STOP_AT = f"{SIGNER.stop_local_part('whose')}@bounce.example.org"


@pytest.mark.parametrize(
    "letter",
    [
        f"From: sam@example.com\nTo: {STOP_AT}\nSubject: Stop\n\n",
        f"From: sam@example.com\nTo: <{STOP_AT.upper()}>\nSubject: Hola\n\nNo quiero m=C3=A1s correos.",
        f"From: sam@example.com\nTo: Northgate <desk@clinic.example>\nX-Original-To: {STOP_AT}\n\nMy head is red.",
        f"From: sam@example.com\nTo: {STOP_AT}\nAuto-Submitted: auto-generated\n\n",
        f"From: sam@example.com\nTo: {STOP_AT}\nPrecedence: bulk\n\n",
        f"Return-Path: <>\nTo: {STOP_AT}\n\n",
    ],
)
def test_whatever_comes_to_a_signed_stop_address_is_a_stop(letter: str) -> None:
    report = read(letter.encode())
    assert (report.kind, report.stop_subject) == ("stop", "whose")
    assert read_report(letter.encode(), None).stop_subject is None


@pytest.mark.parametrize(
    ("letter", "kind"),
    [
        (f"From: sam@example.com\nTo: {STOP_AT}\nAuto-Submitted: auto-replied (vacation)\n\nAway.", "auto_reply"),
        (f"From: mailer-daemon@example.com\nTo: {STOP_AT}\nX-Failed-Recipients: sam@example.com\n\nfailed", "bounce"),
        (f"From: sam@example.com\nTo: {STOP_AT.replace('@', 'a@')}\n\nMy head is red.", "human"),
        (f"From: sam@example.com\nTo: desk@clinic.example\n\nSubject: {STOP_AT}", "human"),
        (f"From: sam@example.com\nTo: stop+{TOKEN.decode().partition('+')[2]}@bounce.example.org\n\nHello.", "human"),
        (
            f"From: sam@example.com\nTo: {STOP_AT}, {SIGNER.stop_local_part('another')}@bounce.example.org\n\nHello.",
            "human",
        ),
    ],
)
def test_no_other_letter_is(letter: str, kind: str) -> None:
    report = read(letter.encode())
    assert (report.kind, report.stop_subject) == (kind, None)


def test_the_stop_address_in_a_returned_original_proves_nothing() -> None:
    returned = raw("postfix_unknown_user").replace(
        b"Message-ID:", f"List-Unsubscribe: <mailto:{STOP_AT}>\nMessage-ID:".encode()
    )
    assert STOP_AT.encode() in returned
    assert (read(returned).kind, read(returned).stop_subject) == ("bounce", None)
