"""What a language calls itself, for somebody who chooses one."""

from __future__ import annotations

from babel import Locale


def own_name(tag: str) -> str:
    """Like "Deutsch" for "de"; the tag itself where nobody knows. tag: as in languages/<tag>.toml."""
    name = Locale.parse(tag, sep="-").get_display_name()
    return name[:1].upper() + name[1:] if name else tag
