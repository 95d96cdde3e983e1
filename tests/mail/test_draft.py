"""What many messages have in common is encoded once; the bytes are the same as without."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.mail import draft as module
from service.mail.compose import Head, compose
from service.mail.draft import NotComposed, draft, whole_lines
from service.mail.program import Program, Slot

HEAD = Head(
    sender_name="Riverside",
    from_address="care@clinic.example",
    to_address="ann@example.org",
    reply_to="desk@clinic.example",
    date=datetime(2026, 11, 21, 10, 0, tzinfo=UTC),
    message_id="<k3v6o2m4.x7@clinic.example>",
    language="en",
)
PROGRAM = Program(
    ("A note from ", Slot("clinic", html=False)),
    ("Dear ", Slot("name", html=False), ",\n", Slot("clinic", html=False), " says hello. "),
    ("<p>Dear ", Slot("name", html=True), "</p>", Slot("clinic", html=True), "\n"),
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120)


@pytest.mark.parametrize(
    "chunk",
    [
        b"all is\nwell\r\n",
        b"all is\rwell\r\n",
        b"all\ris\nwell\r\n",
        b"all is well",
        b"all is\r\n.well\r\n",
        b".well\r\n",
        b"all is well" * 7 + b"\r\n",
    ],
)
def test_no_piece_leaves_that_is_not_whole_mail_lines(chunk: bytes) -> None:
    with pytest.raises(NotComposed):
        whole_lines(chunk)
    assert whole_lines(b"all is well=\r\n") == b"all is well=\r\n"


@given(WORDS, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="=?"), min_size=1))
def test_a_drafted_message_has_the_same_bytes_as_one_written_at_once(name: str, clinic: str) -> None:
    if not clinic.strip():
        clinic = "Riverside"
    values = {"name": name, "clinic": clinic}
    drafted = draft(PROGRAM, {"clinic": clinic})
    assert compose(HEAD, drafted, {"name": name}) == compose(HEAD, PROGRAM, values)


def test_what_is_left_open_is_only_the_clients_own() -> None:
    drafted = draft(PROGRAM, {"clinic": "Riverside"})
    assert [piece for piece in drafted.text + drafted.html if isinstance(piece, Slot)] == [
        Slot("name", html=False),
        Slot("name", html=True),
    ]


def test_a_clients_value_is_not_remembered() -> None:
    compose(HEAD, PROGRAM, {"name": "Ann", "clinic": "Riverside"})
    size = module._static.cache_info().currsize
    compose(HEAD, PROGRAM, {"name": "Somebody Else", "clinic": "Another"})
    assert module._static.cache_info().currsize == size
