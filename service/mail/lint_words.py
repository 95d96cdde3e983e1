"""The words one language's checks look for: data in templates/email/languages/<language>.toml, [lint]."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.domain.strict_table import Table


@dataclass(frozen=True)
class LintWords:
    """Patterns find whole words, with any ending after a star. plainer: hard word -> pattern and plain word."""

    discreet: re.Pattern[str]
    marketing: re.Pattern[str]
    relative_days: re.Pattern[str]
    today: re.Pattern[str]
    today_beside: tuple[str, ...]
    plainer: Mapping[str, tuple[re.Pattern[str], str]]


def read_lint_words(row: Table) -> LintWords:
    """Read the [lint] table. Raises BadProtocol naming file, key and fix."""
    plainer = row.table("plainer")
    found = LintWords(
        discreet=_pattern(row.strings("discreet")),
        marketing=_pattern(row.strings("marketing")),
        relative_days=_pattern(row.strings("relative_days")),
        today=_pattern([row.text("today")]),
        today_beside=row.strings("today_beside"),
        plainer={word: (_pattern([word]), plainer.text(word)) for word in plainer.names()},
    )
    row.finish()
    return found


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    alternatives = (re.escape(word.removesuffix("*")) + (r"\w*" if word.endswith("*") else "") for word in words)
    return re.compile(rf"(?<!\w)(?:{'|'.join(alternatives)})(?!\w)", re.IGNORECASE)
