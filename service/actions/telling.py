"""The channel that is not the mail relay: alerts as JSON to a webhook, a sign of life to a heartbeat address.

The address is a secret: no error and no log line repeats it. Follows no redirect, which would lose the alert.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from service.actions.survey import minute, utc
from service.errors import AftercareError, Unavailable
from service.store import watch
from service.store.engine import Store
from service.store.watch import Alert

log = structlog.get_logger()
#: Trouble that may pass by itself is told after this long.
TOLD_AFTER = timedelta(minutes=15)
#: Alerts that one look posts, and seconds until another worker may post them: longer than that many time-outs.
AT_ONCE = 10
LEASE = 180
#: An alert that was over so long ago tells nobody anything.
STALE = timedelta(days=7)
#: What may go wrong around us; none of it stops a round.
TROUBLE = (AftercareError, OSError, sa.exc.SQLAlchemyError)
#: Seconds for each step of a request.
TIMEOUT = 10
FIELD = "AFTERCARE_ALERT_WEBHOOK"


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET of some page that says 200: nobody was told."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def send(url: str, body: bytes | None) -> None:
    """POST a JSON body, or GET if there is none. Raises Unavailable unless the answer is a 2xx."""
    headers = {"User-Agent": "aftercare"} | ({} if body is None else {"Content-Type": "application/json"})
    try:
        # The settings take no address but http and https ones.
        request = urllib.request.Request(url, body, headers)  # noqa: S310
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT):
            pass
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        # From None: the library's own words may hold the address.
        raise Unavailable(_why(error), next_step="Check the address, and that this machine may reach it.") from None


def _why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        phrase = "".join(letter for letter in str(error.reason) if letter.isprintable())
        return f"it answered {error.code} {phrase[:60]}".strip()
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return f"no answer within {TIMEOUT} seconds"
    if isinstance(inner, ssl.SSLError):
        return "no trusted TLS connection"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return "it does not speak HTTP"


def as_body(alert: Alert) -> bytes:
    """An alert as its JSON document: service, alert, state, message, since (UTC, ISO 8601, Z)."""
    since = alert.opened_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    document = {
        "service": "aftercare",
        "alert": alert.key,
        "state": "closed" if alert.closed_at else "open",
        "message": alert.words,
        "since": since,
    }
    return json.dumps(document).encode()


def send_test(url: str, now: datetime) -> None:
    """Post one alert that says it is a test. Raises Unavailable with what was answered."""
    alert = Alert(0, "test", "This is a test: alerts of Aftercare arrive here.", now, None)
    try:
        send(url, as_body(alert))
    except Unavailable as error:
        raise Unavailable(
            f"the test alert did not arrive: {error.message}", field=FIELD, next_step=error.next_step
        ) from None


@dataclass
class Teller:
    """Posts alerts for one worker. post: raises one of TROUBLE unless it arrived. stopping: begin with no other."""

    store: Store
    webhook: str = field(repr=False)
    post: Callable[[str, bytes | None], None]
    stopping: bool = False
    #: Whether failing rounds were told although the database could not say so.
    said_directly: bool = False
    _tried_directly_at: datetime | None = field(default=None, init=False)

    async def tell(self, now: datetime, failing: tuple[datetime, str] | None) -> None:
        """Post what people must still be told. What fails is tried again in the next minute, by whichever worker.

        failing: since when this worker's rounds fail, and why.
        """
        token = secrets.token_hex(8)
        try:
            waiting = await self.store.in_thread(_take_untold, now, token)
            if waiting and await self._tell_all(waiting, now):
                await self.store.in_thread(watch.drop_duty, "tell", token)
            elif waiting:
                await self.store.in_thread(watch.finish_duty, "tell", minute(now), token)
        except TROUBLE as error:
            if failing is None:
                log.error("alerts could not be read or noted as told", problem=in_words(error))
            else:
                await self.tell_directly(*failing, now)

    async def _tell_all(self, waiting: list[Alert], now: datetime) -> bool:
        for alert in waiting:
            if self.stopping or not await self._say(alert):
                return False
            # One by one: what was told stays told, whatever happens to the next.
            await self.store.in_thread(watch.told, [alert], now)
        return True

    async def tell_directly(self, since: datetime, trouble: str, now: datetime, after: timedelta = TOLD_AFTER) -> None:
        """Rounds fail and the alert cannot even be written down: tell it all the same, once."""
        waits = self.said_directly or now - since < after or not is_over(self._tried_directly_at, now)
        if not waits:
            self._tried_directly_at = now
            self.said_directly = await self._say(Alert(0, "round", failing_words(since, trouble), since, None))

    async def _say(self, alert: Alert) -> bool:
        try:
            await asyncio.to_thread(self.post, self.webhook, as_body(alert))
        except TROUBLE as error:
            log.error("an alert could not be told", alert=alert.key, problem=in_words(error))
            return False
        return True


def _take_untold(connection: sa.Connection, now: datetime, token: str) -> list[Alert]:
    """The next alerts to tell, if there are any and no other worker is telling them."""
    since = now - STALE
    if not watch.untold(connection, since) or not watch.take_duty(connection, "tell", minute(now), token, LEASE):
        return []
    # Asked again: another worker may have told them a moment ago.
    waiting = watch.untold(connection, since)[:AT_ONCE]
    if not waiting:
        watch.drop_duty(connection, "tell", token)
    return waiting


def is_over(then: datetime | None, now: datetime) -> bool:
    """Whether a minute has passed; a clock that was set back must not make it a long one."""
    return then is None or abs(now - then) >= timedelta(minutes=1)


def failing_words(since: datetime, trouble: str) -> str:
    return f"Rounds fail since {utc(since)}: {trouble}. Reminders wait; none is lost."


def in_words(error: Exception) -> str:
    return error.message if isinstance(error, AftercareError) else type(error).__name__
