from __future__ import annotations

import hashlib
import os
import random
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.actions import backup_file
from service.actions.backup_file import CHUNK, BackupFile, Header
from service.actions.backup_lock import require_good_key
from service.errors import AftercareError, BadConfiguration, BadInput, Unavailable

KEY = "a long key that nobody guesses"
HEADER = Header("first_tables", "sqlite", datetime(2026, 11, 20, 16, tzinfo=UTC), "abc")
#: More than two frames, of which none can be compressed.
DATABASE = random.Random(1).randbytes(2 * CHUNK + 12_345)
SECRET = b"the secret key of links\n"


def write(path: Path, key: str | None, secret: bytes = SECRET) -> Path:
    backup_file.write(path, HEADER, (secret, [DATABASE[:5], DATABASE[5:]]), key)
    return path


@pytest.mark.parametrize("key", [None, KEY])
def test_what_was_written_is_read(tmp_path: Path, key: str | None) -> None:
    file = BackupFile(write(tmp_path / "b", key), key)
    assert (file.header.schema, file.header.taken_at) == (HEADER.schema, HEADER.taken_at)
    assert file.encrypted == (key is not None)
    assert file.secret() == SECRET
    assert b"".join(file.database()) == DATABASE


@pytest.mark.parametrize("content", [b"", b"\0" * (5 * CHUNK)])
def test_nothing_and_much_that_compresses_well(tmp_path: Path, content: bytes) -> None:
    backup_file.write(tmp_path / "b", HEADER, (b"", [content]), KEY)
    file = BackupFile(tmp_path / "b", KEY)
    assert file.secret() == b""
    assert b"".join(file.database()) == content
    assert max(map(len, file.database())) <= CHUNK
    assert file.path.stat().st_size < 20_000


def test_the_file_is_private_and_shows_nothing_of_an_encrypted_database(tmp_path: Path) -> None:
    (tmp_path / "b").touch(mode=0o666)
    backup_file.write(tmp_path / "b", HEADER, (SECRET, [b"sam@example.com" * 1000]), KEY)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    backup_file.write(tmp_path / "same", HEADER, (SECRET, [b"sam@example.com" * 1000]), KEY)
    one, other = (tmp_path / "b").read_bytes(), (tmp_path / "same").read_bytes()
    assert SECRET not in one
    assert b"sam" not in one
    assert one.splitlines()[1] != other.splitlines()[1], "each file has a salt of its own"


def test_a_wrong_key_and_no_key_are_told_apart_from_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "b", KEY)
    with pytest.raises(BadConfiguration, match="is not the key") as wrong:
        BackupFile(path, "another key that is as long")
    with pytest.raises(BadConfiguration, match="is encrypted") as none:
        BackupFile(path, None)
    assert wrong.value.field == none.value.field == "AFTERCARE_BACKUP_KEY"
    assert KEY not in str(wrong.value)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("place", [25, 60, 300, 400, CHUNK, -40, -20, -1])
def test_one_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path, key: str | None, place: int) -> None:
    path = write(tmp_path / "b", key)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(Unavailable, match="damaged or cut short"):
        BackupFile(path, key)


@pytest.mark.parametrize("left", [0.0, 0.3, 0.999999])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, left: float) -> None:
    path = write(tmp_path / "b", KEY)
    size = int(path.stat().st_size * left)
    os.truncate(path, size)
    with pytest.raises((Unavailable, BadInput)):
        BackupFile(path, KEY)


def changed(path: Path, old: bytes, new: bytes) -> None:
    """Somebody changes the file and makes its digest fit again."""
    content = path.read_bytes()[:-32].replace(old, new, 1)
    path.write_bytes(content + hashlib.sha256(content).digest())


def frames(path: Path) -> list[bytes]:
    """The frames of a backup with their heads; what stands before them is first."""
    content = path.read_bytes()[:-32]
    start = content.index(b"\n", len(backup_file.MAGIC)) + 1
    parts = [content[:start]]
    while start < len(content):
        end = start + 5 + int.from_bytes(content[start + 1 : start + 5], "big")
        parts.append(content[start:end])
        start = end
    return parts


@pytest.mark.parametrize("change", ["header", "swapped", "last left out"])
def test_with_a_key_even_a_fitting_digest_proves_nothing(tmp_path: Path, change: str) -> None:
    path = write(tmp_path / "b", KEY)
    head, *body = frames(path)
    assert len(body) == 3
    if change == "header":
        head = head.replace(b"2026-11-20", b"2026-11-27")
    elif change == "swapped":
        body = [body[1], body[0], body[2]]
    else:
        body = [body[0], b"\1" + body[1][1:]]
    content = head + b"".join(body)
    path.write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(Unavailable, match="damaged or cut short"):
        list(BackupFile(path, KEY).database())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"n": 32768', b'"n": 3276800'),
        (b'"r": 8', b'"r": []'),
        (b'{"schema"', b'["schema"'),
        (b'"schema"', b'"scheme"'),
    ],
)
def test_a_header_that_makes_no_sense_is_damage(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = write(tmp_path / "b", KEY)
    changed(path, old, new)
    with pytest.raises(Unavailable, match="damaged or cut short"):
        BackupFile(path, KEY)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is no backup"), (b"SQLite format 3\0", "is no backup"), (b"AFTERCARE-BACKUP 2\n{}\n", "newer Aftercare")],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(BadInput, match=words):
        BackupFile(tmp_path / "b", KEY)


def test_a_short_key_keeps_no_secret() -> None:
    with pytest.raises(AftercareError, match="16 characters"):
        require_good_key("short")
    require_good_key(None)
    require_good_key(KEY)
