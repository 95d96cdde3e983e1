"""Answers for e-mails that may have gone out after the backup that was restored: from the relay's log, or by hand."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from service.actions.revise import Who
from service.errors import BadConfiguration, NotAllowed, NotFound
from service.mail.signing import Signer
from service.store import audit, uncertain
from service.store.audit import Deed
from service.store.clinics import every
from service.store.locking import lock_clients
from service.store.uncertain import Proof, Uncertain

#: What stands before the @ of our Message-IDs: enough to know one by, also after the clinic's domain has changed.
_OURS = re.compile(r"\b[0-9a-f]{30}(?=@)")
_CLEANUP = re.compile(r"/cleanup\[\d+\]: (\w+): ")
_ACTIVE = re.compile(r"/qmgr\[\d+\]: (\w+): from=<")


@dataclass(frozen=True)
class Found:
    """What the relay's log says. sent: it took these; unsure: it began with these, no more; absent: never heard of."""

    sent: tuple[int, ...]
    unsure: tuple[int, ...]
    absent: tuple[int, ...]


@dataclass(frozen=True)
class Log:
    """Our Message-IDs in the relay's logs: taken ones, and those whose message was begun and is in no queue."""

    taken: frozenset[str]
    begun: frozenset[str]


def read_log(lines: Iterable[str]) -> Log:
    """Look for Message-IDs in any text: each that stands there was taken.

    Postfix names a message before it has taken it (cleanup), and a second time when it has (qmgr): in its log only
    both together are a proof.
    """
    named: defaultdict[str, set[str]] = defaultdict(set)
    active: set[str] = set()
    for line in lines:
        for mark in _OURS.findall(line.lower()):
            queued = _CLEANUP.search(line)
            named[mark].add(queued[1] if queued else "")
        if queued := _ACTIVE.search(line):
            active.add(queued[1])
    taken = frozenset(mark for mark, queues in named.items() if not active or queues & active)
    return Log(taken, frozenset(named) - taken)


def compare(connection: sa.Connection, signer: Signer, log: Log) -> Found:
    """Which of the uncertain e-mails the log names.

    Raises BadConfiguration if the secret key is not the one these e-mails are signed with, NotAllowed for a log that
    names none of this database's e-mails: believed, either would send everything twice.
    """
    known = uncertain.known(connection)
    marks = {_mark(message_id) for _, _, message_id in known}
    if known and not any(_mark(_made(signer, row_id, at)) == _mark(made) for row_id, at, made in known):
        raise BadConfiguration(
            "the secret key is not the one that these e-mails are signed with",
            field="AFTERCARE_SECRET_KEY",
            next_step="Bring back `secret.key`, or AFTERCARE_SECRET_KEY, from before the restore.",
        )
    listed = uncertain.listed(connection)
    rows = {_mark(row.message_id or _made(signer, row.id, row.planned_at)): row.id for row in listed}
    everything = log.taken | log.begun
    if rows and not everything & (marks | rows.keys()):
        raise NotAllowed(
            "these files name none of this database's e-mails",
            field="file",
            next_step="Give the relay's log. If nothing went out at all: `aftercare uncertain release --all`.",
        )
    return Found(
        tuple(row_id for mark, row_id in rows.items() if mark in log.taken),
        tuple(row_id for mark, row_id in rows.items() if mark in log.begun),
        tuple(row_id for mark, row_id in rows.items() if mark not in everything),
    )


def _mark(message_id: str) -> str:
    return message_id.lstrip("<").partition("@")[0]


def _made(signer: Signer, row_id: int, planned_at: datetime, domain: str = "aftercare.invalid") -> str:
    """The Message-ID that the writer gives a row."""
    return signer.message_id(row_id, planned_at.isoformat(), domain)


@dataclass(frozen=True)
class Answers:
    """went, stayed: ids of e-mails that did, or did not, go out. why: evidence, for the record."""

    went: Sequence[int] = ()
    stayed: Sequence[int] = ()
    why: str = "said by hand"


def answer(connection: sa.Connection, signer: Signer, answers: Answers, doubt_cap: int, who: Who) -> Counter[str]:
    """Write answers down. Returns the rows by new state. Raises NotFound for an e-mail that is not uncertain."""
    rows = {row.id: row for row in uncertain.listed(connection)}
    for wanted in (*answers.went, *answers.stayed):
        if wanted not in rows:
            raise NotFound(
                f"e-mail {wanted} is not uncertain", field="email", next_step="See `aftercare uncertain list`."
            )
    went, stayed = ([rows[one] for one in dict.fromkeys(ids)] for ids in (answers.went, answers.stayed))
    lock_clients(connection, (row.client_id for row in (*went, *stayed)))
    proof = Proof(who.actor, answers.why, who.now)
    domains = {clinic.id: (clinic.from_address or clinic.reply_to).partition("@")[2] for clinic in every(connection)}
    made = [(row, row.message_id or _made(signer, row.id, row.planned_at, domains[row.clinic_id])) for row in went]
    uncertain.went_out(connection, made, proof)
    counts = uncertain.went_not_out(connection, [row.id for row in stayed], doubt_cap, who.now)
    if went:
        counts["sent"] += len(went)
    _note(connection, went, stayed, answers.why, who)
    return counts


def _note(
    connection: sa.Connection, went: Sequence[Uncertain], stayed: Sequence[Uncertain], why: str, who: Who
) -> None:
    """One line for each clinic concerned, last in the transaction."""
    for clinic_id in sorted({row.clinic_id for row in (*went, *stayed)}):
        sent, not_out = ([row.id for row in rows if row.clinic_id == clinic_id] for rows in (went, stayed))
        detail = {"went_out": sent, "went_not_out": not_out, "why": why}
        audit.note(connection, clinic_id, Deed(who.actor, "uncertain e-mails answered", "outbox", detail), who.now)
