"""What clients answered through a link: kept as it was said, with the level and the rules; and who did not answer.

Answers are health data: an erased client's are emptied, and no list of another clinic shows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.domain.reminder import State
from service.store.tables import check_ins, clients, emails, treatments

#: So soon after the one before, an answer corrects it: both are kept, the later one counts.
CORRECTED_WITHIN = timedelta(minutes=15)
#: Whoever has not answered for so long stands on the quiet list; who got the link longer ago than that does no more.
QUIET_AFTER, QUIET_UNTIL = timedelta(days=1), timedelta(days=7)
#: The facts of a sent e-mail tell whether it carried a link.
_WITH_LINK = emails.c.facts.contains('"check_in_url"', autoescape=True)


@dataclass(frozen=True)
class CheckIn:
    """One check-in. day: after the treatment, in the clinic's zone. answers: question -> option ids.

    level: a letter of domain/protocol.Level. rules: those that spoke, the gravest first. call_id: the call that a red
    answer opened or found open. corrected: another came within CORRECTED_WITHIN and counts instead.
    """

    id: int
    clinic_id: int
    client_id: int
    treatment_id: int
    day: int
    answers: Mapping[str, Sequence[str]]
    level: str
    rules: Sequence[str]
    rules_version: str
    email_id: int | None
    call_id: int | None
    answered_at: datetime
    corrected: bool = False


_COLUMNS = [check_ins.c[name] for name in CheckIn.__dataclass_fields__ if name != "corrected"]


def add(connection: sa.Connection, values: Mapping[str, Any]) -> int:
    """A new check-in's id. values: every column but the id; answers and rules as Python has them."""
    row = {**values, "answers": json.dumps(values["answers"]), "rules": json.dumps(values["rules"])}
    return int(connection.execute(sa.insert(check_ins).values(row).returning(check_ins.c.id)).scalar_one())


def newest(connection: sa.Connection, clinic_id: int, treatment_id: int, client_id: int) -> CheckIn | None:
    """The last one about that treatment."""
    mine = (check_ins.c.clinic_id == clinic_id) & (check_ins.c.client_id == client_id)
    asked = sa.select(*_COLUMNS).where(mine, check_ins.c.treatment_id == treatment_id)
    row = connection.execute(asked.order_by(check_ins.c.id.desc()).limit(1)).one_or_none()
    return _read(row) if row is not None else None


def listed(
    connection: sa.Connection, clinic_id: int, client_id: int | None = None, limit: int | None = None
) -> list[CheckIn]:
    """Check-ins of a clinic, or of one client, in the order they came; with a limit, the newest of them."""
    asked = sa.select(*_COLUMNS).where(check_ins.c.clinic_id == clinic_id)
    if client_id is not None:
        asked = asked.where(check_ins.c.client_id == client_id)
    rows = connection.execute(asked.order_by(check_ins.c.id.desc()).limit(limit)).all()
    later: dict[int, datetime] = {}
    found = []
    for row in rows:
        after = later.get(row.treatment_id)
        found.append(_read(row, corrected=after is not None and after - row.answered_at <= CORRECTED_WITHIN))
        later[row.treatment_id] = row.answered_at
    return found[::-1]


def _read(row: Any, *, corrected: bool = False) -> CheckIn:
    said = {**row._mapping, "answers": json.loads(row.answers), "rules": json.loads(row.rules)}  # noqa: SLF001 - its public way to a mapping
    return CheckIn(**said, corrected=corrected)


def forget(connection: sa.Connection, clinic_id: int, client_id: int) -> None:
    """Empty the answers of an erased client; that there was a check-in, when and how grave, stays."""
    mine = (check_ins.c.clinic_id == clinic_id) & (check_ins.c.client_id == client_id)
    connection.execute(sa.update(check_ins).where(mine).values(answers="{}", rules="[]"))


def asked_by(connection: sa.Connection, clinic_id: int, treatment_id: int) -> int | None:
    """The newest sent e-mail of a treatment that carried the link."""
    mine = (emails.c.clinic_id == clinic_id) & (emails.c.treatment_id == treatment_id)
    asked = sa.select(emails.c.id).where(mine, emails.c.state == State.SENT, _WITH_LINK)
    return connection.execute(asked.order_by(emails.c.sent_at.desc(), emails.c.id.desc()).limit(1)).scalar()


class Unanswered(NamedTuple):
    """A client who was sent a link and has said nothing since. step, sent_at: of the newest e-mail with one."""

    client_id: int
    name: str
    phone: str
    treatment_id: int
    protocol: str
    treated_on: date
    step: str
    sent_at: datetime


def unanswered(connection: sa.Connection, clinic_id: int, now: datetime) -> list[Unanswered]:
    """The quiet list, no alarm: whom the newest link reached QUIET_AFTER ago or longer, without an answer since.

    When the next step's e-mail goes out a client leaves the list, and comes back if that one is not answered either.
    """
    later = emails.alias("later")
    newer = (later.c.treatment_id == emails.c.treatment_id) & (later.c.sent_at > emails.c.sent_at)
    replied = (check_ins.c.client_id == emails.c.client_id) & (check_ins.c.treatment_id == emails.c.treatment_id)
    query = (
        sa.select(
            clients.c.id, clients.c.name, clients.c.phone,
            treatments.c.id, treatments.c.protocol, treatments.c.treated_on, emails.c.step, emails.c.sent_at,
        )
        .select_from(emails)
        .join(clients, clients.c.id == emails.c.client_id)
        .join(treatments, treatments.c.id == emails.c.treatment_id)
        .where(
            emails.c.clinic_id == clinic_id,
            emails.c.state == State.SENT,
            # A message is marked seconds before it is sent; the mark has the index.
            emails.c.marked_at > now - QUIET_UNTIL,
            emails.c.sent_at <= now - QUIET_AFTER,
            _WITH_LINK,
            clients.c.erased_at.is_(None),
            treatments.c.cancelled_at.is_(None),
            ~sa.select(later.c.id).where(newer).exists(),
            ~sa.select(check_ins.c.id).where(replied, check_ins.c.answered_at >= emails.c.sent_at).exists(),
        )
        .order_by(emails.c.sent_at, emails.c.id)
    )  # fmt: skip
    return [Unanswered(*row) for row in connection.execute(query)]
