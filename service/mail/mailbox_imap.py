r"""Returned mail from an IMAP server: by UID, over verified TLS, never more of a message than the bound.

What was looked at is remembered by the caller as a place: whose mailbox, its UIDVALIDITY, the UID. So a message that
somebody opened first is not lost, and \Seen is only for people's eyes. Deletes and moves nothing.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

from service.mail.mailbox import MailboxAddress, NotNow, Waiting, trouble
from service.mail.relay_address import tls_context
from service.mail.reports_mime import MOST_BYTES

#: Seconds that the server has for every step.
TIMEOUT = 20.0
#: The server may send so much more than was asked for in one piece.
_ASIDE = 64 * 1024
#: "7 (UID 9)", also among what the server says unasked.
_NUMBERED = re.compile(rb"(\d+) \(.*?\bUID (\d+)")
_PLACE = re.compile(r"([0-9a-f]{8}) (\d{1,10}):(\d{1,10})")


class _Client(imaplib.IMAP4):
    """The library's, over a socket that is bounded in time, a reply bounded in size, and TLS that proves the name."""

    def __init__(self, address: MailboxAddress) -> None:
        self._context = tls_context(address.ca_file) if address.scheme == "imaps" else None
        super().__init__(address.host, address.port, TIMEOUT)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        plain = socket.create_connection((self.host, self.port), timeout)
        return self._context.wrap_socket(plain, server_hostname=self.host) if self._context else plain

    def read(self, size: int) -> bytes:
        if size > MOST_BYTES + _ASIDE:
            raise self.abort("more than was asked for")
        return super().read(size)


class ImapBox:
    """An open folder. looking: read-only."""

    def __init__(self, address: MailboxAddress, *, looking: bool = False) -> None:
        self._step = "the connection"
        self._folder = address.folder
        whose = f"{address.username}@{address.host}:{address.port}/{address.folder}"
        self._whose = sha256(whose.encode()).hexdigest()[:8]
        with self._explained(address.host):
            self._client = _Client(address)
            try:
                self._log_in(address)
                self._select(address.folder, looking=looking)
            except BaseException:
                self.close()
                raise

    def _log_in(self, address: MailboxAddress) -> None:
        self._step = "the log-in"
        client = self._client
        if "AUTH=PLAIN" in client.capabilities:
            secret = f"\0{address.username}\0{address.password}".encode()
            client.authenticate("PLAIN", lambda _: secret)
        else:
            client.login(_quoted(address.username), address.password)

    def _select(self, folder: str, *, looking: bool) -> None:
        self._step = f"the folder {folder}"
        kind, number = self._client.select(_quoted(folder), readonly=looking)
        if kind != "OK":
            raise imaplib.IMAP4.error
        self._size = int(number[-1] or 0)
        _, validity = self._client.response("UIDVALIDITY")
        self._validity = int(validity[-1]) if validity and validity[-1] and validity[-1].isdigit() else 0
        self._step = "the messages"

    def waiting(self, after: str, most: int) -> list[Waiting]:
        known = _PLACE.fullmatch(after)
        same = known is not None and (known[1], int(known[2])) == (self._whose, self._validity)
        last = int(known[3]) if known is not None and same else 0
        with self._explained():
            uids = self._uids_after(last, most)
        return [Waiting(f"{self._folder};UID={uid}", self._place(uid), uid) for uid in uids]

    def _uids_after(self, last: int, most: int) -> list[int]:
        """The lowest UIDs past `last`, by message number: numbers have no gaps, UIDs rise with them (RFC 3501 2.3.1).

        So each answer is short, and of a mailbox of any size some twenty are enough. While only these questions are
        asked the server renumbers nothing (7.4.1).
        """
        first = max(1, self._size - most + 1)
        newest = self._uids(first, self._size)
        if first == 1 or newest[0] <= last:
            return [uid for uid in newest if uid > last]
        first = 1 + bisect_right(range(1, first), last, key=lambda number: self._uids(number, number)[0])
        return self._uids(first, first + most - 1)

    def _uids(self, first: int, last: int) -> list[int]:
        """The UIDs of the messages from one number to another. None may be missing, or it would be passed by."""
        if last < first:
            return []
        kind, found = self._client.fetch(f"{first}:{last}", "(UID)")
        said = [_NUMBERED.match(line) for line in found if isinstance(line, bytes)] if kind == "OK" else []
        uids = {int(one[1]): int(one[2]) for one in said if one}
        if any(number not in uids for number in range(first, last + 1)):
            raise imaplib.IMAP4.error
        return [uids[number] for number in range(first, last + 1)]

    def _place(self, uid: int) -> str:
        return f"{self._whose} {self._validity}:{uid}"

    def read(self, one: Waiting) -> bytes:
        with self._explained():
            # PEEK: what is only looked at stays unread.
            kind, found = self._of_one("FETCH", str(one.uid), f"(BODY.PEEK[]<0.{MOST_BYTES + 1}>)")
        pieces = [piece for piece in found if isinstance(piece, tuple)] if kind == "OK" else []
        mine = [body for head, body in pieces if re.search(rb"\bBODY\[\]", head)]
        if not mine:
            raise NotNow("not read: the server does not hand it out")
        return bytes(mine[0])

    def _of_one(self, *asked: str) -> tuple[str, list[Any]]:
        """The answer about one message; a refusal of any kind, BAD too, is about that message alone."""
        try:
            return self._client.uid(*asked)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            return "BAD", []

    def done(self, one: Waiting) -> None:
        with self._explained():
            self._client.uid("STORE", str(one.uid), "+FLAGS.SILENT", r"(\Seen)")

    def keep(self, one: Waiting) -> None:
        """Untouched: unread unless somebody has opened it."""

    def cut(self) -> None:
        with suppress(OSError):
            self._client.socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError, imaplib.IMAP4.error):
            self._client.logout()
        with suppress(OSError, imaplib.IMAP4.error):
            self._client.shutdown()

    @contextmanager
    def _explained(self, host: str = "") -> Iterator[None]:
        """What a failure means for a person. A server's own words may hold a name, so none are repeated."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            fix = "Use the name in its certificate; for an authority of your own set AFTERCARE_MAILBOX_CA_FILE."
            raise trouble(f"its certificate is not trusted for {host}: {error.verify_message}", fix) from None
        except ssl.SSLError:
            raise trouble("no TLS connection", "imaps:// needs TLS from the first byte, mostly on port 993.") from None
        except TimeoutError:
            raise trouble(f"no answer within {TIMEOUT:.0f} seconds") from None
        except OSError as error:
            raise trouble(error.strerror or "it cannot be reached") from None
        except UnicodeError:
            raise trouble("this server takes no such user or password: plain letters only") from None
        except imaplib.IMAP4.readonly:
            raise trouble("its folder is read-only", "Give this user the right to mark messages as read.") from None
        except imaplib.IMAP4.abort:
            raise trouble("the connection broke off") from None
        except imaplib.IMAP4.error:
            raise trouble(f"the server refuses {self._step}", "Check user, password and folder.") from None


def _quoted(word: str) -> Any:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
