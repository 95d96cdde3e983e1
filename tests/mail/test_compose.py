"""The bytes of a message, read back by the standard library's two parsers."""

import dataclasses
import email
import re
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.message import Message
from email.policy import default
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.mail import compose as module
from service.mail.compose import Head, check, compose
from service.mail.draft import NotComposed
from service.mail.program import Piece, Program, Slot, fill

HEAD = Head(
    sender_name="Riverside",
    from_address="care@clinic.example",
    to_address="ann@example.org",
    reply_to="desk@clinic.example",
    date=datetime(2026, 11, 22, 10, 0, tzinfo=timezone(timedelta(hours=1))),
    message_id="<k3v6o2m4.x7@clinic.example>",
    language="en-GB",
    stop_mailto="mailto:stop+k3v6@clinic.example?subject=Stop",
    stop_url="https://clinic.example/s/k3v6o2m4",
)
PROGRAM = Program(
    subject=("A note from ", Slot("clinic", html=False)),
    text=("Hello ", Slot("name", html=False), ",\n\nall is well.\n.\nFrom us\n"),
    html=("<p>Hello ", Slot("name", html=True), ",</p>\n<p>all is well.</p>\n"),
)
VALUES = {"name": "Zoë <O'Brien>", "clinic": "Riverside"}
NAMES = [
    *["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type", "Auto-Submitted"],
    *["X-Auto-Response-Suppress", "Content-Language", "List-Unsubscribe", "List-Unsubscribe-Post"],
]
# CVE-2024-6923 and kin: names that some readers unfold into headers of their own.
HOSTILE = [
    "=?utf-8?q?Ann=0d=0aBcc:_victim@x.test=0d=0aX:_?=",
    "=?utf-8?b?QW5uDQpCY2M6IHZAeC50ZXN0?=",
    "Ann\r\nBcc: victim@x.test",
    "Ann\nBcc: victim@x.test",
    "Ann\rBcc: victim@x.test",
    "Ann\r\n\r\n<p>body</p>",
    "Ann\0",
    "Ann\x85Bcc: victim@x.test",
    "Ann\u2028Bcc: victim@x.test",
    "Ann\u2029Bcc: victim@x.test",
    "Ann\x0b\x1c\x7f",
    "Ann\ud800",
]
SCRIPTS = [
    *["Ελένη", "Борис", "Հայկ", "משה", "محمد", "ܡܪܝܐ", "ސާރާ", "ߒߞߏ", "सीता", "তানিয়া", "ਗੁਰਪ੍ਰੀਤ", "મીરા"],
    *["ମିତା", "கண்ணன்", "సీత", "ಸೀತಾ", "സീത", "සීතා", "สมชาย", "ສົມ", "ཚེ་རིང", "မောင်", "ნინო", "ሰላም"],
    *["ᏣᎳᎩ", "ᐃᓄᒃ", "សុខ", "ᠮᠣᠩᠭᠣᠯ", "さくら", "サクラ", "ㄅㄆ", "김민수", "漢字", "ꦗꦮ", "𞤀𞤣𞤤𞤢𞤥", "👩🏽‍⚕️🇬🇧"],
]

TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
    | st.text(" \t.=Fromab\n\r--é漢😀", max_size=200)
    | st.lists(st.sampled_from([*SCRIPTS, "From ", "\nFrom ", " \n", "\t\n", ".\n", "\n.\n", "x" * 100, "--"])).map(
        "".join
    )
)
NAMES_OF_SLOTS = ["a", "b", "c"]
PIECES = st.lists(TEXTS | st.builds(Slot, st.sampled_from(NAMES_OF_SLOTS), html=st.booleans()), max_size=8).map(tuple)
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=90).filter(
    lambda text: text.strip() and not re.search(r"=\?.*\?=", text)
)


def parts_of(message: bytes) -> tuple[str, str]:
    """Text and HTML as the standard library decodes them, line ends as in a Program."""
    parsed = email.message_from_bytes(message)
    found = []
    for part in parsed.get_payload():
        assert isinstance(part, Message)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append(payload.decode("utf-8").replace("\r\n", "\n"))
    text, html = found
    return text, html


def defects(message: bytes) -> list[Any]:
    found: list[Any] = []
    for policy in (default, email.policy.compat32):
        for part in email.message_from_bytes(message, policy=policy).walk():
            found += part.defects
    for value in email.message_from_bytes(message, policy=default).values():
        found += getattr(value, "defects", [])
    return found


def test_the_message_has_exactly_our_headers_in_our_order() -> None:
    message = compose(HEAD, PROGRAM, VALUES)
    for policy in (default, email.policy.compat32):
        assert email.message_from_bytes(message, policy=policy).keys() == NAMES
    assert not defects(message)
    parsed = email.message_from_bytes(message)
    assert parsed["From"] == "Riverside <care@clinic.example>"
    assert parsed["To"] == "ann@example.org"
    assert parsed["Subject"] == "A note from Riverside"
    assert parsed["Date"] == "Sun, 22 Nov 2026 10:00:00 +0100"
    assert parsedate_to_datetime(parsed["Date"]) == HEAD.date
    assert parsed["Message-ID"] == HEAD.message_id
    assert parsed["Reply-To"] == "desk@clinic.example"
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["X-Auto-Response-Suppress"] == "All"
    assert parsed["Content-Language"] == "en-GB"
    assert parsed["List-Unsubscribe"] == f"<{HEAD.stop_url}>, <{HEAD.stop_mailto}>"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in parsed.walk()][1:] == ["text/plain", "text/html"]
    assert b"Zo" not in message.partition(b"\r\n\r\n")[0]


def test_both_parts_read_back_as_the_program_filled() -> None:
    assert parts_of(compose(HEAD, PROGRAM, VALUES)) == (fill(PROGRAM.text, VALUES), fill(PROGRAM.html, VALUES))


def test_the_same_input_gives_the_same_bytes_and_another_message_id_another_boundary() -> None:
    once, again = compose(HEAD, PROGRAM, VALUES), compose(dataclasses.replace(HEAD), PROGRAM, dict(VALUES))
    assert once == again
    other = compose(dataclasses.replace(HEAD, message_id="<other@clinic.example>"), PROGRAM, VALUES)
    boundaries = {email.message_from_bytes(message).get_boundary() for message in (once, other)}
    assert len(boundaries) == 2


@given(PIECES, PIECES, st.fixed_dictionaries(dict.fromkeys(NAMES_OF_SLOTS, TEXTS)))
def test_any_words_read_back_exactly_and_without_defects(
    text: tuple[Piece, ...], html: tuple[Piece, ...], values: dict[str, str]
) -> None:
    program = Program(subject=("Hello",), text=text, html=html)
    message = compose(HEAD, program, values)
    assert parts_of(message) == (fill(text, values), fill(html, values))
    assert not defects(message)
    assert email.message_from_bytes(message).keys() == NAMES
    body = message.partition(b"\r\n\r\n")[2]
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert not re.search(rb"^(\.|From )|[ \t]\r$", message, re.MULTILINE)


@given(LINES, LINES)
def test_any_subject_and_sender_read_back_exactly(subject: str, sender: str) -> None:
    head = dataclasses.replace(HEAD, sender_name=sender)
    message = compose(head, Program((subject,), ("Hi\n",), ("<p>Hi</p>\n",)), {})
    parsed = email.message_from_bytes(message)
    assert parsed.keys() == NAMES
    assert str(make_header(decode_header(parsed["Subject"]))) == subject
    name, address = parseaddr(re.sub(r"\r\n(?= )", "", parsed["From"]))
    assert address == HEAD.from_address
    assert str(make_header(decode_header(name))) == sender
    modern = email.message_from_bytes(message, policy=default)
    assert [found.addr_spec for found in modern["From"].addresses] == [HEAD.from_address]
    assert max(map(len, message.partition(b"\r\nList-")[0].split(b"\r\n"))) <= 78


@pytest.mark.parametrize("name", SCRIPTS)
def test_names_of_every_script_come_through_in_body_and_subject(name: str) -> None:
    program = dataclasses.replace(PROGRAM, subject=(Slot("name", html=False), " " * 3, Slot("name", html=False)))
    message = compose(dataclasses.replace(HEAD, sender_name=name), program, {"name": name})
    assert parts_of(message)[0] == fill(PROGRAM.text, {"name": name})
    assert str(make_header(decode_header(email.message_from_bytes(message)["Subject"]))) == f"{name}   {name}"
    assert not defects(message)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "field",
    [
        *["sender_name", "from_address", "to_address", "reply_to", "message_id", "language", "stop_mailto", "stop_url"],
        *["subject"],
    ],
)
def test_a_hostile_value_in_any_header_is_refused_by_its_name(field: str, hostile: str) -> None:
    forged: dict[str, Any] = {field: hostile}
    head = HEAD if field == "subject" else dataclasses.replace(HEAD, **forged)
    values = {**VALUES, "clinic": hostile} if field == "subject" else VALUES
    with pytest.raises(NotComposed) as refused:
        compose(head, PROGRAM, values)
    assert refused.value.field not in (None, "message")
    assert "Ann" not in str(refused.value)


@pytest.mark.parametrize("hostile", HOSTILE[:-1])
def test_a_hostile_name_is_harmless_in_the_body(hostile: str) -> None:
    values = {**VALUES, "name": hostile}
    message = compose(HEAD, PROGRAM, values)
    assert email.message_from_bytes(message).keys() == NAMES
    assert parts_of(message) == (fill(PROGRAM.text, values), fill(PROGRAM.html, values))


def test_half_a_character_in_the_body_is_refused() -> None:
    with pytest.raises(NotComposed):
        compose(HEAD, PROGRAM, {**VALUES, "name": "\ud83d"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to_address", "ann"),
        ("to_address", "ann@example.org, bob@example.org"),
        ("to_address", "Ann <ann@example.org>"),
        ("to_address", "ann@example.org "),
        ("to_address", "añn@example.org"),
        ("to_address", "a..n@example.org"),
        ("to_address", "a" * 65 + "@example.org"),
        ("from_address", ""),
        ("reply_to", "desk@clinic..example"),
        ("reply_to", "desk@-clinic.example"),
        ("message_id", "k3v6@clinic.example"),
        ("message_id", "<k3v6>"),
        ("language", "english language"),
        ("language", ""),
        ("stop_url", "http://clinic.example/s/1"),
        ("stop_url", "https://clinic.example/s/1>, <https://evil.example/"),
        ("stop_url", ""),
        ("stop_mailto", "stop@clinic.example"),
        ("stop_mailto", "mailto:stop@clinic.example,me@evil.example"),
        ("date", datetime(2026, 11, 22, 10, 0)),  # noqa: DTZ001
    ],
)
def test_a_value_that_its_header_cannot_hold_is_refused(field: str, value: Any) -> None:
    with pytest.raises(NotComposed):
        compose(dataclasses.replace(HEAD, **{field: value}), PROGRAM, VALUES)


def test_an_empty_subject_is_refused() -> None:
    with pytest.raises(NotComposed, match="Subject"):
        compose(HEAD, dataclasses.replace(PROGRAM, subject=(" ",)), VALUES)


def test_a_slot_without_a_value_is_a_bug_and_says_so() -> None:
    with pytest.raises(KeyError):
        compose(HEAD, PROGRAM, {"clinic": "Riverside"})


@pytest.mark.parametrize(
    ("url", "mailto", "names", "value"),
    [
        (None, None, [], None),
        (None, "mailto:s@c.example", ["List-Unsubscribe"], "<mailto:s@c.example>"),
        ("https://c.example/s/1", None, ["List-Unsubscribe", "List-Unsubscribe-Post"], "<https://c.example/s/1>"),
    ],
)
def test_the_stop_headers_name_what_there_is(url: str | None, mailto: str | None, names: list[str], value: str) -> None:
    message = compose(dataclasses.replace(HEAD, stop_url=url, stop_mailto=mailto), PROGRAM, VALUES)
    parsed = email.message_from_bytes(message)
    assert parsed.keys()[11:] == names
    assert parsed["List-Unsubscribe"] == value


def test_a_long_stop_address_stays_on_one_line() -> None:
    url = "https://clinic.example/s/" + "k" * 200
    message = compose(dataclasses.replace(HEAD, stop_url=url), PROGRAM, VALUES)
    assert f"List-Unsubscribe: <{url}>, <{HEAD.stop_mailto}>\r\n".encode() in message


def test_a_sender_name_and_address_too_long_for_one_line_are_folded_between_them() -> None:
    address = "care@" + "a-very-long-name-of-a-clinic" * 2 + ".example"
    message = compose(dataclasses.replace(HEAD, from_address=address), PROGRAM, VALUES)
    assert message.startswith(b"From: Riverside\r\n <care@")
    assert parseaddr(email.message_from_bytes(message)["From"].replace("\r\n", "")) == ("Riverside", address)


def test_without_a_sender_name_the_address_stands_alone() -> None:
    message = compose(dataclasses.replace(HEAD, sender_name=""), PROGRAM, VALUES)
    assert message.startswith(b"From: care@clinic.example\r\n")


MARK = b"--" + module._boundary(HEAD.message_id).encode()


@pytest.mark.parametrize(
    ("find", "put"),
    [
        (b"To: ann@", b"To: eve@"),
        (b"To: ann@", b"Bcc: eve@example.org\r\nTo: ann@"),
        (b"To: ann@example.org\r\n", b"To: ann@example.org\r\nTo: eve@example.org\r\n"),
        (b"To: ann@example.org\r\n", b"To: ann@example.org\r\n , eve@example.org\r\n"),
        (b"To: ann@example.org\r\n", b""),
        (b"To: ann@example.org\r\n", b"\r\n"),
        (b"From: Riverside", b"from: Riverside"),
        (b"<care@clinic.example>", b"<eve@clinic.example>"),
        (b"<k3v6o2m4.x7@", b"<other@"),
        (b"MIME-Version", b"X-MIME-Version"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0 \r\n"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\t\r\n"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\r\n \r\n"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\r\nno header at all\r\n"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\n"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\r"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\x7f\r\n"),
        (b"Subject: A", b"Subject: " + b"A" * 1000),
        (b"all is well", b"all is\0well"),
        (b"all is well", b"all is w\xe9ll"),
        (b"all is well", MARK + b"\r\nContent-Type: text/html\r\n\r\n"),
        (b"all is well", MARK + b"x"),
        (b"Content-Type: text/html; charset=utf-8\r\n", b"Content-Type: application/zip\r\n"),
        (b"quoted-printable\r\n\r\n", b"quoted-printable\r\nX: y\r\n\r\n"),
        (MARK + b"--\r\n", MARK + b"--\r\nmore\r\n"),
        (MARK + b"--\r\n", MARK + b"--"),
        (MARK + b"--\r\n", MARK + b"\r\n"),
    ],
)
def test_the_last_gate_refuses_bytes_that_are_not_what_we_meant(find: bytes, put: bytes) -> None:
    message = compose(HEAD, PROGRAM, VALUES)
    check(message, HEAD)
    forged = message.replace(find, put, 1)
    assert forged != message
    with pytest.raises(NotComposed):
        check(forged, HEAD)


def test_the_last_gate_refuses_what_is_no_message() -> None:
    for nothing in (b"", b"\r\n", b"\r\n\r\n", b"To: ann@example.org\r\n\r\n"):
        with pytest.raises(NotComposed):
            check(nothing, HEAD)


def test_summer_time_is_written_with_its_offset() -> None:
    message = compose(dataclasses.replace(HEAD, date=datetime(2026, 7, 1, 9, 5, tzinfo=UTC)), PROGRAM, VALUES)
    assert b"\r\nDate: Wed, 01 Jul 2026 09:05:00 +0000\r\n" in message
