"""How `preview` finds what to show: a sample without a database, or a client's next e-mail with it."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from service.errors import NotFound

if TYPE_CHECKING:
    from service.actions.writing import Words, Written
    from service.cli.options import Desk
    from service.domain.protocol import FollowUpProtocol


@dataclass(frozen=True)
class Preview:
    """A finished message, as bytes."""

    message: bytes

    def parts(self) -> dict[str, str]:
        """Subject, text and HTML as a reader's mail program sees them."""
        parsed = email.message_from_bytes(self.message, policy=email.policy.default)
        text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
        assert text is not None
        assert html is not None
        return {"subject": str(parsed["Subject"]), "text": text.get_content(), "html": html.get_content()}

    def shown(self, format_: str) -> str:
        return self.message.decode("ascii") if format_ == "eml" else self.parts()[format_]


def of_sample(protocol_key: str, step: str, language: str) -> Preview:
    """The shipped draft with a made-up client and clinic; needs no database."""
    from service.actions import previewing
    from service.actions.writing import Writer
    from service.cli.words import catalogue, find_protocol
    from service.mail.signing import Signer

    words = catalogue()
    protocol = find_protocol(words, protocol_key)
    row = previewing.sample_row(protocol, step, previewing.SAMPLE_CLINIC, previewing.SAMPLE_TREATED_ON)
    row = replace(row, language=language)
    writer = Writer(Signer([b"only for previews: 32 fixed bytes"]))
    chosen = _shipped(words, protocol, row, language)
    return Preview(previewing.write(writer, row, previewing.SAMPLE_CLINIC, protocol, chosen).message)


def _shipped(words: object, protocol: FollowUpProtocol, row: object, language: str) -> Words:
    from datetime import UTC, datetime

    from service.actions.writing import Words, text_name
    from service.mail.catalogue import Catalogue
    from service.store.outbox import ClaimedEmail
    from service.store.texts import TextVersion

    assert isinstance(words, Catalogue)
    assert isinstance(row, ClaimedEmail)
    name = text_name(row, protocol) or ""
    if (protocol.key, name, language) not in words.sources:
        raise NotFound(
            f"there is no {protocol.key}/{name} in {language}", field="language", next_step="Add its file, or use en."
        )
    compiled = words.compile(protocol.key, name, language)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    version = TextVersion(0, 0, protocol.key, name, language, 0, compiled.sha256, made, "", None, None, None, None)
    return Words(version, compiled)


def of_client(desk: Desk, which: tuple[str, str], client_id: int, language: str | None) -> Preview:
    """The version that would go out now, with this client's and clinic's data."""
    from service.actions import previewing
    from service.actions.shelf import Shelf
    from service.actions.writing import Words, Writer, text_name
    from service.cli.words import find_protocol

    service = desk.service
    protocol = find_protocol(service.catalogue, which[0])
    shelf = Shelf(service.catalogue, drafts_count=not service.settings.live)
    with service.store.read() as connection:
        row = previewing.client_row(connection, desk.clinic, protocol, which[1], client_id)
        row = replace(row, language=language or row.language)
        shelf.refresh(connection, [desk.clinic.id], desk.now.date())
    name = text_name(row, protocol) or ""
    version = shelf.choose(desk.clinic, protocol.key, name, row.language)
    if version is None:
        raise NotFound(
            f"no version of {protocol.key}/{name} may be sent",
            field="text",
            next_step="Approve one with `aftercare texts approve`.",
        )
    words = Words(version, shelf.compiled(version))
    written: Written = previewing.write(Writer(service.signer), row, desk.clinic, protocol, words)
    return Preview(written.message)
