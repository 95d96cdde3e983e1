"""The mailbox of returned mail: a Maildir on disk, and IMAP spoken with a real socket."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from service.errors import Unavailable
from service.mail.mailbox import Mailbox, MailboxAddress, NotNow, Unread, Waiting, open_mailbox
from service.mail.reports_mime import MOST_BYTES
from tests.support.imap_server import PASSWORD, USER, Imap, imap_server
from tests.support.relay_talk import server_side

LETTER = b"From: sam@example.com\r\n\r\nHello.\r\n"


def maildir(folder: Path, **messages: bytes) -> Path:
    path = folder / "returned"
    for part in ("new", "cur", "tmp"):
        (path / part).mkdir(parents=True, exist_ok=True)
    for name, raw in messages.items():
        (path / "new" / name).write_bytes(raw)
    return path


def opened(path: Path) -> Mailbox:
    return open_mailbox(MailboxAddress("maildir", str(path)))


def lying(path: Path) -> dict[str, list[str]]:
    return {part: sorted(one.name for one in (path / part).iterdir()) for part in ("new", "cur")}


def test_a_maildir_gives_its_new_messages_oldest_first_and_no_more_than_asked(tmp_path: Path) -> None:
    box = opened(maildir(tmp_path, m2=b"two", m1=b"one", m3=b"three"))
    assert [one.name for one in box.waiting("", 2)] == ["m1", "m2"]
    assert [box.read(one) for one in box.waiting("", 10)] == [b"one", b"two", b"three"]


def test_in_a_maildir_what_is_taken_in_is_seen_what_is_kept_is_unread_and_nothing_is_gone(tmp_path: Path) -> None:
    path = maildir(tmp_path, m1=b"one", m2=b"two", m3=b"three")
    box = opened(path)
    first, second, _ = box.waiting("", 10)
    box.done(first)
    box.keep(second)
    assert lying(path) == {"new": ["m3"], "cur": ["m1:2,S", "m2:2,"]}
    assert [one.name for one in box.waiting("", 10)] == ["m3"]
    assert (path / "cur/m1:2,S").read_bytes() == b"one"


def test_a_maildir_never_writes_over_a_message_of_the_same_name(tmp_path: Path) -> None:
    path = maildir(tmp_path, m1=b"new")
    (path / "cur/m1:2,S").write_bytes(b"old")
    box = opened(path)
    box.done(box.waiting("", 1)[0])
    assert lying(path) == {"new": [], "cur": ["m1.1:2,S", "m1:2,S"]}
    assert (path / "cur/m1:2,S").read_bytes() == b"old"


def test_only_files_are_messages(tmp_path: Path) -> None:
    path = maildir(tmp_path, m1=b"one", **{".hidden": b"x"})
    (path / "new/folder").mkdir()
    os.mkfifo(path / "new/pipe")
    (path / "new/link").symlink_to("/etc/passwd")
    box = opened(path)
    assert [one.name for one in box.waiting("", 10)] == ["m1"]
    for name in ("link", "pipe", "folder", "gone"):  # it may have become one since
        with pytest.raises(Unread, match="not read"):
            box.read(Waiting(name))


def test_a_message_that_somebody_else_moved_meanwhile_is_theirs(tmp_path: Path) -> None:
    path = maildir(tmp_path, m1=b"one")
    box = opened(path)
    (one,) = box.waiting("", 10)
    (path / "new/m1").rename(path / "cur/m1:2,S")
    box.done(one)
    assert lying(path) == {"new": [], "cur": ["m1:2,S"]}


def test_of_a_huge_message_no_more_is_read_than_anybody_looks_at(tmp_path: Path) -> None:
    box = opened(maildir(tmp_path, m1=b"x" * (MOST_BYTES + 100)))
    assert len(box.read(box.waiting("", 1)[0])) == MOST_BYTES + 1


@pytest.mark.parametrize("missing", ["new", "cur"])
def test_what_is_no_maildir_is_told(tmp_path: Path, missing: str) -> None:
    path = maildir(tmp_path)
    (path / missing).rmdir()
    with pytest.raises(Unavailable, match=f"no folder {missing}") as error:
        opened(path)
    assert error.value.field == "AFTERCARE_MAILBOX_URL"
    assert error.value.next_step


@pytest.fixture
def imap() -> Iterator[Imap]:
    with imap_server() as server:
        yield server


def address(server: Imap, scheme: str = "imap", **changed: object) -> MailboxAddress:
    given = {"folder": "INBOX", "host": "127.0.0.1", "port": server.port, "username": USER, "password": PASSWORD}
    return MailboxAddress(scheme, **(given | changed))  # type: ignore[arg-type]


@contextmanager
def box_of(server: Imap, *messages: bytes) -> Iterator[Mailbox]:
    """Opened with these in it."""
    for raw in messages:
        server.add(raw)
    mailbox = open_mailbox(address(server))
    try:
        yield mailbox
    finally:
        mailbox.close()


def test_imap_gives_bytes_by_uid_oldest_first_and_leaves_them_unread(imap: Imap) -> None:
    with box_of(imap, b"one", b"two", b"three") as box:
        assert [box.read(one) for one in box.waiting("", 10)] == [b"one", b"two", b"three"]
        assert [one.name for one in box.waiting("", 2)] == ["INBOX;UID=1", "INBOX;UID=2"]
    assert imap.unread == {1, 2, 3}


def test_imap_marks_what_is_taken_in_and_leaves_what_is_kept(imap: Imap) -> None:
    with box_of(imap, b"one", b"two") as box:
        first, second = box.waiting("", 10)
        box.done(first)
        box.keep(second)
    assert imap.seen == {1}
    assert not [line for line in imap.commands if "Deleted" in line or "EXPUNGE" in line or "MOVE" in line]


def test_imap_goes_on_after_the_remembered_place_also_past_what_somebody_opened(imap: Imap) -> None:
    with box_of(imap, b"one", b"two", b"three") as box:
        place = box.waiting("", 1)[0].place
        imap.seen.add(2)
        assert [one.uid for one in box.waiting(place, 10)] == [2, 3]
        assert box.waiting(box.waiting("", 10)[-1].place, 10) == []
    assert len(place) <= 40  # the column that remembers it


def test_an_empty_folder_is_asked_nothing(imap: Imap) -> None:
    with box_of(imap) as box:
        assert box.waiting("", 10) == []


def test_a_folder_of_any_size_with_gaps_of_any_size_is_read_in_order_by_short_questions(imap: Imap) -> None:
    far = range(4_000_000_000, 4_000_150_000)
    uids = [*range(1, 60_001, 3), *range(9_000_000, 9_000_007), *far]
    imap.messages = dict.fromkeys(uids, LETTER)
    with box_of(imap) as box:

        def after(place: str) -> list[int]:
            asked = len(imap.commands)
            found = box.waiting(place, 5)
            assert len(imap.commands) - asked <= 20
            return [one.uid for one in found]

        assert after("") == [1, 4, 7, 10, 13]
        place = box.waiting("", 1)[0].place.rpartition(":")[0]
        assert after(f"{place}:59999") == uids[20_000:20_005]
        assert after(f"{place}:9000004") == [9_000_005, 9_000_006, *far[:3]]
        assert after(f"{place}:{far[-4]}") == list(far[-3:])
        assert after(f"{place}:{far[-1]}") == []


def test_no_message_is_passed_by_because_the_server_left_it_out(imap: Imap) -> None:
    with box_of(imap, b"one", b"two") as box:
        imap.spoil["FETCH"] = b"* 2 FETCH (UID 2)\r\nTAG OK done"
        with pytest.raises(Unavailable, match="refuses the messages"):
            box.waiting("", 10)


def test_another_folder_or_a_renewed_one_is_read_from_its_beginning(imap: Imap) -> None:
    with box_of(imap, b"one") as box:
        place = box.waiting("", 1)[0].place
        assert box.waiting("nonsense", 10)
    imap.validity += 1
    imap.folder = "Returned mail"
    renewed = open_mailbox(address(imap, folder="Returned mail"))
    assert [one.name for one in renewed.waiting(place, 10)] == ["Returned mail;UID=1"]
    renewed.close()


def test_imap_asks_for_no_more_of_a_huge_message_than_anybody_looks_at(imap: Imap) -> None:
    with box_of(imap, b"x" * (MOST_BYTES + 100)) as box:
        assert len(box.read(box.waiting("", 1)[0])) == MOST_BYTES + 1


def test_a_server_that_sends_more_than_was_asked_for_is_not_listened_to(imap: Imap) -> None:
    imap.spoil["UID FETCH"] = b"* 1 FETCH (UID 1 BODY[]<0> {4000000000}\r\nxxx"
    with box_of(imap, LETTER) as box, pytest.raises(Unavailable, match="broke off"):
        box.read(Waiting("m", "", 1))


@pytest.mark.parametrize(
    "answer",
    [b"TAG NO [UNAVAILABLE] not now", b"TAG BAD what?", b"* 1 FETCH (UID 1 FLAGS ())\r\nTAG OK done"],
)
def test_one_message_that_the_server_does_not_hand_out_may_come_later(imap: Imap, answer: bytes) -> None:
    imap.spoil["UID FETCH"] = answer
    with box_of(imap, LETTER) as box:
        with pytest.raises(NotNow):
            box.read(Waiting("m", "", 1))
        imap.spoil.clear()
        assert box.read(Waiting("m", "", 1)) == LETTER


def test_a_server_without_auth_plain_gets_a_quoted_log_in(imap: Imap) -> None:
    imap.plain, imap.password = False, 'pa"ss\\word'
    imap.add(LETTER)
    mailbox = open_mailbox(address(imap, password=imap.password))
    assert len(mailbox.waiting("", 5)) == 1
    mailbox.close()
    with pytest.raises(Unavailable, match="plain letters only"):
        open_mailbox(address(imap))


def trouble(server: Imap, **changed: object) -> str:
    """What is told when it cannot be opened: one sentence and a next step, without user, password or server's words."""
    with pytest.raises(Unavailable) as error:
        open_mailbox(address(server, **changed))  # type: ignore[arg-type]
    document = str(error.value.as_document())
    assert not [secret for secret in (USER, PASSWORD, "hunter2", "no such user") if secret in document]
    assert error.value.field == "AFTERCARE_MAILBOX_URL"
    assert error.value.next_step
    return error.value.message


def test_what_is_wrong_with_an_imap_mailbox_is_told_without_its_secrets(imap: Imap) -> None:
    assert "refuses the log-in" in trouble(imap, password="hunter2")
    assert "refuses the folder Nowhere" in trouble(imap, folder="Nowhere")
    assert "no TLS" in trouble(imap, scheme="imaps")
    imap.spoil["SELECT"] = None
    assert "broke off" in trouble(imap)
    imap.spoil.clear()
    imap.read_only = True
    assert "read-only" in trouble(imap)
    open_mailbox(address(imap), looking=True).close()


def test_a_server_that_is_not_there_is_told() -> None:
    with imap_server() as gone:
        pass
    assert "refused" in trouble(gone).lower()


def test_a_conversation_that_hangs_is_cut_off_from_another_thread(imap: Imap) -> None:
    imap.spoil["FETCH"] = b""
    with box_of(imap, LETTER) as box:
        cutter = threading.Timer(0.1, box.cut)
        cutter.start()
        with pytest.raises(Unavailable, match="broke off"):
            box.waiting("", 10)
        cutter.join()


def test_imaps_believes_only_a_certificate_for_that_name(
    authority: trustme.CA, secure: ssl.SSLContext, ca_file: Path
) -> None:
    with imap_server(secure) as served:
        served.add(LETTER)
        mailbox = open_mailbox(address(served, "imaps", ca_file=ca_file))
        assert [mailbox.read(one) for one in mailbox.waiting("", 10)] == [LETTER]
        mailbox.close()
        assert "not trusted" in trouble(served, scheme="imaps")
    with imap_server(server_side(authority.issue_cert("elsewhere.example"))) as other:
        assert "not trusted" in trouble(other, scheme="imaps", ca_file=ca_file)
        assert other.commands == []


def test_no_password_shows_where_an_address_is_shown() -> None:
    assert PASSWORD not in repr(MailboxAddress("imaps", "INBOX", "h", 993, USER, PASSWORD))
