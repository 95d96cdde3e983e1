"""What the card says that a client takes home, in one language: [card] in templates/email/languages/<language>.toml."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from service.domain.strict_table import Table
from service.mail.form_words import read_words

#: Every word the table must give, with the places in braces that it must keep.
_PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "date": (), "write": (), "questions": ("{phone}",), "scan": (), "page": (), "texts": ("{numbers}",),
})  # fmt: skip


def read_card_words(row: Table) -> Mapping[str, str]:
    """Read a [card] table. Raises BadProtocol naming the key and the fix."""
    return read_words(row, _PLACES)
