"""A source -> a compiled text (an e-mail, or the words of a page) -> the program that fills in one client's facts.

Markdown and Jinja run once per text and set of empty slots; a client's words never pass through either of them.
Refuses anything the typed context does not know. Rendering asks no clock and no random source.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from jinja2 import DictLoader, StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape

from service.domain.letter import PERSONAL, LetterKind, SlotKind, slot_kinds
from service.domain.protocol import FollowUpProtocol
from service.errors import BadText
from service.mail.contract import check_bands, check_slots
from service.mail.document import Band, Document
from service.mail.markdown import Source
from service.mail.outline import read_document
from service.mail.page_part import PagePart
from service.mail.parts import HtmlPart, TextPart, write_body
from service.mail.program import Piece, Program, Slot, fill
from service.mail.words import Language, display, variables

HTML_FRAME, TEXT_FRAME = "frame.html.j2", "frame.txt.j2"
#: A page has its frame around it in web/pages: these hold what is said, and no head, foot or link.
_PAGE_HTML = (
    '<h1>{% block subject %}{% endblock %}</h1>\n<p class="lead">{% block preheader %}{% endblock %}</p>\n'
    "{% block body %}{% endblock %}"
)
_PAGE_TEXT = "{% block subject %}{% endblock %}\n\n{% block body %}{% endblock %}"
_FIRST_SENTINEL = 0xE000
_SENTINELS = re.compile("([\ue000-\uf8ff])")
_FRAME_WORDS = frozenset({"words", "language", "direction"})


@dataclass(frozen=True)
class Frames:
    """The two frames and the words of every language; together they decide `frame_version`."""

    html: str
    text: str
    languages: Mapping[str, Language]

    def of(self, kind: LetterKind) -> Frames:
        """The frames around a text of that kind."""
        return Frames(_PAGE_HTML, _PAGE_TEXT, self.languages) if kind == "today" else self

    def language(self, tag: str, file: str) -> Language:
        """The words for a tag, or for its first part (pt for pt-BR). Raises BadText."""
        found = self.languages.get(tag) or self.languages.get(tag.partition("-")[0])
        if found is None:
            fix = f"Add languages/{tag}.toml: copy languages/en.toml and translate it."
            raise BadText(f"{file}: there are no words for the language {tag!r}", field=file, next_step=fix)
        return found

    def version(self, language: Language) -> str:
        """Short digest of all that surrounds a text."""
        return hashlib.sha256(f"{self.html}\0{self.text}\0{language.version}".encode()).hexdigest()[:12]

    def environment(self, *, html: bool) -> ImmutableSandboxedEnvironment:
        name, source = (HTML_FRAME, self.html) if html else (TEXT_FRAME, self.text)
        return _environment(name, source, html=html)


@lru_cache(maxsize=16)
def _environment(name: str, frame: str, *, html: bool) -> ImmutableSandboxedEnvironment:
    """One for each frame: it keeps the compiled frame, which every text extends."""
    found = ImmutableSandboxedEnvironment(
        loader=DictLoader({name: frame}), autoescape=html, undefined=StrictUndefined, keep_trailing_newline=True
    )
    found.globals.clear()
    return found


@lru_cache(maxsize=16)
def _undeclared(name: str, frame: str) -> frozenset[str]:
    return frozenset(meta.find_undeclared_variables(_environment(name, frame, html=True).parse(frame)))


@dataclass(frozen=True)
class Rendered:
    """One finished e-mail: what a preview shows. Lines end in LF."""

    subject: str
    text: str
    html: str


@dataclass(eq=False)
class CompiledText:
    """One source in one language, ready to fill. bands: its sections of days, empty if it has none.

    sha256: of the source. slots: those used, frames included. frame_version: digest of frames and language words.
    """

    name: str
    file: str
    kind: LetterKind
    language: str
    sha256: str
    frame_version: str
    slots: frozenset[str]
    document: Document
    words: Language
    kinds: dict[str, SlotKind]
    _frames: Frames
    _programs: dict[tuple[Band | None, frozenset[str]], Program] = field(default_factory=dict)

    @property
    def bands(self) -> tuple[Band, ...]:
        return self.document.bands

    def band(self, day: int) -> Band | None:
        """The section for a day after the treatment. Raises BadText if the text says nothing for it."""
        if not self.bands:
            return None
        for first, last in self.bands:
            if first <= day <= last:
                return (first, last)
        raise BadText(f"{self.file}: there is no section for day {day}", field="day", next_step="Add === days for it.")

    def values(self, facts: Mapping[str, str]) -> dict[str, str]:
        """What stands in each slot. Raises BadText (field: the slot) if one that is needed is empty."""
        return display(facts, self.kinds, self.words)

    def personal(self, facts: Mapping[str, str]) -> dict[str, str]:
        """What stands in the slots that are one client's own."""
        return display(facts, self._personal, self.words)

    @cached_property
    def _personal(self) -> dict[str, SlotKind]:
        return {slot: kind for slot, kind in self.kinds.items() if slot in PERSONAL}

    def prepare(self, facts: Mapping[str, str]) -> tuple[Program, dict[str, str]]:
        """The program for these facts, and the values to fill it with."""
        values = self.values(facts)
        return self.program(int(facts["day"]), frozenset(name for name, value in values.items() if not value)), values

    def render(self, facts: Mapping[str, str]) -> Rendered:
        """The finished e-mail, for previews and checks."""
        program, values = self.prepare(facts)
        return Rendered(fill(program.subject, values), fill(program.text, values), fill(program.html, values))

    def program(self, day: int, empty: frozenset[str]) -> Program:
        """Pieces for the band of `day`, where the values named in `empty` are "". Compiled once for each such set."""
        key = (self.band(day), empty)
        found = self._programs.get(key)
        if found is None:
            found = self._programs[key] = self._compile(*key)
        return found

    def _compile(self, band: Band | None, empty: frozenset[str]) -> Program:
        items = self.document.for_band(band)
        subject = tuple(Slot(run.slot, html=False) if run.slot else run.words for run in self.document.subject.runs)
        text = write_body(TextPart(self.kinds, self.words), items)
        part = PagePart if self.kind == "today" else HtmlPart
        html = write_body(part(self.kinds, self.words), items)
        return Program(subject, self._pieces(text, empty, html=False), self._pieces(html, empty, html=True))

    def _pieces(self, body: str, empty: frozenset[str], *, html: bool) -> tuple[Piece, ...]:
        names = [name for slot, kind in self.kinds.items() for name in variables(slot, kind)]
        marks = {name: "" if name in empty else chr(_FIRST_SENTINEL + number) for number, name in enumerate(names)}
        source = _jinja_source(self.document, body, html=html)
        language = {"words": dict(self.words.words), "language": self.language, "direction": self.words.direction}
        try:
            rendered = self._frames.environment(html=html).from_string(source).render({**marks, **language})
        except TemplateError as error:
            raise _bad_frame(HTML_FRAME if html else TEXT_FRAME, error) from error
        pieces = _SENTINELS.split(rendered)
        return tuple(
            Slot(names[ord(piece) - _FIRST_SENTINEL], html=html) if number % 2 else piece
            for number, piece in enumerate(pieces)
            if piece
        )


def _jinja_source(document: Document, body: str, *, html: bool) -> str:
    frame = HTML_FRAME if html else TEXT_FRAME
    blocks = {"body": body}
    for name, block in (("subject", document.subject), ("preheader", document.preheader)):
        blocks[name] = "".join(
            f"{{{{ {run.slot} }}}}" if run.slot else (str(escape(run.words)) if html else run.words)
            for run in block.runs
        )
    written = "".join(f"{{% block {name} %}}{content}{{% endblock %}}" for name, content in blocks.items())
    return f'{{% extends "{frame}" %}}{written}'


def _bad_frame(name: str, error: TemplateError) -> BadText:
    return BadText(f"{name}: {error}", field=name, next_step="Mend the frame: it may use slots and words only.")


def frame_slots(frames: Frames, kinds: Mapping[str, SlotKind]) -> set[str]:
    """The slots the frames use. Raises BadText for a name that no slot has."""
    slot_of = {name: slot for slot, kind in kinds.items() for name in variables(slot, kind)}
    found = set()
    for name, source in ((HTML_FRAME, frames.html), (TEXT_FRAME, frames.text)):
        try:
            used = _undeclared(name, source) - _FRAME_WORDS
        except TemplateError as error:
            raise _bad_frame(name, error) from error
        for unknown in sorted(used - slot_of.keys()):
            fix = f"Use one of {', '.join(sorted(slot_of))}."
            raise BadText(f"{name}: there is no slot {unknown!r} in every kind of e-mail", field=name, next_step=fix)
        found |= {slot_of[variable] for variable in used}
    return found


def compile_text(
    source: str, *, protocol: FollowUpProtocol | None, kind: LetterKind, language: str, frames: Frames, name: str
) -> CompiledText:
    """Compile one source. name: of the text, like day-01. Raises BadText whose field is "file:line"."""
    file = f"{protocol.key if protocol else 'notices'}/{name}.{language}.md"
    document = read_document(source, file)
    words = frames.language(language, file)
    frames = frames.of(kind)
    kinds = slot_kinds(protocol, kind)
    check_slots(document, kinds, Source(file))
    check_bands(document, protocol, name, Source(file))
    slots = {run.slot for block in document.blocks() for run in block.runs if run.slot} | frame_slots(frames, kinds)
    compiled = CompiledText(
        name=name,
        file=file,
        kind=kind,
        language=language,
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        frame_version=frames.version(words),
        slots=frozenset(slots),
        document=document,
        words=words,
        kinds={slot: slot_kind for slot, slot_kind in kinds.items() if slot in slots},
        _frames=frames,
    )
    for first, _ in compiled.bands or ((0, 0),):
        compiled.program(first, frozenset())
    return compiled
