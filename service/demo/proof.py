"""Counts the demo's e-mails and holds what was caught against the rows: nothing twice, nothing early, late or astray.

The caught mails are the evidence; the rows only say what each of them had to keep to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from service.demo.story import LATE, WAITING, Look
from service.domain.reminder import Reason, State
from service.mail.caught import caught, read_caught
from service.store.tables import Kind


@dataclass(frozen=True)
class Seen:
    """One caught mail: its Message-ID, its Date, to whom it was delivered."""

    message_id: str
    dated: datetime | None
    to: str


def read_all(maildir: Path) -> list[Seen]:
    """All caught mails, the oldest first."""
    found = []
    for entry in reversed(caught(maildir)):
        headers = dict(read_caught(maildir, entry.id).headers)
        found.append(Seen(headers.get("Message-ID", ""), entry.dated, entry.to))
    return found


def faults(mails: Sequence[Seen], after: Look, addresses: dict[int, str]) -> Iterator[str]:
    """What breaks a promise, a sentence each. addresses: client id -> e-mail address."""
    sent = {row["message_id"]: row for row in after.emails.values() if row["state"] == State.SENT}
    copies = Counter(mail.message_id for mail in mails)
    yield from (f"a note was caught {number} times" for number in copies.values() if number > 1)
    yield from ("a note counts as sent and was not caught" for key in sent if key not in copies)
    steps = Counter((row["treatment_id"], row["step"]) for row in sent.values())
    yield from (f"the note {step} of one treatment was sent {n} times" for (_, step), n in steps.items() if n > 1)
    for mail in mails:
        row = sent.get(mail.message_id)
        if row is None:
            yield "a caught note does not count as sent"
        elif mail.dated is None or not row["due_at"] <= mail.dated < row["useful_until"]:
            yield f"the note {row['step']} went out of its time"
        elif mail.to != addresses[row["client_id"]]:
            yield f"the note {row['step']} went to another address"


def summary(after: Look) -> Iterator[tuple[str, str]]:
    """Label and number in words."""
    rows = list(after.emails.values())
    sent = [row for row in rows if row["state"] == State.SENT]
    catch_ups = sum(row["kind"] == Kind.CATCH_UP for row in sent)
    late = sum(row["kind"] != Kind.CATCH_UP and row["sent_at"] - row["due_at"] > LATE for row in sent)
    yield "Sent", f"{len(sent)} ({catch_ups} catch-up, {late} late and still right)"
    yield "Missed", f"{_having(rows, State.MISSED)}"
    replaced = (State.CANCELLED, Reason.SUPERSEDED), (State.CANCELLED, Reason.CORRECTED)
    yield "Replaced", f"{sum((row['state'], row['reason']) in replaced for row in rows)}"
    stopped = sum((row["state"], row["reason"]) == (State.CANCELLED, Reason.STOPPED) for row in rows)
    yield "Stopped", f"{stopped}"
    yield "Still to come", f"{sum(row['state'] in WAITING for row in rows)}"
    states = Counter(call["state"] for call in after.calls.values())
    made = f"{states['closed']} made, {states['covered']} no longer needed, {states['open']} to make"
    yield "Calls", f"{len(after.calls)} ({made})"


def _having(rows: Sequence[sa.RowMapping], state: State) -> int:
    return sum(row["state"] == state for row in rows)
