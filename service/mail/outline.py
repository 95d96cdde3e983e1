"""The lines of a source -> its tree: front matter, care cards and bands of days; Markdown in between.

Refuses what is not closed, not known or not in order, by file and line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from service.domain.protocol import Card
from service.mail.document import Band, Block, BlockKind, CardBlock, Document, Item
from service.mail.markdown import Source

MAX_SOURCE = 40_000
_BAND = re.compile(r"===\s+days\s+(\d{1,3})-(\d{1,3})\s*\Z")
_ALL_DAYS = re.compile(r"===\s+all\s+days\s*\Z")
_FRONT_KEYS = ("subject", "preheader")


@dataclass
class _Reader:
    """Walks the lines once; what is open (band, card, lines not yet read) is its state."""

    source: Source
    items: list[tuple[Band | None, Item]] = field(default_factory=list)
    band: Band | None = None
    bands_ended: bool = False
    card: Card | None = None
    card_line: int = 0
    card_blocks: list[Block] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    pending_line: int = 0

    def read(self, number: int, text: str) -> None:
        """One line of the body."""
        if text.startswith(":::"):
            self.flush()
            self._read_card_line(number, text)
        elif text.startswith("==="):
            self.flush()
            self._read_band_line(number, text)
        else:
            self.source.check_line(number, text)
            if ":::" in text:
                self.source.refuse(number, "::: stands at the start of its own line", "Give it a line of its own.")
            if not self.pending:
                self.pending_line = number
            self.pending.append(text)

    def flush(self) -> None:
        """Read the pending lines as Markdown into the open card or section."""
        for block in self.source.blocks(self.pending, self.pending_line):
            if self.card is not None:
                self.card_blocks.append(block)
            else:
                self.items.append((self.band, block))
        self.pending = []

    def check_closed(self) -> None:
        if self.card is not None:
            fix = "Close it with ::: on a line of its own."
            self.source.refuse(self.card_line, f"the {self.card} card is not closed", fix)

    def _read_card_line(self, number: int, text: str) -> None:
        name = text.removeprefix(":::").strip()
        if not name and self.card is not None:
            self._close_card(self.card)
            return
        self.check_closed()
        if name not in tuple(Card):
            problem = f"{name!r} is not a card" if name else "no card is open here"
            self.source.refuse(number, problem, f"Open a card with ::: and one of {', '.join(Card)}.")
        self.card, self.card_line, self.card_blocks = Card(name), number, []
        for band, item in self.items:
            if (
                isinstance(item, CardBlock)
                and item.card is self.card
                and (not (band and self.band) or band == self.band)
            ):
                problem = f"the {self.card} card is on line {item.line} already"
                self.source.refuse(number, problem, "Put all its bullets into one card.")

    def _close_card(self, card: Card) -> None:
        heading = self.card_blocks[0] if self.card_blocks else None
        if heading is None or heading.kind is not BlockKind.HEADING:
            fix = "Start it with a line like ## call us if:"
            self.source.refuse(self.card_line, f"the {card} card has no heading", fix)
        for block in self.card_blocks[1:]:
            if block.kind is BlockKind.HEADING:
                self.source.refuse(block.line, "a card has one heading", "Make this a paragraph, or close the card.")
        self.items.append((self.band, CardBlock(card, heading, tuple(self.card_blocks[1:]), self.card_line)))
        self.card = None

    def _read_band_line(self, number: int, text: str) -> None:
        self.check_closed()
        if _ALL_DAYS.match(text) and self.band is not None:
            self.band, self.bands_ended = None, True
            return
        found = _BAND.match(text)
        if not found or self.bands_ended:
            fix = "Write === days 2-2 and so on, and once === all days after the last of them."
            self.source.refuse(number, "this line of days is not understood here", fix)
        first, last = int(found.group(1)), int(found.group(2))
        if last < first or (self.band and first <= self.band[1]):
            self.source.refuse(number, f"days {first}-{last} do not rise", "List the sections by rising days.")
        self.band = (first, last)


def read_document(text: str, file: str) -> Document:
    """The tree of one source. file: the name that errors carry. Raises BadText with field "file:line"."""
    source = Source(file)
    if len(text) > MAX_SOURCE:
        source.refuse(1, f"longer than {MAX_SOURCE} characters", "Shorten it: some mail programs cut long e-mails.")
    lines = text.replace("\r\n", "\n").split("\n")
    front, body_from = _front_matter(lines, source)
    reader = _Reader(source)
    for number, line in enumerate(lines[body_from:], body_from + 1):
        reader.read(number, line)
    reader.flush()
    reader.check_closed()
    if not reader.items:
        source.refuse(len(lines), "there are no words", "Write the e-mail below the second ---.")
    return Document(front["subject"], front["preheader"], tuple(reader.items))


def _front_matter(lines: list[str], source: Source) -> tuple[dict[str, Block], int]:
    marks = [number for number, line in enumerate(lines) if line.rstrip() == "---"][:2]
    if len(marks) < 2 or marks[0] != 0:
        source.refuse(1, "the subject is missing", "Start the file with the lines ---, subject: …, preheader: …, ---.")
    found: dict[str, Block] = {}
    for number, line in enumerate(lines[1 : marks[1]], 2):
        key, _, value = line.partition(":")
        if key not in _FRONT_KEYS or not value.strip() or key in found:
            source.refuse(number, f"{line!r} is not understood", "One subject: … and one preheader: … stand here.")
        source.check_line(number, value.strip())
        found[key] = next(source.blocks([value.strip()], number))
        if found[key].kind is not BlockKind.PARAGRAPH or any(run.bold for run in found[key].runs):
            source.refuse(number, f"the {key} is plain words", "Remove the marks.")
    for key in _FRONT_KEYS:
        if key not in found:
            source.refuse(1, f"there is no {key}", f"Add a line {key}: … between the two ---.")
    return found, marks[1] + 1
