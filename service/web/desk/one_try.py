"""Something that talks to the relay while a staff member waits for the page: one at a time, and never for minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from service.errors import NotAllowed

T = TypeVar("T")
#: Seconds that a request waits in all, looking up the relay's name included.
WITHIN = 20.0
_under_way: set[Hashable] = set()
_lock = Lock()


def waited_for(whose: Hashable, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    """What the attempt gives; None if that takes too long: it is then broken off, and what became of it is not known.

    Raises NotAllowed while an earlier attempt of the same `whose` has not ended, and whatever the attempt raises.
    """
    with _lock:
        if whose in _under_way:
            fix = f"What becomes of it is said within {WITHIN:.0f} seconds."
            raise NotAllowed("your test e-mail before this one is still under way", next_step=fix)
        _under_way.add(whose)
    # In a thread of its own: nobody can break off the operating system's search for a name.
    pool = ThreadPoolExecutor(1)
    ending = pool.submit(_run, whose, attempt)
    pool.shutdown(wait=False)
    try:
        return ending.result(WITHIN)
    except TimeoutError:
        return None


def _run(whose: Hashable, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        return asyncio.run(asyncio.wait_for(attempt(), WITHIN))
    finally:
        with _lock:
            _under_way.discard(whose)
