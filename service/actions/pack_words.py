"""The first page of the audit pack, in plain words: whose it is, what lies in it, what it proves and what not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from service.actions.evidence import Evidence
from service.actions.sent_words import Proof, SentWords
from service.domain.plain import reason, words

_PROOFS = {
    Proof.EXACT: "the exact words that went out",
    Proof.NEAR: "the text that went out; the frame around it has been changed since",
    Proof.GONE: "the words are no longer kept",
    Proof.NONE: "it did not go out",
}
_FILES = """\
emails.csv      every e-mail that fell due or went out in these days, with its times
emails/         the words of each that went out, as plain text and as a page with colours
attempts.csv    every conversation with the clinic's mail relay about them, with its answer
texts.csv       the versions of the texts they were written from, and who approved each
texts/          the source of each version
treatments.csv  the treatments they belong to, and those done in these days
calls.csv       the phone calls that were to be made in these days, and how they ended
audit.csv       what was done to this client's record in these days, by whom
sha256.txt      the SHA-256 of each file here: sha256sum -c sha256.txt"""
_MEANINGS = """\
relay took it   The clinic's mail relay accepted the message. Whether it was delivered or read is not known.
came back       A mail server reported later that it could not be delivered.
words           exact: written again to the same bytes, whose SHA-256 was kept when it went out. near: the same
                text and facts in a frame that has been changed since. gone: what it said about the client was erased
                or not kept. none: it did not go out.
approved        A clinician of the clinic signed this version. Nothing there: it was a draft, as in a trial.
links           The keys of the client's own links are shortened to "…": nobody opens a page with this pack.
seal            SHA-256 over the seal of the line before, the clinic's number, at, actor, action, subject and detail,
                joined by the character U+001F. An apostrophe before = + - @ is not part of a cell."""

_ELSEWHERE = """\
The technician's notes, and the client's answers to the check-in. The copy of everything that is stored about the
client, on the client's page, has them."""


def read_me(found: Evidence, made_by: str, now: datetime) -> str:
    """The text of read-me.txt. made_by: who asked for it, in words."""
    client, zone = found.client, found.clinic.zone
    whom = "an erased client" if client["state"] == "erased" else client["name"]
    about = (
        f"Client: {whom} (number {client['id']})",
        f"Days: {found.span.first} to {found.span.last}, both included",
        f"Times: on the clock of {found.clinic.timezone}, with their distance from UTC; in audit.csv UTC",
        f"Clinic's number: {found.clinic.id}",
        f"Made: {now.astimezone(zone).isoformat(timespec='seconds')}, by {made_by}",
    )
    sections = [
        f"{found.clinic.name}: what one client was sent, and what was done about it",
        "\n".join(about),
        f"What lies in it\n\n{_FILES}",
        "The e-mails, in order\n\n" + ("\n".join(_told(found)) or "None in these days."),
        f"What the words mean\n\n{_MEANINGS}",
        f"The audit\n\n{_chain(found)}",
        f"What is not in it\n\n{_ELSEWHERE}",
    ]
    return "\n\n\n".join(sections) + "\n"


def _told(found: Evidence) -> Iterator[str]:
    approvals = {version.id: version for version, _ in found.versions}
    for one in found.emails:
        row = one.email
        yield f"{row['id']}  {row['step'] or words(row['kind'])}: {_fate(found, one)}; {_PROOFS[one.proof]}"
        version = approvals.get(row["text_id"])
        if version is not None and version.approved_at is not None:
            by = found.names.get(version.approved_by or "", version.approved_by)
            on = version.approved_at.astimezone(found.clinic.zone).date()
            late = ", after it went out" if version.approved_at > row["marked_at"] else ""
            yield f"    words: version {version.version}, approved by {by} on {on}{late}"
        elif version is not None:
            yield f"    words: version {version.version}, a draft that nobody has approved"


def _fate(found: Evidence, one: SentWords) -> str:
    row, zone = one.email, found.clinic.zone
    due = row["due_at"].astimezone(zone).isoformat(timespec="seconds")
    if row["sent_at"] is not None:
        took = row["sent_at"].astimezone(zone).isoformat(timespec="seconds")
        back = ", came back later" if row["bounced_at"] is not None else ""
        return f"due {due}, the relay took it {took}{back}"
    why = f" ({reason(row['reason'])})" if row["reason"] else ""
    return f"due {due}, {words(row['state'])}{why}"


def _chain(found: Evidence) -> str:
    """Whether the lines can be believed: each is sealed with the one before it, over the whole clinic."""
    if not found.broken:
        return "Every line of the clinic's whole audit is as it was written, and none in between is missing."
    shown = ", ".join(map(str, found.broken[:20]))
    return (
        f"ATTENTION: {len(found.broken)} lines of the clinic's whole audit were changed, or their neighbour is missing:"
        f"\nnumber {shown}{' and more' if len(found.broken) > 20 else ''}."
    )
