"""The tree of a source -> the Jinja body of a page: the same walk and words as an e-mail's HTML part.

Writes classes that the pages' style sheet knows and no style of its own: a page's policy forbids inline styles.
"""

from __future__ import annotations

from markupsafe import escape

from service.mail.document import Block, BlockKind, CardBlock
from service.mail.parts import HtmlPart


class PagePart(HtmlPart):
    """Writes the words of a page: headings, lists, care cards as sections, tel: links."""

    def phone(self, name: str, _colour: str = "") -> str:
        return f'<a class="number" href="{{{{ {name}_href }}}}"><span dir="ltr">{{{{ {name}_shown }}}}</span></a>'

    def call(self, phone: str) -> str:
        number = f'<span dir="ltr">{{{{ {phone}_shown }}}}</span>'
        label = str(escape(self.language.words["call"])).replace("{phone}", number)
        return f'<p class="call"><a href="{{{{ {phone}_href }}}}">{label}</a></p>\n'

    def block(self, block: Block, inner: str) -> str:
        tag = {BlockKind.HEADING: "h2", BlockKind.BULLET: "li", BlockKind.PARAGRAPH: "p"}[block.kind]
        return f"<{tag}>{inner}</{tag}>\n"

    def bullets(self, inner: str) -> str:
        return f"<ul>\n{inner}</ul>\n"

    def card(self, card: CardBlock, heading: str, inner: str) -> str:
        head = f"<h2>{self.level(card.card)}{heading}</h2>"
        return f'<section class="card {card.card}">\n{head}\n<div class="body">\n{inner}</div>\n</section>\n'
