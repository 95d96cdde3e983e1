"""What the judge looks at beside the numbers: each copy against its row, its hour, whose it is; the logs and the file.

Every client of a case has a canary in its name and in its address, so that a stray one is found wherever it stands.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from itertools import combinations
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.actions.answer import PAGES, link_of, read_link
from service.actions.clinic_setup import add_clinic
from service.actions.revise import Who
from service.mail.catalogue import Catalogue
from service.mail.signing import Signer
from service.store.engine import Store
from service.store.tables import clients, emails, treatments
from tests.bench.stock import CLINIC
from tests.support.processes import Copy

PUBLIC_URL = "https://pages.example.org"
NAME = re.compile(r"-zqj[a-p]{4}")
ADDRESS = re.compile(r"[\w.+-]*client\d+@example\.com")
_LINK = re.compile(rf"{re.escape(PUBLIC_URL)}(/\w/)([\w-]+)")
_TOKEN = re.compile(r"[\w-]{40}")
_PURPOSES = {path: purpose for purpose, path in PAGES.values()}

GAP = timedelta(hours=12)
#: Two conversations beside each other may end in another order than they began.
_AT_ONCE = timedelta(minutes=1)


def canary(client: int) -> str:
    """Letters that only this client's name holds."""
    letters = "".join("abcdefghijklmnop"[client >> shift & 15] for shift in (12, 8, 4, 0))
    return f"-zqj{letters}"


def give_canaries(connection: sa.Connection) -> None:
    """A canary behind both words of a name that a greeting may take: the first, or after a title the last."""
    marked = []
    for row in connection.execute(sa.select(clients.c.id, clients.c.name)):
        first, *more, last = row.name.split(" ")
        mark = canary(row.id)
        marked.append({"one": row.id, "new": " ".join([first if first == "Dr" else first + mark, *more, last + mark])})
    mine = sa.update(clients).where(clients.c.id == sa.bindparam("one"))
    connection.execute(mine.values(name=sa.bindparam("new")), marked)


def open_second_clinic(store: Store, now: datetime) -> None:
    """A third of the clients, with all that is theirs, are those of another clinic in the same database."""
    with store.write() as connection:
        fields = CLINIC | {"name": "Southgate", "sender_name": "Southgate", "reply_to": "desk@southgate.example.com"}
        other = add_clinic(connection, Catalogue.load(), fields, Who("faults", now))
        for table, whose in (
            (clients, clients.c.id),
            (treatments, treatments.c.client_id),
            (emails, emails.c.client_id),
        ):
            connection.execute(sa.update(table).where(whose % 3 == 0).values(clinic_id=other.id))


def wrong_with(
    row: Any, copies: Sequence[Copy], mails: Sequence[EmailMessage], known: tuple[int, set[str]]
) -> list[str]:
    """What the copies of one e-mail say against its row. known: how many claims of it were marked; its addresses."""
    number, (marks, allowed) = len(copies), known
    faults = {
        f"{number} copies": number > 2,
        "two copies differ": len({copy.data for copy in copies}) != 1,
        f"it was accepted and is {row.state}": row.state not in ("sent", "unconfirmed"),
        f"{number} copies and {marks} marks": marks < number,
        "it went twice and is not listed": number > 1 and row.doubt_since is None,
        "it went to somebody else's address": not {copy.address for copy in copies} <= allowed,
        "To, Cc and Bcc are not its one recipient": any(
            [address.addr_spec for address in mail["To"].addresses] != [copy.address] or mail["Cc"] or mail["Bcc"]
            for copy, mail in zip(copies, mails, strict=True)
        ),
    }
    return [fault for fault, found in faults.items() if found]


def out_of_time(row: Any, when: Iterable[datetime]) -> list[str]:
    """I5, I8: each hour at which a copy was accepted, by the run's clock, against its e-mail's hour and shelf life."""
    early = [at for at in when if at < row.due_at]
    late = [at for at in when if at >= row.useful_until]
    told = [f"accepted at {at}, before its hour {row.due_at}" for at in early]
    return told + [f"accepted at {at}, after the end {row.useful_until}" for at in late]


def too_close(rows: Mapping[int, Any], when: Mapping[int, Sequence[datetime]]) -> list[str]:
    """I8: two e-mails of one client within the gap. when: e-mail -> its copies' hours by the run's clock, in order.

    As design says: a hello keeps no distance, nor does a retry or a repeat in doubt, nor what would spoil by waiting.
    """
    theirs: dict[int, list[int]] = defaultdict(list)
    for one in when:
        if rows[one].kind != "hello":
            theirs[rows[one].client_id].append(one)
    found = []
    for some in theirs.values():
        for one, two in combinations(sorted(some, key=lambda number: when[number][0]), 2):
            before = [at for at in when[one] if at <= when[two][0]][-1]
            apart = when[two][0] - before
            seconds = (one, two) if apart < _AT_ONCE else (two,)
            if apart < GAP and not any(_may_follow(rows[number], before) for number in seconds):
                found.append(f"e-mail {two} came {apart} after e-mail {one} of the same client")
    return found


def _may_follow(row: Any, before: datetime) -> bool:
    had_its_turn = row.attempts > 1 or row.doubt_retries > 0
    return bool(had_its_turn or row.useful_until <= before + GAP)


def parsed(copy: Copy) -> EmailMessage:
    mail = email.message_from_bytes(copy.data.encode("latin-1"), policy=email.policy.SMTP)
    assert isinstance(mail, EmailMessage)
    return mail


def readable(mail: EmailMessage) -> str:
    """Every header and every part of a message, as a mail program shows them."""
    headers = [f"{name}: {value}" for name, value in mail.items()]
    parts = [str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*headers, *parts])


def cross_talk(
    mail: EmailMessage, client: tuple[int, str, set[str]], clinic: tuple[Any, Sequence[Any]], signer: Signer
) -> list[str]:
    """I10: whom and what a message names beside its own client, clinic and links.

    client: id, the address it went to, all addresses it has had. clinic: its row, and those of the other clinics.
    """
    number, went_to, addresses = client
    own, others = clinic
    said = readable(mail)
    body = mail.get_body(("plain",))
    plain = str(body.get_content()) if body else ""
    links = set(_LINK.findall(said))
    named = {read_link(signer, _PURPOSES.get(path, "none"), token) for path, token in links}
    faults = {
        f"its greeting names {NAME.findall(plain)}": canary(number) not in plain,
        f"it names another client: {NAME.findall(said)}": not set(NAME.findall(said)) <= {canary(number)},
        f"it holds another client's address: {ADDRESS.findall(said)}": not set(ADDRESS.findall(said)) <= addresses,
        "it does not name its clinic": own.name not in plain or own.sender_name not in str(mail["From"]),
        "it names another clinic": any(other.name in said for other in others),
        f"its links are not its client's: {named}": named != {link_of(number, went_to)},
    }
    return [fault for fault, found in faults.items() if found]


def tokens_in(mail: EmailMessage) -> set[str]:
    """The tokens of a message's links."""
    return {token for _, token in _LINK.findall(readable(mail))}


def told_in_logs(folder: Path, tokens: set[str]) -> list[str]:
    """I17: clients' names, addresses and links in what the processes wrote to their standard output and error."""
    found = []
    for path in sorted(folder.iterdir()):
        said = path.read_text("utf-8", "replace")
        canaries = {*NAME.findall(said), *ADDRESS.findall(said), *(tokens & set(_TOKEN.findall(said)))}
        if canaries:
            found.append(f"the log {path.name} tells {len(canaries)} clients' own, first {min(canaries)}")
    return found


def damaged(store: Store) -> list[str]:
    """I18: what SQLite finds wrong with its file. PostgreSQL lets nobody break a foreign key, whatever happens to it."""
    if not store.is_sqlite:
        return []
    with store.read() as connection:
        whole = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    told = [f"the database is damaged: {words}" for words in whole if words != "ok"]
    return told + [f"orphaned: a row of {row[0]} names a missing one of {row[2]}" for row in orphans]
