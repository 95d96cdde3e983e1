"""What the pages of a check-in say around its questions, in one language: [check_in] in languages/<language>.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from service.domain.strict_table import Table

#: Every word the table must give, with the places in braces that it must keep.
_PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "title": (), "progress": ("{number}", "{total}"), "why": ("{why}",), "tick": ("{next}",), "next": (), "back": (),
    "clear_both": (), "missing": (), "closed_now": ("{urgent_line}",), "saved": (), "unsaved": (), "change": (),
})  # fmt: skip


def read_form_words(row: Table) -> Mapping[str, str]:
    """Read a [check_in] table. Raises BadProtocol naming the key and the fix."""
    return read_words(row, _PLACES)


def read_words(row: Table, wanted: Mapping[str, tuple[str, ...]]) -> Mapping[str, str]:
    """A table of exactly these words, each with its places in braces. Raises BadProtocol naming the key and the fix."""
    words = {name: row.text(name) for name in wanted}
    for name, places in wanted.items():
        if sorted(re.findall(r"\{\w*\}", words[name])) != sorted(places):
            row.refuse(name, f"{words[name]!r} has other places", f"Use {' and '.join(places) or 'no braces'}, once.")
    row.finish()
    return MappingProxyType(words)
