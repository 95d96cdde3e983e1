"""A text as its author works on it: what it would look like, what is to mend, how it differs. Saves and sends nothing.

Words are shown whether or not they may be saved; `words.save` decides that.
"""

from __future__ import annotations

import difflib
import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa

from service.actions.page_preview import as_document
from service.actions.previewing import SAMPLE_TREATED_ON, Desk, Wanted, of_words
from service.actions.today import spoken_for
from service.actions.treated import newest_treatment, planned_protocol
from service.actions.words import TextKey
from service.domain.letter import LetterKind
from service.domain.protocol import FollowUpProtocol
from service.errors import AftercareError, BadInput, BadText
from service.mail.catalogue import Catalogue, kind_of
from service.mail.lint import lint
from service.mail.safeguard import Finding
from service.mail.texts import CompiledText, compile_text


@dataclass(frozen=True)
class Look:
    """How a source reads. html: a whole document, "" where it cannot be shown: then `problem` says why.

    message: the bytes of the e-mail; none for the words of a page.
    """

    subject: str = ""
    text: str = ""
    html: str = ""
    message: bytes = b""
    problem: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def may_be_saved(self) -> bool:
        return not any(finding.blocks for finding in self.findings)


def protocol_of(desk: Desk, key: TextKey) -> FollowUpProtocol:
    """Raises BadInput for a text that no protocol has."""
    protocol = desk.shelf.catalogue.protocols.get(key.protocol)
    if protocol is None or key.name not in protocol.texts:
        raise BadInput("no treatment uses this text any more", field="text", next_step="Choose another one.")
    return protocol


@dataclass(frozen=True)
class Reader:
    """Whom a text is shown for. client_id 0: a made-up client. to: whom a test is addressed to."""

    client_id: int = 0
    to: str = ""


def look(connection: sa.Connection, desk: Desk, key: TextKey, source: str, reader: Reader) -> Look:
    """Compile, check and show a source with the clinic's data."""
    protocol = protocol_of(desk, key)
    try:
        kind, compiled, findings = _read(_Its(desk.shelf.catalogue), key, source)
    except BadText as error:
        return Look(problem=error.message, findings=[_as_finding(error)])
    try:
        if kind == "today":
            return _page(connection, desk, (protocol, compiled, reader.client_id), findings)
        written = of_words(
            connection, desk, Wanted(protocol, _step(protocol, key), reader.client_id, to=reader.to), compiled
        )
    except AftercareError as error:
        return Look(problem=f"{error.message}. {error.next_step or ''}".strip(), findings=findings)
    parsed = email.message_from_bytes(written.message, policy=email.policy.default)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    return Look(
        str(parsed["Subject"]),
        text.get_content() if text else "",
        html.get_content() if html else "",
        written.message,
        findings=findings,
    )


@dataclass(frozen=True, eq=False)
class _Its:
    """A catalogue by what it is, not by what it says: for what is remembered of it."""

    catalogue: Catalogue

    def __hash__(self) -> int:
        return id(self.catalogue)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Its) and other.catalogue is self.catalogue


# Who looks at a text looks at it again: with another client, in the dark, after an edit was undone.
@lru_cache(maxsize=64)
def _read(its: _Its, key: TextKey, source: str) -> tuple[LetterKind, CompiledText, list[Finding]]:
    """A source, compiled and checked. Raises BadText."""
    protocol = its.catalogue.protocols[key.protocol]
    kind, frames = kind_of(protocol, key.name), its.catalogue.frames
    compiled = compile_text(source, protocol=protocol, kind=kind, language=key.language, frames=frames, name=key.name)
    return kind, compiled, lint(compiled, protocol)


def _as_finding(error: BadText) -> Finding:
    """What stops a source from being read at all, at its line."""
    line = (error.field or "").rpartition(":")[2]
    return Finding(int(line) if line.isdigit() else 0, "form", error.message, error.next_step or "", blocks=True)


def _step(protocol: FollowUpProtocol, key: TextKey) -> str:
    """The first step that uses a text."""
    return next((step.key for step in protocol.steps if step.text == key.name), "catch-up")


def _page(
    connection: sa.Connection,
    desk: Desk,
    what: tuple[FollowUpProtocol, CompiledText, int],
    findings: list[Finding],
) -> Look:
    protocol, compiled, client_id = what
    treated_on = SAMPLE_TREATED_ON
    if client_id:
        _, treatment = newest_treatment(connection, desk.clinic, protocol, client_id)
        treated_on, protocol = treatment["treated_on"], planned_protocol(connection, protocol, treatment["id"])
    first, _ = protocol.span(compiled.name) or (0, 0)
    spoken = spoken_for(compiled, protocol, (desk.clinic, treated_on, treated_on + timedelta(days=first)), 0)
    return Look(spoken.title, spoken.text, as_document(spoken), findings=findings)


class Line(NamedTuple):
    """A line of two versions. kind: "same", "gone" or "new"."""

    kind: str
    words: str


def changes(before: str, after: str) -> Iterator[Line]:
    """What was taken out and put in, with three lines around it."""
    kinds = {" ": "same", "-": "gone", "+": "new"}
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3):
        if line.startswith(("---", "+++")) and not line[3:].strip():
            continue
        if line.startswith("@@"):
            yield Line("cut", "")
        else:
            yield Line(kinds.get(line[:1], "same"), line[1:])
