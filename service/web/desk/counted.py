"""Numbers that a large clinic's pages need again and again: counted anew every few seconds only."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar

T = TypeVar("T")
#: From so many rows on a count takes long enough to be kept, and for so many seconds.
LARGE, SECONDS = 5000, 5.0
_kept: dict[Hashable, tuple[float, object]] = {}
_lock = Lock()


def counted(key: Hashable, count: Callable[[], T], rows: Callable[[T], int]) -> T:
    """What `count` gives, or gave a moment ago if it counted many rows.

    key: the store's, the clinic's and what is counted; it must not hold a client's data. rows: how many were counted.
    """
    now = time.monotonic()
    with _lock:
        for old in [one for one, (until, _) in _kept.items() if until < now]:
            del _kept[old]
        if key in _kept:
            return _kept[key][1]  # type: ignore[return-value]
    value = count()
    if rows(value) >= LARGE:
        with _lock:
            _kept[key] = (now + SECONDS, value)
    return value
