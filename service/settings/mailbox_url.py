"""The address of the mailbox that returned mail comes to, taken apart. It holds a password: no error repeats it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SHAPE = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?)(?::(?P<port>\d{1,5}))?"
    r"(?:/(?P<folder>.*))?"
)
_PORTS = {"imaps": 993, "imap": 143}
#: What an IMAP folder's name may hold here: printable ASCII that needs no escape.
_FOLDER = re.compile(r'(?:(?!["\\%*&])[ -~]){1,200}')


@dataclass(frozen=True)
class MailboxUrl:
    """Where returned mail lies. folder: an IMAP folder, or a Maildir's path; the rest is empty for a Maildir."""

    scheme: Literal["imaps", "imap", "maildir"]
    folder: str
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = field(default="", repr=False)


def read_mailbox_url(url: str) -> MailboxUrl:
    """imaps://user:password@host[:993][/FOLDER], imap:// to loopback only, or maildir:/path.

    User, password and folder may be percent-encoded. Raises ValueError with what is wrong, without the value.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "maildir":
        if not rest.startswith("/") or "\0" in rest:
            raise ValueError("does not name a Maildir by its whole path")
        return MailboxUrl("maildir", "/" + rest.lstrip("/"))
    if scheme not in _PORTS or not rest.startswith("//"):
        raise ValueError("is neither imaps://, imap:// nor maildir:")
    who, at, where = rest[2:].rpartition("@")
    # The user's name may be an address; what is left of the last @ is theirs.
    username, _, password = who.partition(":")
    username, password = unquote(username), unquote(password)
    if not at or not username or not password:
        raise ValueError("has no user or no password")
    if not (username + password).isprintable():
        raise ValueError("has a control character in its user or password")
    found = _SHAPE.fullmatch(where)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise ValueError("has no host, or a port that is none")
    host, folder = found["host"].strip("[]"), unquote(found["folder"] or "INBOX")
    if not _FOLDER.fullmatch(folder):
        raise ValueError("has a folder with other signs than plain letters")
    if scheme == "imap" and host.lower() not in LOOPBACK:
        raise ValueError("would send its password in clear")
    kind: Literal["imaps", "imap"] = "imap" if scheme == "imap" else "imaps"
    return MailboxUrl(kind, folder, host, int(found["port"] or _PORTS[scheme]), username, password)
