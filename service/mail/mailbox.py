"""The mailbox that returned mail comes to: a Maildir here, IMAP in mailbox_imap.py. Deletes nothing, knows no SQL.

What was taken in is marked as read; what a person must see stays unread. Every message and every wait has a bound.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from service.errors import Unavailable
from service.mail.reports_mime import MOST_BYTES

FIELD = "AFTERCARE_MAILBOX_URL"


@dataclass(frozen=True)
class MailboxAddress:
    """Where returned mail lies. folder: of IMAP, or a Maildir's path. ca_file None: the system's authorities."""

    scheme: Literal["imaps", "imap", "maildir"]
    folder: str
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None


@dataclass(frozen=True)
class Waiting:
    """A message that was not looked at yet. name: what people are told of it, without personal data.

    place: what to remember once it is taken in, so that it is not read again; "" where its mark is enough.
    """

    name: str
    place: str = ""
    uid: int = 0


class Unread(Exception):
    """One message cannot be read; the others may. Its text says why, without personal data."""


class NotNow(Unread):
    """The server does not hand it out at present, though it may later: RFC 5530 UNAVAILABLE, INUSE, LIMIT."""


class Mailbox(Protocol):
    """An open mailbox. Whatever is the matter with it as a whole raises Unavailable (field: the setting)."""

    def waiting(self, after: str, most: int) -> list[Waiting]:
        """The oldest messages to look at, no more than `most`. after: the place remembered last, "" for none."""

    def read(self, one: Waiting) -> bytes:
        """Its bytes, at most MOST_BYTES + 1 of them. Raises Unread, or NotNow if it is worth asking again."""

    def done(self, one: Waiting) -> None:
        """It was taken in: nobody has to read it any more."""

    def keep(self, one: Waiting) -> None:
        """It stays unread, for a person, and is not looked at again."""

    def cut(self) -> None:
        """Break off what is under way: for another thread."""

    def close(self) -> None: ...


def open_mailbox(address: MailboxAddress, *, looking: bool = False) -> Mailbox:
    """looking: only to see whether it can be opened; changes nothing. Raises Unavailable."""
    if address.scheme == "maildir":
        return Maildir(Path(address.folder))
    from service.mail.mailbox_imap import ImapBox  # noqa: PLC0415 - the daemon's start does not wait for imaplib

    return ImapBox(address, looking=looking)


class Maildir:
    """Messages in new/ are looked at, then they lie in cur/: with S (seen) if taken in, without a flag if kept.

    A rename is whole or not at all: who dies before it looks at the message again.
    """

    def __init__(self, path: Path) -> None:
        self._new, self._cur = path / "new", path / "cur"
        for folder in (self._new, self._cur):
            if not folder.is_dir():
                raise trouble(f"{path} is no Maildir: it has no folder {folder.name}")
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise trouble(f"this user may not write {folder}")

    def waiting(self, after: str, most: int) -> list[Waiting]:  # noqa: ARG002 - new/ says itself what is new
        with _explained(), os.scandir(self._new) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        return [Waiting(name) for name in sorted(names) if not name.startswith(".")][:most]

    def read(self, one: Waiting) -> bytes:
        try:
            handle = os.open(self._new / one.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise Unread("not read: it is no file")
                return file.read(MOST_BYTES + 1)
        except OSError as error:
            raise Unread(f"not read: {error.strerror or 'it cannot be opened'}") from None

    def done(self, one: Waiting) -> None:
        self._move(one, "S")

    def keep(self, one: Waiting) -> None:
        self._move(one, "")

    def cut(self) -> None:
        """Files do not keep anybody waiting."""

    def close(self) -> None: ...

    def _move(self, one: Waiting, flags: str) -> None:
        base, number = one.name.partition(":")[0], 0
        target = self._cur / f"{base}:2,{flags}"
        while target.exists():  # a rename would write over it
            number += 1
            target = self._cur / f"{base}.{number}:2,{flags}"
        with _explained():
            try:
                (self._new / one.name).rename(target)
            except FileNotFoundError:
                return  # somebody else's mail program has moved it


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise trouble(error.strerror or "it cannot be opened") from error


def trouble(
    why: str, next_step: str = "Check the address, and that this user may read and write there."
) -> Unavailable:
    return Unavailable(f"the mailbox cannot be read: {why}", field=FIELD, next_step=next_step)
