"""The door of every page behind a client's link: who is let in, how many at once, and one page for what opens nothing.

Bounded whatever arrives: a rate for each address, so many requests in the database at once, so long for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from fastapi.responses import HTMLResponse
from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service.actions.shelf import Shelf
from service.errors import Unavailable
from service.mail.signing import Signer
from service.mail.words import phone_href, phone_shown
from service.store.engine import Store
from service.web.limits import RateLimit

Found = TypeVar("Found")
#: Title and sentences of the page for a status.
Problems = Mapping[int, tuple[str, ...]]
AT_ONCE = 4  # requests that use the database: the rest waits its turn


@dataclass(frozen=True, slots=True)
class ClientParts:
    """What the clients' pages stand on. now: business time.

    shelf: words of the page of the day and of the check-in, None: no such pages.
    """

    store: Store
    signer: Signer
    now: Callable[[], datetime]
    limit: RateLimit = field(default_factory=RateLimit)
    shelf: Shelf | None = None


class Door:
    """Answers for one kind of page. allowed: the methods it has; problems: what it says when it cannot be shown."""

    def __init__(
        self, parts: ClientParts, pages: Environment, problems: Problems, allowed: tuple[str, ...] = ("GET", "HEAD")
    ) -> None:
        self.parts = parts
        self._pages, self._problems = pages, problems
        self._allowed = allowed
        self._allow = {"Allow": ", ".join(allowed)}
        self._turn = asyncio.Semaphore(AT_ONCE)

    def turned_away(self, request: Request) -> Response | None:
        """The answer to whoever gets no further: OPTIONS, a method that is not allowed, too many tries."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=self._allow)
        if request.method not in self._allowed:
            return self.problem(405, self._allow)
        wait = self.parts.limit.wait(request.client.host if request.client else "")
        return self.problem(429, {"Retry-After": str(wait)}) if wait else None

    async def in_turn(self, work: Callable[..., Found], *given: Any) -> Found:
        """Do `work` in a thread, when it is its turn."""
        async with self._turn:
            return await run_in_threadpool(work, *given)

    async def in_turn_within(self, seconds: float, work: Callable[..., Found], *given: Any) -> Found:
        """`in_turn`, but who asks is answered in time: raises Unavailable then, and `work` goes on by itself."""
        task = asyncio.ensure_future(self.in_turn(work, *given))
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            # Looked at, whatever it comes to: nobody else will.
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise Unavailable("the database does not answer in time", next_step="Check that it runs.")
        return task.result()

    def problem(self, status: int, headers: dict[str, str] | None = None) -> Response:
        title, *sentences = self._problems[status]
        return self.page("client_problem.html", status, headers or {}, title=title, sentences=sentences, name="")

    def page(self, template: str, status: int, headers: dict[str, str], **said: Any) -> Response:
        words = self._pages.get_template(template).render(said)
        return HTMLResponse(words, status, {"X-Robots-Tag": "noindex, nofollow", **headers})


def phone_link(number: str) -> dict[str, str] | None:
    """How a page shows a number and calls it; None for none."""
    return {"href": phone_href(number), "shown": phone_shown(number)} if number else None
