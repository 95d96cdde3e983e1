"""Seven-bit text that the standard library reads back as it was."""

import quopri
import re
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.mail.encoding import display_name, encoded_words, header_text, quoted_printable

PIECES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.text(
    " \t.=FromFrom\n\r_ßž漢😀", max_size=300
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=120)


def decoded(encoded: bytes) -> str:
    return quopri.decodestring(encoded.replace(b"\r\n", b"\n")).decode("utf-8")


@given(PIECES)
def test_a_piece_reads_back_as_it_was(text: str) -> None:
    assert decoded(quoted_printable(text)) == text


@given(PIECES)
def test_lines_are_short_seven_bit_and_harmless_to_every_relay(text: str) -> None:
    encoded = quoted_printable(text)
    lines = encoded.split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert len(line) <= 76
        assert re.fullmatch(rb"[\t -~]*", line)
        assert not line.startswith((b".", b"From "))
        assert not line.endswith((b" ", b"\t"))


@given(st.lists(PIECES, max_size=6))
def test_pieces_encoded_one_by_one_read_back_as_one_text(pieces: list[str]) -> None:
    assert decoded(b"".join(quoted_printable(piece) for piece in pieces)) == "".join(pieces)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", b""),
        ("Ann", b"Ann=\r\n"),
        ("a=b", b"a=3Db=\r\n"),
        ("one \ntwo\t\n", b"one=20\r\ntwo=09\r\n"),
        (".", b"=2E=\r\n"),
        ("From here", b"=46rom here=\r\n"),
        ("a\r\n", b"a=0D\r\n"),
        ("x" * 75, b"x" * 75 + b"=\r\n"),
        ("x" * 76, b"x" * 75 + b"=\r\nx=\r\n"),
        ("x" * 74 + "é", b"x" * 74 + b"=\r\n=C3=A9=\r\n"),
        ("x" * 73 + "é", b"x" * 73 + b"=\r\n=C3=A9=\r\n"),
        ("x" * 72 + "é", b"x" * 72 + b"=C3=\r\n=A9=\r\n"),
        ("x" * 75 + ".y", b"x" * 75 + b"=\r\n=2Ey=\r\n"),
    ],
)
def test_the_edges_are_cut_where_they_should_be(text: str, encoded: bytes) -> None:
    assert quoted_printable(text) == encoded


@given(WORDS)
def test_encoded_words_read_back_and_keep_to_their_size(text: str) -> None:
    words = encoded_words(text, len("Subject: "))
    assert str(make_header(decode_header(words))) == text
    first, *more = words.split("\r\n")
    assert len(first) + len("Subject: ") <= 76
    assert all(line.startswith(" =?") and len(line) <= 76 for line in more)
    for word in words.split("\r\n "):
        assert len(word) <= 75
        [(raw, charset)] = decode_header(word)
        assert charset == "utf-8"
        raw.decode("utf-8")  # every word holds whole characters


@pytest.mark.parametrize("subject", ["A note from Riverside", "x", "50 % off? = no", "a" * 67])
def test_a_plain_subject_stays_as_it_is(subject: str) -> None:
    assert header_text(subject, used=9) == subject


@pytest.mark.parametrize("subject", ["a" * 68, "déjà vu", " padded", "padded ", "=?half", "два"])
def test_any_other_subject_becomes_encoded_words(subject: str) -> None:
    written = header_text(subject, used=9)
    assert written.startswith("=?utf-8?q?")
    assert str(make_header(decode_header(written))) == subject


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("", ""),
        ("Riverside", "Riverside"),
        ("O'Brien & Co", "O'Brien & Co"),
        ("Dr. Care", '"Dr. Care"'),
        ("a, b <c@d>", '"a, b <c@d>"'),
        ('say "hi" \\', '"say \\"hi\\" \\\\"'),
        ("two  spaces", '"two  spaces"'),
        ("Zoë", "=?utf-8?q?Zo=C3=AB?="),
    ],
)
def test_a_sender_name_is_quoted_only_as_far_as_it_must(name: str, written: str) -> None:
    assert display_name(name) == written


def test_half_a_character_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        quoted_printable("\ud800")
