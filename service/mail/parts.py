"""The tree of a source -> the Jinja bodies of the text part and the HTML part, from the same walk.

Writes every style inline: many mail programs drop style sheets. Refuses to let words act as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import escape

from service.domain.letter import SlotKind
from service.domain.protocol import Card
from service.mail.document import Block, BlockKind, CardBlock, Item, Run
from service.mail.words import Language, may_be_empty

INK, LINK, WHITE = "#212b32", "#004a8f", "#ffffff"
BUTTON = "#00594f"
#: Per card: its frame, the ground and the words of its heading.
CARD_COLOURS = {
    Card.NORMAL: (BUTTON, "#e6f2f0", INK),
    Card.URGENT: ("#b0120a", "#b0120a", WHITE),
    Card.EMERGENCY: (INK, INK, WHITE),
}
_FONT = "font-family:Arial,Helvetica,sans-serif;"
#: Written on every cell that holds words: what stands inside it inherits, what stands in a cell inside does not.
_TEXT = f"color:{INK};{_FONT}font-size:18px;line-height:27px"
_TABLE = 'role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"'


def _var(name: str) -> str:
    return f"{{{{ {name} }}}}"


def _when(name: str, body: str) -> str:
    return f"{{% if {name} %}}{body}{{% endif %}}"


@dataclass(frozen=True)
class TextPart:
    """Writes the plain-text body."""

    kinds: Mapping[str, SlotKind]
    language: Language

    def words(self, run: Run) -> str:
        return run.words

    def strong(self, inner: str) -> str:
        return inner

    def slot(self, name: str, _colour: str = "") -> str:
        if self.kinds[name] is SlotKind.CONTACT:
            pattern = self.language.words["contact"]
            both = pattern.replace("{name}", _var(f"{name}_name")).replace("{number}", _var(f"{name}_number"))
            return f"{{% if {name}_number %}}{both}{{% else %}}{_var(f'{name}_name')}{{% endif %}}"
        return _var(name)

    def call(self, phone: str) -> str:
        return self.language.words["call"].replace("{phone}", _var(phone)) + "\n\n"

    def block(self, block: Block, inner: str) -> str:
        return f"- {inner}\n" if block.kind is BlockKind.BULLET else f"{inner}\n\n"

    def bullets(self, inner: str) -> str:
        return f"{inner}\n"

    def card(self, card: CardBlock, heading: str, inner: str) -> str:
        return f"{self.level(card.card)}{heading}\n\n{inner}"

    def level(self, card: Card) -> str:
        return "" if card is Card.NORMAL else f"{{{{ words.{card}|upper }}}}: "

    def head_colour(self, _card: Card) -> str:
        return ""


@dataclass(frozen=True)
class HtmlPart(TextPart):
    """Writes the HTML body: tables for cards, real borders, level words, tel: links."""

    def words(self, run: Run) -> str:
        words = str(escape(run.words))
        return self.strong(words) if run.bold and words.strip() else words

    def strong(self, inner: str) -> str:
        return f"<strong>{inner}</strong>"

    def slot(self, name: str, colour: str = LINK) -> str:
        match self.kinds[name]:
            case SlotKind.TEXT:
                return f'<span dir="auto">{_var(name)}</span>'
            case SlotKind.PHONE:
                return self.phone(name, colour)
            case SlotKind.CONTACT:
                label, number = f'<span dir="auto">{_var(f"{name}_name")}</span>', f"{name}_number"
                pattern = str(escape(self.language.words["contact"]))
                both = pattern.replace("{name}", label).replace("{number}", self.phone(number, colour))
                return f"{{% if {number} %}}{both}{{% else %}}{label}{{% endif %}}"
            case _:
                return _var(name)

    def phone(self, name: str, colour: str) -> str:
        style = f"color:{colour};font-weight:bold;text-decoration:underline;white-space:nowrap"
        kind = "link" if colour == LINK else "head"
        number = f'<span dir="ltr">{_var(f"{name}_shown")}</span>'
        return f'<a class="{kind}" href="{_var(f"{name}_href")}" style="{style}">{number}</a>'

    def call(self, phone: str) -> str:
        number = f'<span dir="ltr">{_var(f"{phone}_shown")}</span>'
        label = str(escape(self.language.words["call"])).replace(" ", "&nbsp;").replace("{phone}", number)
        style = f"display:inline-block;padding:14px 24px;color:{WHITE};{_FONT}font-size:18px;line-height:24px;"
        style += "font-weight:bold;text-decoration:none;white-space:nowrap"
        return (
            f'<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>'
            f'<td class="button" bgcolor="{BUTTON}" style="background-color:{BUTTON};border:2px solid {BUTTON}">'
            f'<a href="{_var(f"{phone}_href")}" style="{style}">{label}</a></td></tr></table>\n{_gap(16)}'
        )

    def block(self, block: Block, inner: str) -> str:
        match block.kind:
            case BlockKind.HEADING:
                return f'<h2 style="margin:16px 0 8px;font-size:22px;line-height:29px">{inner}</h2>\n'
            case BlockKind.BULLET:
                return f'<li style="margin:0 0 8px">{inner}</li>\n'
            case _:
                return f'<p style="margin:0 0 16px">{inner}</p>\n'

    def bullets(self, inner: str) -> str:
        side = "0 0 0 24px" if self.language.direction == "ltr" else "0 24px 0 0"
        return f'<ul style="margin:0 0 16px;padding:{side}">\n{inner}</ul>\n'

    def card(self, card: CardBlock, heading: str, inner: str) -> str:
        border, ground, _ = CARD_COLOURS[card.card]
        return (
            f"{_gap(8)}<table {_TABLE}>\n"
            f'<tr><td class="{card.card}-head" bgcolor="{ground}" style="background-color:{ground};'
            f'border:2px solid {border};padding:12px 16px">\n'
            f'<h2 class="{card.card}-words" style="margin:0;color:{self.head_colour(card.card)};{_FONT}font-size:20px;'
            f'line-height:28px">{self.level(card.card)}{heading}</h2></td></tr>\n'
            f'<tr><td class="{card.card}-body ink" bgcolor="{WHITE}" style="background-color:{WHITE};'
            f'border:2px solid {border};border-top:0;padding:16px 16px 4px;{_TEXT}">\n'
            f"{inner}</td></tr></table>\n{_gap(16)}"
        )

    def level(self, card: Card) -> str:
        return "" if card is Card.NORMAL else f"{{{{ words.{card} }}}}: "

    def head_colour(self, card: Card) -> str:
        return CARD_COLOURS[card][2]


def _gap(height: int) -> str:
    return f'<div style="height:{height}px;font-size:1px;line-height:{height}px">&nbsp;</div>\n'


def write_body(part: TextPart, items: Sequence[Item]) -> str:
    """The Jinja source of one body."""
    return "".join(_write(part, items))


def _write(part: TextPart, items: Sequence[Item]) -> Iterator[str]:
    for is_bullet, group in groupby(items, lambda item: isinstance(item, Block) and item.kind is BlockKind.BULLET):
        written = "".join(_item(part, item) for item in group)
        yield part.bullets(written) if is_bullet else written


def _item(part: TextPart, item: Item) -> str:
    if isinstance(item, CardBlock):
        heading = inline(part, item.heading, part.head_colour(item.card))
        return part.card(item, heading, write_body(part, item.blocks))
    slot = item.only_slot
    if slot and item.kind is BlockKind.PARAGRAPH and part.kinds[slot] is SlotKind.PHONE:
        return part.call(slot)
    written = part.block(item, inline(part, item, LINK))
    return _when(slot, written) if slot and may_be_empty(slot, part.kinds[slot]) == {slot} else written


def inline(part: TextPart, block: Block, colour: str) -> str:
    """The runs of one block. An empty line takes the space before it along."""
    written = ""
    for run in block.runs:
        if not run.slot:
            written += part.words(run)
            continue
        slot = part.slot(run.slot, colour)
        shown = part.strong(slot) if run.bold else slot
        if may_be_empty(run.slot, part.kinds[run.slot]) == {run.slot} and written.endswith(" "):
            written = written[:-1] + _when(run.slot, f" {shown}")
        else:
            written += shown
    return written
