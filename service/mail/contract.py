"""What a text may use: slots of its typed context, in places where they make sense, and days inside one band.

Refuses by file and line, and says the closest name that exists.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from service.domain.letter import SlotKind
from service.domain.protocol import FollowUpProtocol
from service.mail.document import Block, Document
from service.mail.markdown import Source
from service.mail.words import may_be_empty

_IN_SUBJECT = frozenset({SlotKind.TEXT, SlotKind.DATE})


def check_slots(document: Document, kinds: Mapping[str, SlotKind], source: Source) -> None:
    """Every slot is known and stands where it can."""
    for block in document.blocks():
        for run in block.runs:
            if run.slot and run.slot not in kinds:
                close = difflib.get_close_matches(run.slot, sorted(kinds), n=1)
                fix = f"Did you mean {{{{ {close[0]} }}}}?" if close else f"Known here: {', '.join(sorted(kinds))}."
                source.refuse(run.line, f"there is no slot {run.slot!r} in this kind of e-mail", fix)
            if run.slot and kinds[run.slot] is SlotKind.LINK:
                source.refuse(run.line, f"{run.slot} is a link", "Remove it: the frame writes the links.")
        _check_lines(block, kinds, source)
    for block in (document.subject, document.preheader):
        for run in block.runs:
            if run.slot and kinds[run.slot] not in _IN_SUBJECT:
                source.refuse(run.line, f"{run.slot} cannot stand here", "Use names and dates only.")


def _check_lines(block: Block, kinds: Mapping[str, SlotKind], source: Source) -> None:
    before = ""
    for run in block.runs:
        is_line = run.slot and may_be_empty(run.slot, kinds[run.slot]) == {run.slot}
        if is_line and not block.only_slot and not before.endswith(" "):
            fix = "Give it a paragraph of its own, or put a space before it."
            source.refuse(run.line, f"{run.slot} is a whole sentence that may be missing", fix)
        before = run.words


def check_bands(document: Document, protocol: FollowUpProtocol | None, name: str, source: Source) -> None:
    """A text read on several days has words for each, and no section says one thing for days that differ."""
    span = protocol.span(name) if protocol else None
    lines = {band: item.line for band, item in reversed(document.items)}
    if protocol is None or span is None:
        if document.bands:
            problem = "sections of days belong to a catch-up or a page"
            source.refuse(lines[document.bands[0]], problem, "Remove === days.")
        return
    bands = document.bands or (span,)
    for first, last in bands:
        columns = {protocol.column(day) for day in range(first, last + 1)}
        if len(columns) > 1:
            fix = f"Split it: these days read like {', '.join(sorted(columns))}."
            source.refuse(lines.get((first, last), 1), f"days {first}-{last} lie in several bands", fix)
    for day in range(span[0], span[1] + 1):
        if not any(first <= day <= last for first, last in bands):
            source.refuse(
                1, f"there are no words for day {day}", f"Add a section that holds it, like === days {day}-{day}."
            )
