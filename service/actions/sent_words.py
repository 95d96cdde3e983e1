"""The words of an e-mail that went out, written again from what was frozen at its mark, and proven by their digest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from service.actions.answer import PAGES
from service.actions.previewing import Desk
from service.actions.writing import Around, Words, Written
from service.errors import BadText
from service.mail.catalogue import kind_of
from service.mail.texts import CompiledText, compile_text
from service.store import story, texts
from service.store.outbox import ClaimedEmail
from service.store.texts import TextVersion

#: A repeat looks at nothing but its own row.
_NOTHING = Around()
#: What opens a client's pages, or stops their e-mails: the keys in their links and in their own stop address.
_KEYS = re.compile(rf"({'|'.join(path for _, path in PAGES.values())})[\w-]{{40}}|(stop\+)[a-z0-9]{{20,}}(?=@)")


class Proof(StrEnum):
    """How far the words shown are those that went out."""

    EXACT = "exact"  # written again to the same bytes
    NEAR = "near"  # the same text and facts, but the frame around them has changed since
    GONE = "gone"  # the facts were erased, or not kept
    NONE = "none"  # nothing went out


@dataclass(frozen=True)
class SentWords:
    """email: its row. version: of its text, None for a note that ships with the program.

    sender: name and address it came from. links: slots of answer.PAGES that it carried.
    """

    email: sa.RowMapping
    proof: Proof
    version: TextVersion | None = None
    to: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    sender: str = ""
    links: frozenset[str] = frozenset()


def sent_words(connection: sa.Connection, desk: Desk, email_id: int) -> SentWords:
    """What one e-mail of this clinic said. Raises NotFound."""
    row = story.email(connection, desk.clinic.id, email_id)
    if row["marked_at"] is None:
        return SentWords(row, Proof.NONE)
    content = json.loads(row["shared"] or "{}") | json.loads(row["facts"] or "{}")
    version = texts.get(connection, desk.clinic.id, row["text_id"]) if row["text_id"] is not None else None
    if not row["facts"] or not row["dated"]:
        return SentWords(row, Proof.GONE, version)
    try:
        compiled = _compiled(connection, desk, row, version)
        done = compiled.render(content)
    except BadText:
        return SentWords(row, Proof.GONE, version, content.get("to_address", ""))
    claimed = _as_claimed(row, content)
    again = desk.writer.write(claimed, desk.clinic, None, Words(version, compiled), (row["marked_at"], _NOTHING))
    proof = Proof.EXACT if isinstance(again, Written) else Proof.NEAR
    said = SentWords(row, proof, version, content.get("to_address", ""), done.subject, done.text, done.html)
    links = frozenset(slot for slot in PAGES if content.get(slot))
    return replace(said, sender=f"{content['sender_name']} <{content['from_address']}>", links=links)


def without_keys(said: str) -> str:
    """The words of an e-mail for others to read: with links, but without their keys."""
    return _KEYS.sub(lambda found: f"{found[1] or found[2]}…", said)


def _compiled(connection: sa.Connection, desk: Desk, row: sa.RowMapping, version: TextVersion | None) -> CompiledText:
    """The text as it was, also one that has been withdrawn since. Raises BadText if it cannot be read any more."""
    catalogue = desk.shelf.catalogue
    if version is None:
        return desk.shelf.hello(desk.clinic, row["language"])
    protocol = catalogue.protocols.get(version.protocol)
    if protocol is None:
        raise BadText(f"{version.protocol}: there is no such protocol any more", field=version.protocol)
    return compile_text(
        texts.source(connection, version.id),
        protocol=protocol,
        kind=kind_of(protocol, version.name),
        language=version.language,
        frames=catalogue.frames,
        name=version.name,
    )


def _as_claimed(row: sa.RowMapping, content: dict[str, Any]) -> ClaimedEmail:
    """The row as a worker holds it that repeats it: with the address it went to."""
    own = {
        "shared_facts": row["shared"],
        "doubt_since": row["marked_at"],
        "client_name": "",
        "address": content.get("to_address", ""),
        "token": "",
    }
    return ClaimedEmail(**{name: own[name] if name in own else row[name] for name in ClaimedEmail._fields})
