"""The protected part of a text: every red flag of its days in the right card, and no promise past a limit.

A text that fails here is never saved. It cannot judge what the words mean; that is what the approval is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.letter import LetterKind
from service.domain.protocol import Card, FollowUpProtocol
from service.domain.safety import foreign_dates, limits_passed, missing_flags, rows_without_words
from service.errors import BadText
from service.mail.document import Band, Block, BlockKind, CardBlock, Document
from service.mail.texts import CompiledText


@dataclass(frozen=True)
class Finding:
    """One thing to mend. line: 1-based in the source, 0 for the whole. blocks: the text cannot be saved like this."""

    line: int
    rule: str
    message: str
    fix: str
    blocks: bool = False


@dataclass(frozen=True)
class Reading:
    """Some days of one text: its cards there, the column of the red-flag table, the last day it may be read as true."""

    band: Band | None
    column: str
    last_day: int
    cards: dict[Card, CardBlock]

    def bullets(self, card: Card) -> tuple[Block, ...]:
        found = self.cards.get(card)
        return tuple(block for block in found.blocks if block.kind is BlockKind.BULLET) if found else ()


def readings(document: Document, protocol: FollowUpProtocol, kind: LetterKind, name: str) -> Iterator[Reading]:
    """Every stretch of days a text speaks for: one a step that uses it, one a band of a catch-up or a page."""
    span = protocol.span(name)
    if span is not None:
        for band in document.bands or (None,):
            first, last = band or span
            yield Reading(band, protocol.column(first), last, _cards(document, band))
    elif kind == "reminder":
        for step in protocol.steps:
            if step.text == name:
                yield Reading(None, protocol.column(step.day), step.until_day, _cards(document, None))


def _cards(document: Document, band: Band | None) -> dict[Card, CardBlock]:
    return {item.card: item for item in document.for_band(band) if isinstance(item, CardBlock)}


def safety_findings(compiled: CompiledText, protocol: FollowUpProtocol | None) -> list[Finding]:
    """All that makes a text unsafe. Empty for a hello, which says nothing about a treatment."""
    if protocol is None or compiled.kind == "hello":
        return []
    gaps = rows_without_words(protocol, compiled.language)
    if gaps:
        message = f"{protocol.key}/protocol.toml gives no words in {compiled.language!r} for {', '.join(gaps)}"
        fix = f"Add words.{compiled.language} = […] to each of them: what a bullet must say there."
        return [Finding(0, "safety words", message, fix, blocks=True)]
    found = []
    for reading in readings(compiled.document, protocol, compiled.kind, compiled.name):
        found += [*_cards_missing(reading), *_flags_missing(reading, protocol, compiled.language)]
        found += _limits_broken(reading, protocol, compiled)
    return list(dict.fromkeys(found))


def check_safety(compiled: CompiledText, protocol: FollowUpProtocol | None) -> None:
    """Raise BadText for the first thing that blocks a text; its message tells how many there are."""
    found = safety_findings(compiled, protocol)
    if found:
        first = found[0]
        more = f" ({len(found) - 1} more like it)" if len(found) > 1 else ""
        raise BadText(f"{compiled.file}:{first.line}: {first.message}{more}", field=f"{compiled.file}:{first.line}",
                      next_step=first.fix)  # fmt: skip


def _where(reading: Reading) -> str:
    return f" on days {reading.band[0]}-{reading.band[1]}" if reading.band else ""


def _cards_missing(reading: Reading) -> Iterator[Finding]:
    for card in (Card.URGENT, Card.EMERGENCY):
        if card not in reading.cards:
            message = f"there is no {card} card{_where(reading)}"
            yield Finding(0, "cards", message, f"Add ::: {card}, a heading, its bullets and :::.", blocks=True)


def _flags_missing(reading: Reading, protocol: FollowUpProtocol, language: str) -> Iterator[Finding]:
    bullets = {card: [block.said for block in reading.bullets(card)] for card in reading.cards}
    for missing in missing_flags(protocol, reading.column, language, bullets):
        words = ", ".join(f"“{word}”" for word in missing.words)
        message = f"the {missing.card} card{_where(reading)} does not name row {missing.flag.row}: {missing.flag.says}"
        line = reading.cards[missing.card].line if missing.card in reading.cards else 0
        yield Finding(line, "safety block", message, f"Add a bullet to it with the words {words}.", blocks=True)


def _limits_broken(reading: Reading, protocol: FollowUpProtocol, compiled: CompiledText) -> Iterator[Finding]:
    day = reading.last_day
    for block in reading.bullets(Card.NORMAL):
        for limit in limits_passed(protocol, compiled.language, block.said, day, compiled.words.over):
            message = f"{limit.key} is normal through day {limit.ok_through_day}; this may be read on day {day}"
            fix = f"Say that it should be gone by the end of {{{{ {limit.key}_ok_until }}}}, or remove it."
            yield Finding(block.line, "limit", message, fix, blocks=True)
        slots = [run.slot for run in block.runs if run.slot]
        for slot in foreign_dates(protocol, compiled.language, block.said, slots):
            fix = "Use the date of the sign that this bullet names."
            yield Finding(block.line, "limit", f"{slot} is another sign's date", fix, blocks=True)
