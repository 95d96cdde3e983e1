"""What a client agrees to at the desk, as it is read out, by version. Words once used stay: a record points at them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Version -> the words. To change them, add a version.
WORDS: Mapping[int, str] = MappingProxyType({
    1: (
        "We would like to send you a few short e-mails after your visit: what is normal on which day, and when to get "
        "in touch. E-mail is not fully private. You can stop them at any time, by a link in each one or by telling us."
    ),
})  # fmt: skip
NEWEST = max(WORDS)
