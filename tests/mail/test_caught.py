"""Whatever lies in the Maildir can be listed and opened; nothing outside it can."""

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import NotFound
from service.mail.caught import Caught, caught, count_caught, read_caught

MESSAGE = (
    b"Return-Path: <care@clinic.example>\r\nDelivered-To: ann@example.org\r\n"
    b"From: =?utf-8?q?Zo=C3=AB?= <care@clinic.example>\r\nTo: other@example.org\r\n"
    b"Subject: =?utf-8?q?d=C3=ADa?=\r\n =?utf-8?q?_uno?=\r\nDate: Sun, 22 Nov 2026 10:00:00 +0100\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="x"\r\n\r\n'
    b"--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Hola Zo=C3=AB,=\r\n bien\r\n\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hola</p>\r\n--x--\r\n"
)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "box" / name).mkdir(parents=True)
    return tmp_path / "box"


def put(maildir: Path, name: str, content: bytes, at: int = 1_800_000_000) -> None:
    path = maildir / name
    path.write_bytes(content)
    os.utime(path, (at, at))


def test_a_message_is_listed_as_people_read_it(maildir: Path) -> None:
    put(maildir, "new/a.1", MESSAGE)
    assert caught(maildir) == [
        Caught(
            id="a.1",
            at=datetime(2027, 1, 15, 8, 0, tzinfo=UTC),
            to="ann@example.org",
            sender="Zoë <care@clinic.example>",
            subject="día uno",
            dated=datetime(2026, 11, 22, 10, 0, tzinfo=timezone(timedelta(hours=1))),
        )
    ]


def test_a_message_opens_with_both_parts_headers_and_source(maildir: Path) -> None:
    put(maildir, "new/a.1", MESSAGE)
    opened = read_caught(maildir, "a.1")
    assert opened.caught == caught(maildir)[0]
    assert opened.text == "Hola Zoë, bien\n"
    assert opened.html == "<p>Hola</p>"
    assert opened.headers[2:5] == (
        ("From", "Zoë <care@clinic.example>"),
        ("To", "other@example.org"),
        ("Subject", "día uno"),
    )
    assert opened.source == MESSAGE


def test_the_newest_comes_first_and_a_limit_keeps_the_newest(maildir: Path) -> None:
    for number in (2, 0, 3, 1):
        put(maildir, f"new/x.{number}", MESSAGE, at=1_800_000_000 + number // 2)
    assert [entry.id for entry in caught(maildir)] == ["x.3", "x.2", "x.1", "x.0"]
    assert [entry.id for entry in caught(maildir, limit=2)] == ["x.3", "x.2"]
    assert count_caught(maildir) == 4


def test_a_message_that_a_reader_has_seen_keeps_its_id(maildir: Path) -> None:
    put(maildir, "cur/a.1:2,S", MESSAGE)
    assert [entry.id for entry in caught(maildir)] == ["a.1"]
    assert read_caught(maildir, "a.1").source == MESSAGE


def test_what_is_no_message_file_is_left_out(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    (maildir / "new" / "link").symlink_to(tmp_path / "secret")
    (maildir / "new" / "folder").mkdir()
    os.mkfifo(maildir / "new" / "fifo")
    put(maildir, "new/.hidden", MESSAGE)
    put(maildir, "new/with space", MESSAGE)
    put(maildir, "tmp/unfinished", MESSAGE)
    assert caught(maildir) == []
    for name in ("link", "folder", "fifo", ".hidden", "with space", "unfinished"):
        with pytest.raises(NotFound):
            read_caught(maildir, name)


@pytest.mark.parametrize(
    "trick",
    [
        *["", ".", "..", "../new/a.1", "new/a.1", "/etc/passwd", "a.1/", "a.1\0", "..%2fa.1", "a.1\n", "a.1:2,S", "b"],
        *["a" * 300, "\ud800", "../../secret", "\\..\\a.1"],
    ],
)
def test_no_id_leads_out_of_the_maildir(maildir: Path, trick: str) -> None:
    put(maildir, "new/a.1", MESSAGE)
    with pytest.raises(NotFound):
        read_caught(maildir, trick)


def test_a_maildir_that_is_not_there_is_an_empty_list(tmp_path: Path) -> None:
    assert caught(tmp_path / "none") == []
    with pytest.raises(NotFound):
        read_caught(tmp_path / "none", "a.1")


BROKEN = [
    b"",
    b"\0" * 100,
    b"\xff\xfe\r\n\r\n\xff",
    b"no header at all",
    b"Subject: =?utf-8?b?a?=\r\nDate: never\r\n\r\n",
    b"Subject: =?klingon?q?x?=\r\nFrom: \xe9\r\n\r\n",
    b"Subj\xe9ct: x\r\n\xff\xff: y\r\n\r\n",
    b"Date: Mon, 99 Foo 99999 99:99:99 +9999\r\n\r\n",
    b"Date: Sun, 22 Nov 2026 10:00:00\r\n\r\n",
    b"Content-Type: text/html; charset=klingon\r\n\r\n<p>",
    b"Content-Type: text/plain; charset=idna\r\n\r\n\xe9",
    b"Content-Type: text/plain; charset=hex\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--y\r\n",
    b"Content-Type: multipart/mixed\r\n\r\n",
    b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(3000)),
    b"X: " + b"y" * 200_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_is_shown_bare(maildir: Path, content: bytes) -> None:
    put(maildir, "new/broken", content)
    put(maildir, "new/whole", MESSAGE)
    assert {entry.id for entry in caught(maildir)} == {"broken", "whole"}
    assert_showable(maildir, "broken")
    assert read_caught(maildir, "broken").source == content


@given(
    st.lists(
        st.sampled_from(
            [b"Delivered-To: ", b"Date: ", b"From: ", b"Content-Type: ", b"=?utf-8?", b"q?", b"?=", b"\r\n", b" "]
        )
        | st.sampled_from(
            [b"multipart/mixed; boundary=x", b"--x", b"text/html; charset=", b"Content-Transfer-Encoding: "]
        )
        | st.sampled_from([b"base64", b"x-uuencode", b"22 Nov 2026 10:00:00 +0100", b"*0*=''", b";", b"-", b":", b'"'])
        | st.binary(max_size=12),
        max_size=40,
    ).map(b"".join)
)
def test_no_bytes_make_the_reader_fall_over(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "new").mkdir()
        put(Path(folder), "new/any", content)
        assert_showable(Path(folder), "any")


def assert_showable(maildir: Path, caught_id: str) -> None:
    opened = read_caught(maildir, caught_id)
    entry = opened.caught
    words = [opened.text, opened.html, entry.to, entry.sender, entry.subject, *sum(opened.headers, ())]
    for word in words:
        word.encode("utf-8")
    assert entry.dated is None or entry.dated.tzinfo is not None
