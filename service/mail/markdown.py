"""Markdown lines -> blocks: paragraphs, ## headings, - bullets, **bold** and slots; nothing else.

Refuses by file and line: an author cannot break the layout, run code or link anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from service.errors import BadText
from service.mail.document import Block, BlockKind, Run

SLOT = re.compile(r"\{\{ ?([a-z][a-z0-9_]*) ?\}\}")

_REFUSED = (
    (re.compile(r"\{%|%\}|\{#|#\}"), "template code", "Write words and slots like {{ phone }} only."),
    (re.compile(r"!\["), "an image", "Remove it: these e-mails carry no images."),
    (re.compile(r"(?i)\]\(|\]\[|^\s*\[[^\]]+\]:|https?:|www\.|mailto:"), "a link", "Remove it: the frame links."),
    (re.compile(r"<[a-zA-Z/!?]|&#?\w+;"), "HTML", "Write plain words."),
    (re.compile(r"`|~~~"), "code", "Remove the marks and write plain words."),
    (re.compile(r"\\"), "a backslash", "Remove it."),
    (re.compile(r"^( {4}|\s*\t)"), "an indented line", "Start it at the left; inside a bullet use two spaces."),
    (re.compile(r"^\s*(>|\|)"), "a quotation or table", "Write a paragraph or bullets."),
    (re.compile(r"^\s*([-*_=])(\s*\1){2,}\s*$"), "a ruler", "Use a heading (##) or a blank line."),
    (re.compile(r"^(#|#{3,})(\s|$)"), "a heading of another level", "Start headings with ## and a space."),
    (re.compile(r"[\ue000-\uf8ff\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"),
     "a character nobody can see", "Delete it and type the words again."),
)  # fmt: skip


def _slot_rule(state: StateInline, silent: bool) -> bool:
    found = SLOT.match(state.src, state.pos)
    if not found:
        return False
    if not silent:
        state.push("slot", "", 0).content = found.group(1)
    state.pos = found.end()
    return True


def _parser() -> MarkdownIt:
    parser = MarkdownIt("zero").enable(["heading", "list", "emphasis", "newline"])
    parser.inline.ruler.before("emphasis", "slot", _slot_rule)
    return parser


_PARSER = _parser()


@dataclass(frozen=True)
class Source:
    """One file by its name; every refusal names it and a line."""

    file: str

    def refuse(self, line: int, problem: str, fix: str) -> NoReturn:
        raise BadText(f"{self.file}:{line}: {problem}", field=f"{self.file}:{line}", next_step=fix)

    def check_line(self, line: int, text: str) -> None:
        """Refuse what is not our Markdown: it would be printed as it stands, or do something."""
        for pattern, what, fix in _REFUSED:
            if pattern.search(text):
                self.refuse(line, f"{what} is not allowed here", fix)
        if re.search(r"[{}]", SLOT.sub("", text)):
            self.refuse(line, "a brace that is not a slot", "A slot is a name alone, like {{ phone }}, with no filter.")

    def blocks(self, lines: Sequence[str], first_line: int) -> Iterator[Block]:
        """The blocks of some lines that follow each other in the file."""
        kind = BlockKind.PARAGRAPH
        in_item = False
        for token in _PARSER.parse("\n".join(lines)):
            line = first_line + (token.map[0] if token.map else 0)
            match token.type:
                case "inline":
                    yield self._block(kind, token, line)
                    kind = BlockKind.PARAGRAPH
                case "heading_open":
                    kind = BlockKind.HEADING
                case "list_item_open":
                    if in_item or token.markup != "-":
                        self.refuse(line, "a list of another kind", "Start each bullet with a hyphen at the left.")
                    in_item, kind = True, BlockKind.BULLET
                case "list_item_close":
                    in_item = False
            if in_item and kind is not BlockKind.BULLET and token.type != "inline" and token.nesting == 1:
                self.refuse(line, "more than one paragraph in a bullet", "Make it a bullet of its own.")

    def _block(self, kind: BlockKind, token: Token, line: int) -> Block:
        runs = tuple(self._runs(token.children or [], line))
        if not runs:
            self.refuse(line, "there are no words here", "Write some, or remove the line.")
        return Block(kind, runs, line)

    def _runs(self, tokens: Sequence[Token], line: int) -> Iterator[Run]:
        bold = False
        words = ""
        for token in [*tokens, Token("end", "", 0)]:
            if token.type in {"text", "softbreak", "hardbreak"}:
                if set(token.content) & set("*_"):
                    self.refuse(line, "a lone * or _", "Close bold with ** on both sides, or remove the mark.")
                words += token.content if token.type == "text" else " "
                line += token.type != "text"
                continue
            if words:
                yield Run(words, "", bold, line)
                words = ""
            if token.type == "slot":
                yield Run("", token.content, bold, line)
            elif token.markup == "**":
                bold = token.type == "strong_open"
            elif token.type != "end":
                self.refuse(line, "only **bold** is allowed", "Use ** on both sides, or remove the marks.")
