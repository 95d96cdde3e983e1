"""Reads a compiled text as a careful colleague would: safety first, then privacy, truth in time, plain words.

Refuses to change anything: it finds, says where and how to mend it, and what of it blocks saving.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from service.domain.letter import SlotKind, facts
from service.domain.protocol import Card, FollowUpProtocol
from service.domain.sample import sample_letter
from service.mail.document import Block, BlockKind, CardBlock
from service.mail.lint_words import LintWords
from service.mail.safeguard import Finding, safety_findings
from service.mail.texts import CompiledText

MAX_WORDS_IN_A_SENTENCE = 20
MAX_HTML_BYTES = 40_000
SHOWN_IN_AN_INBOX = 140
_SENTENCE_END = re.compile(r"(?<=[.?!…。؟])\s+")
_SAMPLE_WORDS = {
    SlotKind.DATE: "Saturday 21 November",
    SlotKind.PHONE: "01632",
    SlotKind.CONTACT: "the line",
    SlotKind.TEXT: "Sam",
}


def lint(compiled: CompiledText, protocol: FollowUpProtocol | None) -> list[Finding]:
    """Everything to mend in one text, what blocks it first, then by line."""
    words = compiled.words.lint
    found = safety_findings(compiled, protocol)
    found += _sentences(compiled)
    found += _signs(compiled)
    found += _phone(compiled)
    found += _emergency_card(compiled)
    found += _size(compiled, protocol)
    if protocol is not None and "for_date" not in compiled.slots:
        found.append(Finding(0, "date", "the date it is for is missing", "Write: This note is for {{ for_date }}."))
    if words:
        found += [*_words(compiled, words), *_discreet(compiled, protocol, words)]
    return sorted(set(found), key=lambda finding: (not finding.blocks, finding.line, finding.rule, finding.message))


def shown_words(compiled: CompiledText, block: Block) -> str:
    """The words of a block with short samples in its slots; lines that may be missing are left out."""
    return "".join(_SAMPLE_WORDS.get(compiled.kinds[run.slot], "") if run.slot else run.words for run in block.runs)


def sentences(words: str) -> list[str]:
    """The sentences of a block. A bullet or heading counts as one even without a full stop."""
    return [sentence for sentence in _SENTENCE_END.split(words.strip()) if sentence]


def _sentences(compiled: CompiledText) -> Iterator[Finding]:
    for block in compiled.document.blocks():
        for sentence in sentences(shown_words(compiled, block)):
            count = len(sentence.split())
            if count > MAX_WORDS_IN_A_SENTENCE:
                message = f"this sentence has {count} words: {sentence[:60]}…"
                yield Finding(block.line, "long sentence", message, f"Use at most {MAX_WORDS_IN_A_SENTENCE}: split it.")


def _signs(compiled: CompiledText) -> Iterator[Finding]:
    for block in compiled.document.blocks():
        if "!" in block.plain or "！" in block.plain:
            yield Finding(block.line, "tone", "an exclamation mark", "End the sentence with a full stop.")
        if any(unicodedata.category(sign) == "So" for sign in block.plain):
            yield Finding(block.line, "tone", "an emoji or symbol", "Say it in words.")


def _phone(compiled: CompiledText) -> Iterator[Finding]:
    """The phone stands in one of the first three sentences, and in every urgent card."""
    opening: list[str] = []
    for block in list(compiled.document.blocks())[2:]:
        if block.kind is BlockKind.PARAGRAPH and not shown_words(compiled, block).rstrip().endswith((",", "،", "、")):
            opening += sentences(block.plain)
    if not any("{{ phone }}" in sentence for sentence in opening[:3]):
        yield Finding(0, "phone", "the phone is not in the first three sentences", "Say early: call us on {{ phone }}.")
    for _, item in compiled.document.items:
        if isinstance(item, CardBlock) and item.card is Card.URGENT and "phone" not in _slots(item):
            yield Finding(
                item.line, "phone", "the urgent card has no phone number", "Give {{ phone }} its own paragraph."
            )


def _slots(card: CardBlock) -> set[str]:
    return {run.slot for block in (card.heading, *card.blocks) for run in block.runs if run.slot}


def _emergency_card(compiled: CompiledText) -> Iterator[Finding]:
    for _, item in compiled.document.items:
        if not isinstance(item, CardBlock) or item.card is not Card.EMERGENCY:
            continue
        if "emergency_number" not in _slots(item):
            yield Finding(
                item.line, "phone", "the emergency card has no number", "Write call {{ emergency_number }} now."
            )
        if _slots(item) & {"phone", "urgent_line"}:
            yield Finding(item.line, "phone", "another number in the emergency card", "Leave one number there.")


def _size(compiled: CompiledText, protocol: FollowUpProtocol | None) -> Iterator[Finding]:
    for day in _days(compiled, protocol):
        letter = sample_letter(compiled.kind, protocol, day, compiled.language)
        size = len(compiled.render(facts(letter, protocol)).html.encode())
        if size > MAX_HTML_BYTES:
            fix = "Shorten the text: some mail programs cut long e-mails."
            yield Finding(0, "size", f"the HTML part has {size} bytes, {MAX_HTML_BYTES} are allowed", fix)


def _days(compiled: CompiledText, protocol: FollowUpProtocol | None) -> list[int]:
    """One day a reading: the first of each band, or of what it speaks for, or that of the step."""
    if compiled.bands:
        return [first for first, _ in compiled.bands]
    span = protocol.span(compiled.name) if protocol else None
    if span is not None:
        return [span[0]]
    steps = protocol.steps if protocol else ()
    return [step.day for step in steps if step.text == compiled.name][:1] or [0]


def _words(compiled: CompiledText, words: LintWords) -> Iterator[Finding]:
    for block in compiled.document.blocks():
        said = shown_words(compiled, block)
        for pattern, plain in words.plainer.values():
            if found := pattern.search(said):
                yield Finding(block.line, "plain words", f"“{found[0]}”", f"Say {plain}.")
        if found := words.marketing.search(said):
            yield Finding(block.line, "marketing", f"“{found[0]}” sells", "Remove it: these notes only care.")
        if found := words.relative_days.search(said):
            fix = "Use a date like {{ redness_ok_until }}: the note may be read late."
            yield Finding(block.line, "relative day", f"“{found[0]}” changes its meaning", fix)
        dated = any(run.slot and compiled.kinds[run.slot] is SlotKind.DATE for run in block.runs)
        beside = any(word in said.casefold() for word in words.today_beside)
        if words.today.search(said) and not dated and not beside:
            yield Finding(block.line, "relative day", "“today” without its date", "Name the date beside it.")


def _discreet(compiled: CompiledText, protocol: FollowUpProtocol | None, words: LintWords) -> Iterator[Finding]:
    """Nothing that a lock screen shows tells what was done."""
    fix = "Choose a neutral word."
    for block in (compiled.document.subject, compiled.document.preheader):
        if found := words.discreet.search(shown_words(compiled, block)):
            yield Finding(block.line, "discreet", f"“{found[0]}” shows on lock screens", fix, blocks=True)
    for day in _days(compiled, protocol):
        letter = sample_letter(compiled.kind, protocol, day, compiled.language)
        rendered = compiled.render(facts(letter, protocol))
        for part, shown in (("text", rendered.text), ("HTML", visible_words(rendered.html))):
            if found := words.discreet.search(shown[:SHOWN_IN_AN_INBOX]):
                message = f"“{found[0]}” in the first {SHOWN_IN_AN_INBOX} characters of the {part} part"
                yield Finding(0, "discreet", message, "Begin with neutral sentences.", blocks=True)


def visible_words(html: str) -> str:
    """What a person reads of an e-mail's HTML part, preheader left out, or of a page."""
    body = html[max(html.find('<div role="article"'), 0) :]
    words = re.sub(r"<[^>]*>", " ", body)
    return " ".join(words.replace("&nbsp;", " ").replace("\u00a0", " ").split())
