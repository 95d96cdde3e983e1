"""The tree of one e-mail source: front matter, paragraphs, headings, bullets, cards, bands of days.

One tree, written twice (text and HTML) and read by every check, so that the parts cannot drift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from service.domain.protocol import Card


class BlockKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    BULLET = "bullet"


@dataclass(frozen=True)
class Run:
    """Words, or one slot by its name, in one weight."""

    words: str
    slot: str = ""
    bold: bool = False
    line: int = 0


@dataclass(frozen=True)
class Block:
    """A heading, paragraph or bullet."""

    kind: BlockKind
    runs: tuple[Run, ...]
    line: int

    @property
    def only_slot(self) -> str:
        """The slot this block consists of, "" if there is more in it."""
        return self.runs[0].slot if len(self.runs) == 1 else ""

    @property
    def said(self) -> str:
        """The words alone; a slot is a gap."""
        return "".join(run.words or "\N{HORIZONTAL ELLIPSIS}" for run in self.runs)

    @property
    def plain(self) -> str:
        """The words, slots as {{ name }}."""
        return "".join(f"{{{{ {run.slot} }}}}" if run.slot else run.words for run in self.runs)


@dataclass(frozen=True)
class CardBlock:
    """A care card: a heading, then bullets and paragraphs."""

    card: Card
    heading: Block
    blocks: tuple[Block, ...]
    line: int


Item = Block | CardBlock
Band = tuple[int, int]


@dataclass(frozen=True)
class Document:
    """A whole source. items: in order, each with the days it is for, None for every day."""

    subject: Block
    preheader: Block
    items: tuple[tuple[Band | None, Item], ...]

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands in order; empty if the text has none."""
        return tuple(dict.fromkeys(band for band, _ in self.items if band))

    def for_band(self, band: Band | None) -> tuple[Item, ...]:
        return tuple(item for own, item in self.items if own is None or own == band)

    def blocks(self) -> Iterator[Block]:
        """Every block, front matter first, cards opened."""
        yield self.subject
        yield self.preheader
        for _, item in self.items:
            if isinstance(item, CardBlock):
                yield item.heading
                yield from item.blocks
            else:
                yield item
