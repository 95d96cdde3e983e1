"""The shipped texts and letters that the tests of this room share; nothing is rendered at import."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from service.domain.letter import facts
from service.domain.protocol import FollowUpProtocol
from service.domain.sample import sample_letter
from service.mail.catalogue import Catalogue, kind_of
from service.mail.texts import CompiledText, Frames, Rendered, compile_text

SMP = "scalp-micropigmentation"
FRONT = "---\nsubject: A note from {{ sender_name }}\npreheader: Short and plain.\n---\n"


@cache
def catalogue() -> Catalogue:
    return Catalogue.load()


def smp() -> FollowUpProtocol:
    return catalogue().protocols[SMP]


def frames() -> Frames:
    return catalogue().frames


def compiled(body: str, *, name: str = "day-01", language: str = "en") -> CompiledText:
    """A text of our own making, with a front matter put before it."""
    kind = kind_of(smp(), name)
    return compile_text(FRONT + body, protocol=smp(), kind=kind, language=language, frames=frames(), name=name)


def days_of(protocol: FollowUpProtocol, text: CompiledText) -> list[int]:
    """A day for each stretch a text speaks for: its steps, or the first and last day of each band or of the whole."""
    span = protocol.span(text.name)
    if text.bands or span:
        return sorted({day for band in text.bands or (span,) for day in band or ()})
    return [step.day for step in protocol.steps if step.text == text.name]


def shipped() -> Iterator[tuple[str, CompiledText, FollowUpProtocol | None, int]]:
    """Every shipped e-mail on each of its days: (name for a file, text, protocol, day)."""
    found = catalogue()
    for label, text, protocol, day in _shipped():
        if text.kind != "today":
            yield label, text, protocol, day
    for _, language in found.notices:
        yield f"notices.hello.{language}", found.compile_hello(language), None, 0


def pages() -> Iterator[tuple[str, CompiledText, FollowUpProtocol, int]]:
    """Every text of a page on the first and last day of what it says: as `shipped`."""
    return (one for one in _shipped() if one[1].kind == "today")


def _shipped() -> Iterator[tuple[str, CompiledText, FollowUpProtocol, int]]:
    found = catalogue()
    for key, name, language in found.sources:
        protocol = found.protocols[key]
        text = found.compile(key, name, language)
        for day in days_of(protocol, text):
            label = f"{key}.{name}.day-{day:02}.{language}" if protocol.span(name) else f"{key}.{name}.{language}"
            yield label, text, protocol, day


def render(text: CompiledText, protocol: FollowUpProtocol | None, day: int) -> Rendered:
    return text.render(facts(sample_letter(text.kind, protocol, day, text.language), protocol))
