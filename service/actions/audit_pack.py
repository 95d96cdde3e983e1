"""The audit pack: one client, one span of days, for an insurer or an inspector. A ZIP that needs no program of ours.

The keys of the client's links are left out: whoever gets the pack opens no page with it. Nothing here is read from the
database: see evidence.py.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from service.actions.csv_values import neutralise
from service.actions.evidence import Evidence
from service.actions.pack_words import read_me
from service.actions.sent_words import SentWords, without_keys
from service.domain.plain import LEVELS, call_reason, reason, words

Row = Sequence[object]


def pack(found: Evidence, made_by: str, now: datetime) -> bytes:
    """The whole ZIP. made_by: who asked for it, in words."""
    files = {name: _table(header, rows) for name, header, rows in _tables(found)}
    for one in found.emails:
        if one.text:
            files[f"{_place(one)}.txt"] = without_keys(one.text).encode()
            files[f"{_place(one)}.html"] = without_keys(one.html).encode()
    for version, source in found.versions:
        files[_place_of_text(version)] = source.encode()
    files = {"read-me.txt": read_me(found, made_by, now).encode(), **files}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return _zipped({**files, "sha256.txt": sums.encode()}, now.astimezone(found.clinic.zone))


def _zipped(files: dict[str, bytes], local: datetime) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, local.timetuple()[:6])
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(entry, content)
    return into.getvalue()


def _table(header: str, rows: Iterable[Row]) -> bytes:
    """CSV in UTF-8 with its mark, as spreadsheets read it; what they would take for a formula is neutralised."""
    into = io.StringIO(newline="")
    writer = csv.writer(into, lineterminator="\r\n")
    writer.writerow(header.split(", "))
    writer.writerows([neutralise("" if cell is None else str(cell)) for cell in row] for row in rows)
    return into.getvalue().encode("utf-8-sig", "replace")


def _place(one: SentWords) -> str:
    return f"emails/{one.email['id']}-{one.email['step'] or one.email['kind']}"


def _place_of_text(version: Any) -> str:
    return f"texts/{version.id}-{version.name}-{version.language}-version-{version.version}.md"


def _tables(found: Evidence) -> Iterable[tuple[str, str, Iterable[Row]]]:
    """Name, header and rows of each table."""
    yield "emails.csv", _EMAIL, (_email(found, one) for one in found.emails)
    yield "attempts.csv", _ATTEMPT, (_attempt(found, row) for row in found.attempts)
    yield "treatments.csv", _TREATMENT, (_treatment(found, row) for row in found.treatments)
    yield "texts.csv", _TEXT, (_text(found, version) for version, _ in found.versions)
    yield "calls.csv", _CALL, (_call(found, row) for row in found.calls)
    yield "audit.csv", _LINE, (_line(row) for row in found.lines)


def _local(found: Evidence, at: datetime | None) -> str:
    """ISO 8601 on the clinic's clock, with its distance from UTC."""
    return at.astimezone(found.clinic.zone).isoformat(timespec="seconds") if at is not None else ""


def _who(found: Evidence, actor: str | None) -> str:
    name = found.names.get(actor or "")
    return f"{name} ({actor})" if name else actor or ""


_EMAIL = (
    "number, what, treatment, language, due, useful until, state, why, message begun, relay took it, came back, "
    "sent to, sent from, subject, text number, text version, message id, sha256 of the message, words, file"
)


def _email(found: Evidence, one: SentWords) -> Row:
    row = one.email
    due, until = _local(found, row["due_at"]), _local(found, row["useful_until"])
    took = [_local(found, row[name]) for name in ("marked_at", "sent_at", "bounced_at")]
    said = [one.to, one.sender, one.subject, row["text_id"], row["text_version"], row["message_id"], row["digest"]]
    what = row["step"] or words(row["kind"])
    state = [words(row["state"]), reason(row["reason"])]
    file = f"{_place(one)}.txt" if one.text else ""
    return [row["id"], what, row["treatment_id"], row["language"], due, until, *state, *took, *said, one.proof, file]


_ATTEMPT = "e-mail, begun, message begun, ended, outcome, stage, code, enhanced code, relay's answer"


def _attempt(found: Evidence, row: Any) -> Row:
    times = [_local(found, row[name]) for name in ("claimed_at", "marked_at", "ended_at")]
    return [row["email_id"], *times, words(row["outcome"]), row["stage"], row["code"], row["enhanced"], row["reply"]]


_TREATMENT = "number, done on, at, kind, registered, registered by, cancelled, pigment lot"


def _treatment(found: Evidence, row: Any) -> Row:
    done = [row["treated_on"], row["treated_at"], row["protocol"]]
    kept = [_local(found, row["created_at"]), _who(found, row["created_by"]), _local(found, row["cancelled_at"])]
    return [row["id"], *done, *kept, row["lot"]]


_TEXT = (
    "number, kind, name, language, version, sha256 of the source, written, written by, approved, approved by, "
    "review by, withdrawn, file"
)


def _text(found: Evidence, one: Any) -> Row:
    written = [_local(found, one.created_at), _who(found, one.created_by)]
    approved = [_local(found, one.approved_at), _who(found, one.approved_by), one.review_by]
    known = [one.id, one.protocol, one.name, one.language, one.version, one.sha256]
    return [*known, *written, *approved, _local(found, one.withdrawn_at), _place_of_text(one)]


_CALL = "number, e-mail, why, level, opened, due, state, tries, last try, outcome, closed, closed by, note"


def _call(found: Evidence, row: Any) -> Row:
    why = [call_reason(row["reason"]), LEVELS.get(row["level"] or "", "")]
    asked = [_local(found, row["opened_at"]), _local(found, row["due_at"]), row["state"]]
    tried = [row["tries"], _local(found, row["tried_at"])]
    ended = [words(row["outcome"]), _local(found, row["closed_at"]), _who(found, row["closed_by"]), row["note"]]
    return [row["id"], row["email_id"], *why, *asked, *tried, *ended]


_LINE = "number, at, actor, action, subject, detail, seal of the line before, seal"


def _line(row: Any) -> Row:
    """As it is sealed, so that the seal can be worked out again."""
    sealed = [row[name] for name in ("actor", "action", "subject", "detail", "previous", "hash")]
    return [row["id"], row["at"].isoformat(), *sealed]
