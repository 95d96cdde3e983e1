"""The words: import what ships as drafts, edit, approve. An approved version is never changed, only followed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from service.actions.revise import Who, free_held
from service.domain.reminder import Reason
from service.errors import BadInput, BadText, NotAllowed
from service.mail.catalogue import Catalogue, kind_of
from service.mail.lint import lint
from service.mail.safeguard import check_safety
from service.mail.texts import CompiledText, compile_text
from service.store import audit, clients, clinics, texts
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.tables import emails
from service.store.texts import TextVersion


@dataclass(frozen=True)
class TextKey:
    """One text of one protocol in one language."""

    protocol: str
    name: str
    language: str

    def as_dict(self) -> dict[str, str]:
        return {"protocol": self.protocol, "name": self.name, "language": self.language}


def compile_for_saving(catalogue: Catalogue, key: TextKey, source: str) -> CompiledText:
    """The compiled source, if it may be saved: its safety block is whole and it is discreet. Raises BadText."""
    protocol = catalogue.protocols.get(key.protocol)
    if protocol is None or key.name not in protocol.texts:
        raise BadInput(
            f"there is no text {key.protocol}/{key.name}", field="text", next_step="See `aftercare texts list`."
        )
    kind = kind_of(protocol, key.name)
    compiled = compile_text(
        source, protocol=protocol, kind=kind, language=key.language, frames=catalogue.frames, name=key.name
    )
    check_safety(compiled, protocol)
    for finding in lint(compiled, protocol):
        if finding.blocks:
            place = f"{compiled.file}:{finding.line}"
            raise BadText(f"{place}: {finding.message}", field=place, next_step=finding.fix)
    return compiled


def import_shipped(connection: sa.Connection, catalogue: Catalogue, clinic: Clinic, who: Who) -> int:
    """Save as drafts the shipped sources this clinic has never had. Returns how many. Never touches an approved one."""
    known = {
        (version.protocol, version.name, version.language, version.sha256)
        for version in texts.versions(connection, [clinic.id])
    }
    added = 0
    for (protocol, name, language), source in catalogue.sources.items():
        sha256 = digest(source)
        if (protocol, name, language, sha256) not in known:
            _add(connection, clinic, TextKey(protocol, name, language), source, who)
            added += 1
    return added


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _add(connection: sa.Connection, clinic: Clinic, key: TextKey, source: str, who: Who) -> int:
    return texts.add(
        connection,
        {
            "clinic_id": clinic.id,
            **key.as_dict(),
            "source": source,
            "sha256": digest(source),
            "created_at": who.now,
            "created_by": who.actor,
        },
    )


def save(
    connection: sa.Connection, catalogue: Catalogue, clinic: Clinic, edited: tuple[TextKey, str], who: Who
) -> TextVersion:
    """Save an edited source as a new draft. Raises BadText when it does not compile or lacks a red flag."""
    key, source = edited
    compile_for_saving(catalogue, key, source)
    text_id = _add(connection, clinic, key, source, who)
    version = texts.find(connection, clinic.id, key.as_dict())
    free_held(connection, (emails.c.clinic_id == clinic.id) & (emails.c.reason == Reason.RENDER_ERROR))
    deed = Deed(who.actor, "text edited", f"text {text_id}", {**key.as_dict(), "version": version.version})
    audit.note(connection, clinic.id, deed, who.now)
    return version


@dataclass(frozen=True)
class Approval:
    """A clinician's word for one version. version None: the newest."""

    by: str
    review_by: date
    version: int | None = None


def approve(
    connection: sa.Connection, catalogue: Catalogue, clinic: Clinic, signed: tuple[TextKey, Approval], who: Who
) -> TextVersion:
    """Approve a version in a clinician's name; what was held for want of it is planned again."""
    key, approval = signed
    if not clinics.is_clinician(connection, clinic.id, approval.by):
        raise NotAllowed(
            f"{approval.by} is not a clinician of this clinic",
            field="by",
            next_step="Only a clinician approves texts: `aftercare staff add --role clinician …`.",
        )
    if approval.review_by <= who.now.astimezone(clinic.zone).date():
        raise BadInput(
            f"{approval.review_by} is not in the future",
            field="review_by",
            next_step="Give the day of the next review.",
        )
    version = texts.find(connection, clinic.id, key.as_dict(), approval.version)
    if version.withdrawn_at is not None:
        raise NotAllowed(f"version {version.version} was withdrawn", field="version", next_step="Approve a newer one.")
    compile_for_saving(catalogue, key, texts.source(connection, version.id))
    texts.approve(connection, version.id, approval.by, approval.review_by, who.now)
    mended = emails.c.reason.in_([Reason.UNAPPROVED, Reason.RENDER_ERROR])
    free_held(connection, (emails.c.clinic_id == clinic.id) & mended)
    detail = {**key.as_dict(), "version": version.version, "review_by": approval.review_by, "sha256": version.sha256}
    audit.note(connection, clinic.id, Deed(approval.by, "text approved", f"text {version.id}", detail), who.now)
    return texts.find(connection, clinic.id, key.as_dict(), version.version)


def unapproved(connection: sa.Connection, catalogue: Catalogue, clinic: Clinic) -> list[TextKey]:
    """The e-mails of a protocol in use, in the clinic's language, whose words nobody has approved."""
    unsigned = _unsigned(connection, catalogue, clinic)
    return [key for key in unsigned if key.name in catalogue.protocols[key.protocol].letters]


def unapproved_pages(connection: sa.Connection, catalogue: Catalogue, clinic: Clinic) -> list[TextKey]:
    """As `unapproved`, of the page of the day: on their days it shows how to reach the clinic, and no more."""
    unsigned = _unsigned(connection, catalogue, clinic)
    return [key for key in unsigned if key.name not in catalogue.protocols[key.protocol].letters]


def _unsigned(connection: sa.Connection, catalogue: Catalogue, clinic: Clinic) -> list[TextKey]:
    approved = {
        (version.protocol, version.name)
        for version in texts.versions(connection, [clinic.id])
        if version.approved_at and not version.withdrawn_at and version.language in (clinic.language, "en")
    }
    return [
        TextKey(key, name, clinic.language)
        for key in sorted(catalogue.protocols)
        if clients.has_treatment(connection, clinic.id, key)
        for name in catalogue.protocols[key].texts
        if (key, name) not in approved
    ]
