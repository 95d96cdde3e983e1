"""The one file of a backup: a line to know it by, a header, the compressed and perhaps encrypted body, a SHA-256.

A file is whole or it is nothing: everything is checked before a byte of it is believed. Knows no database.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from service.actions.backup_lock import FIELD, InvalidTag, Lock, Scrypt
from service.errors import BadConfiguration, BadInput, Unavailable

NAME = b"AFTERCARE-BACKUP "
MAGIC = NAME + b"1\n"
CHUNK = 1 << 20
_DIGEST = hashlib.sha256().digest_size
_FRAME = struct.Struct(">?I")  # whether it is the last one, and its length
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Header:
    """What the file says of itself, readable without a key. taken_at: business time, before the copy began.

    schema: revision of the database. database: sqlite or postgresql. signed_by: which secret key signs there.
    """

    schema: str
    database: str
    taken_at: datetime
    signed_by: str
    scrypt: Scrypt | None = None
    check: str | None = None

    def as_line(self) -> bytes:
        return json.dumps(asdict(self) | {"taken_at": self.taken_at.isoformat()}).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Header:
        values = json.loads(line)
        scrypt = Scrypt(**values.pop("scrypt")) if values["scrypt"] else None
        return cls(taken_at=datetime.fromisoformat(values.pop("taken_at")), **values | {"scrypt": scrypt})


def write(path: Path, header: Header, content: tuple[bytes, Iterable[bytes]], key: str | None) -> None:
    """Write the whole file at `path` (mode 0600) and bring it to the disk. content: secret key file, database."""
    lock = None
    if key is not None:
        scrypt = Scrypt.fresh()
        lock = Lock(key, scrypt)
        header = replace(header, scrypt=scrypt, check=lock.check)
    head, digest = MAGIC + header.as_line(), hashlib.sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)
        for piece in chain([head], _frames(_compressed(*content), lock, hashlib.sha256(head).digest())):
            file.write(piece)
            digest.update(piece)
        file.write(digest.digest())
        file.flush()
        os.fsync(handle)


def _compressed(secret: bytes, database: Iterable[bytes]) -> Iterator[bytes]:
    """The body in pieces of CHUNK, the last one shorter: length and bytes of the secret, then the database."""
    packer, ready = zlib.compressobj(6), bytearray()
    ready += packer.compress(_LENGTH.pack(len(secret)) + secret)
    for piece in database:
        ready += packer.compress(piece)
        while len(ready) > CHUNK:
            yield bytes(ready[:CHUNK])
            del ready[:CHUNK]
    ready += packer.flush()
    yield from (bytes(ready[start : start + CHUNK]) for start in range(0, len(ready), CHUNK))


def _frames(pieces: Iterator[bytes], lock: Lock | None, head: bytes) -> Iterator[bytes]:
    """Each piece with its length, the last one marked so that nothing can be cut off unseen."""
    piece, number = next(pieces), 0
    while True:
        following = next(pieces, None)
        last = following is None
        closed = piece if lock is None else lock.close(number, last=last, plain=piece, head=head)
        yield _FRAME.pack(last, len(closed)) + closed
        if following is None:
            return
        piece, number = following, number + 1


class BackupFile:
    """A backup whose digest fits and whose key was tried.

    Raises BadInput for another kind of file, Unavailable for a damaged one, BadConfiguration for a wrong key.
    """

    def __init__(self, path: Path, key: str | None) -> None:
        self.path = path
        with path.open("rb") as file:
            self._require_ours(file.readline(64))
            self._require_whole(file)
            file.seek(len(MAGIC))
            line = file.readline(10_000)
        self._start = len(MAGIC) + len(line)
        self._head = hashlib.sha256(MAGIC + line).digest()
        try:
            self.header = Header.read(line)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._damaged() from error
        self._lock = self._opened_with(key)

    @property
    def encrypted(self) -> bool:
        return self._lock is not None

    def _opened_with(self, key: str | None) -> Lock | None:
        scrypt = self.header.scrypt
        if scrypt is None:
            return None
        if key is None:
            raise BadConfiguration(
                f"{self.path} is encrypted", field=FIELD, next_step=f"Set {FIELD} to the key it was made with."
            )
        try:
            lock = Lock(key, scrypt)
        except (ValueError, OverflowError, TypeError) as error:
            raise self._damaged() from error
        if lock.check != self.header.check:
            raise BadConfiguration(
                f"{FIELD} is not the key of {self.path}",
                field=FIELD,
                next_step="Set the key it was made with; without it nobody can read this backup.",
            )
        return lock

    def secret(self) -> bytes:
        """The secret key file that travels with it; empty if none does."""
        return self._content()[0]

    def database(self) -> Iterator[bytes]:
        """The copy of the database, piece by piece."""
        return self._content()[1]

    def _content(self) -> tuple[bytes, Iterator[bytes]]:
        pieces, ready = self._plain(), b""
        while len(ready) < _LENGTH.size:
            ready += self._next(pieces)
        (length,) = _LENGTH.unpack(ready[: _LENGTH.size])
        while len(ready) < _LENGTH.size + length:
            ready += self._next(pieces)
        secret, rest = ready[_LENGTH.size : _LENGTH.size + length], ready[_LENGTH.size + length :]

        def database() -> Iterator[bytes]:
            yield rest
            yield from pieces

        return secret, database()

    def _next(self, pieces: Iterator[bytes]) -> bytes:
        piece = next(pieces, None)
        if piece is None:
            raise self._damaged()
        return piece

    def _plain(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj()
        try:
            for closed in self._opened():
                waiting = closed
                while waiting:
                    if piece := unpacker.decompress(waiting, CHUNK):
                        yield piece
                    waiting = unpacker.unconsumed_tail
        except (zlib.error, InvalidTag) as error:
            raise self._damaged() from error
        if rest := unpacker.flush():
            yield rest
        if not unpacker.eof:
            raise self._damaged()

    def _opened(self) -> Iterator[bytes]:
        lock, number, last = self._lock, 0, False
        with self.path.open("rb") as file:
            file.seek(self._start)
            while not last:
                frame = file.read(_FRAME.size)
                if len(frame) < _FRAME.size:
                    raise self._damaged()
                last, length = _FRAME.unpack(frame)
                closed = file.read(length)
                yield closed if lock is None else lock.open(number, last=last, closed=closed, head=self._head)
                number += 1

    def _require_ours(self, first: bytes) -> None:
        if first == MAGIC:
            return
        if first.startswith(NAME):
            raise BadInput(
                f"{self.path} was made by a newer Aftercare", field=str(self.path), next_step="Install that version."
            )
        raise BadInput(
            f"{self.path} is no backup of Aftercare",
            field=str(self.path),
            next_step="Name a file of `aftercare backup`.",
        )

    def _require_whole(self, file: BinaryIO) -> None:
        left = os.fstat(file.fileno()).st_size - _DIGEST
        file.seek(0)
        digest = hashlib.sha256()
        while left > 0 and (piece := file.read(min(CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
        if left or file.read() != digest.digest():
            raise self._damaged()

    def _damaged(self) -> Unavailable:
        return Unavailable(
            f"{self.path} is damaged or cut short; nothing was changed",
            field=str(self.path),
            next_step="Take another copy of it, or an older backup.",
        )
