"""Never silent: beats, the ledger of outages, alerts by a channel that is not the mail relay, the dead man's switch.

Refuses to stop a round: what goes wrong here is logged. Alerts carry numbers and instants, never a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from service.actions.survey import look, tell_once, utc
from service.actions.telling import TOLD_AFTER, TROUBLE, Teller, failing_words, in_words, is_over, send
from service.domain.persons import clean_line
from service.mail.reply import cleaned
from service.store import outages, watch
from service.store.engine import Store
from service.store.outages import Outage
from service.store.watch import Alert

log = structlog.get_logger()
#: When nobody has ended a good round for so long, nobody worked.
DOWN_AFTER = timedelta(minutes=10)
#: A stop waits so long for what is being posted: a little longer than its time-out.
STOP_WITHIN = 12.0


@dataclass(frozen=True)
class _Ended:
    """A round that has ended at `now`, as `Watch.after_round` was told of it."""

    now: datetime
    began: datetime
    trouble: str
    relay_cause: str
    relay_since: datetime | None
    urgent: bool


@dataclass
class Watch:
    """One worker's watch over its rounds. webhook, heartbeat_url: None for none. post: what reaches them.

    down_after: longer than the pause between two rounds.
    """

    store: Store
    worker: str
    webhook: str | None = field(default=None, repr=False)
    heartbeat_url: str | None = field(default=None, repr=False)
    post: Callable[[str, bytes | None], None] = send
    down_after: timedelta = DOWN_AFTER
    _good: bool = field(default=False, init=False)
    _failing: tuple[datetime, str] | None = field(default=None, init=False)
    _line_was_stopped: bool = field(default=False, init=False)
    _pinged_at: datetime | None = field(default=None, init=False)
    _speaking: asyncio.Task[None] | None = field(default=None, init=False)
    _teller: Teller | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.webhook is not None:
            self._teller = Teller(self.store, self.webhook, self.post)

    async def after_round(
        self,
        now: datetime,
        trouble: str,
        relay_cause: str,
        relay_since: datetime | None,
        *,
        urgent: bool = False,
        began: datetime | None = None,
    ) -> None:
        """Note how a round ended at `now`.

        trouble: why it failed, "" for a good one. relay_cause, relay_since: why and since when the line to the relay is
        stopped, "" and None if it is not. urgent: only a person can mend that. began: the round, if not at `now`.
        """
        ended = _Ended(now, began or now, cleaned(trouble), cleaned(relay_cause), relay_since, urgent)
        self._good = not trouble and relay_since is None
        if trouble:
            self._failing = (self._failing[0] if self._failing else now, ended.trouble)
        try:
            await self.store.in_thread(self._note, ended)
        except TROUBLE as error:
            if not trouble:  # a database that does not answer has failed the round, and is logged already
                log.error("a round could not be noted", problem=in_words(error))
            return
        # What is not committed is not forgotten.
        self._line_was_stopped = relay_since is not None or (self._line_was_stopped and bool(trouble))
        if not trouble:
            self._failing = None
            if self._teller is not None:
                self._teller.said_directly = False

    def _note(self, connection: sa.Connection, ended: _Ended) -> None:
        good = watch.last_good(connection)
        if not ended.trouble:
            self._note_gap(connection, ended)
        watch.beat(connection, self.worker, ended.now, ended.trouble)
        standing = watch.standing(connection)
        if ended.trouble:
            self._note_failing(connection, ended, good)
            return
        self._note_working(connection, ended, standing)
        self._note_relay(connection, ended, standing)
        look(connection, ended.now, standing)

    def _note_gap(self, connection: sa.Connection, ended: _Ended) -> None:
        """Nobody worked until this round: whoever comes back first writes it down."""
        if self._gap(connection, ended) is None:
            return
        watch.one_at_a_time(connection)
        since = self._gap(connection, ended)  # another worker may have come back a moment before
        if since is None:
            return
        cause = self._failing[1] if self._failing else watch.last_trouble(connection, since)
        cause = cause or "no worker was running"
        outages.note_past(connection, "down", (since, ended.began), cause)
        words = f"Nothing was sent from {utc(since)} to {utc(ended.began)}: {cause}. See `aftercare outages`."
        tell_once(connection, "down", words, since, ended.now)

    def _gap(self, connection: sa.Connection, ended: _Ended) -> datetime | None:
        """Since when nobody has worked, None if somebody has, or nobody ever did."""
        good = watch.last_good(connection)
        if good is None or ended.began - good <= self.down_after:
            return None
        # A long round ends late; what it sends shows that somebody is at work.
        sign = max(good, watch.last_mark(connection, ended.now) or good)
        return sign if ended.began - sign > self.down_after else None

    def _note_failing(self, connection: sa.Connection, ended: _Ended, good: datetime | None) -> None:
        since = min(self._failing[0] if self._failing else ended.now, good or ended.now)
        if ended.urgent or ended.now - since >= TOLD_AFTER:
            watch.open_alert(connection, "round", failing_words(since, ended.trouble), since)

    def _note_working(self, connection: sa.Connection, ended: _Ended, standing: dict[str, Alert]) -> None:
        if "round" in standing:
            # Another worker's rounds may still fail.
            if not watch.last_trouble(connection, ended.now - DOWN_AFTER):
                watch.close_alert(connection, "round", ended.now)
        elif self._teller is not None and self._teller.said_directly and self._failing is not None:
            # Told while the database could not be written: now its end is told too.
            tell_once(connection, "round", failing_words(*self._failing), self._failing[0], ended.now)

    def _note_relay(self, connection: sa.Connection, ended: _Ended, standing: dict[str, Alert]) -> None:
        outage = outages.current_outage(connection, "relay")
        if ended.relay_since is not None:
            # Another worker that has sent since then shows that the relay works.
            if outage is None and not outages.sent_since(connection, ended.relay_since, ended.now):
                outages.open_outage(connection, "relay", ended.relay_since, ended.relay_cause or "no reason is known")
                outage = outages.current_outage(connection, "relay")
            if outage is not None and "relay" not in standing:
                self._tell_of_relay(connection, ended, outage)
        elif outage is not None and not ended.relay_cause and self._knows_it_works(connection, outage, ended.now):
            outages.close_outage(connection, "relay", ended.now)
            watch.close_alert(connection, "relay", ended.now)

    def _knows_it_works(self, connection: sa.Connection, outage: Outage, now: datetime) -> bool:
        """A worker that has just begun, or had nothing to send, knows nothing about the relay."""
        return self._line_was_stopped or outages.sent_since(connection, outage.began_at, now)

    def _tell_of_relay(self, connection: sa.Connection, ended: _Ended, outage: Outage) -> None:
        if ended.urgent or ended.now - outage.began_at >= TOLD_AFTER:
            words = f"The mail relay cannot be used since {utc(outage.began_at)}: {ended.relay_cause or outage.cause}."
            watch.open_alert(connection, "relay", words, outage.began_at)

    def speak(self, now: datetime) -> None:
        """`tell` and `heartbeat` beside the rounds, which a slow webhook must not hold up."""
        if self._speaking is None or self._speaking.done():
            self._speaking = asyncio.create_task(self._speak(now))

    async def _speak(self, now: datetime) -> None:
        await asyncio.gather(self.heartbeat(now), self.tell(now))

    async def tell(self, now: datetime) -> None:
        """Post the alerts that people were not told of yet, if there is a webhook."""
        if self._teller is not None:
            await self._teller.tell(now, self._failing)

    async def never_ends(self, now: datetime, since: datetime, trouble: str) -> None:
        """The round that began before `since` does not end: tell it without the database, once."""
        self._failing = self._failing or (since, cleaned(trouble))
        if self._teller is not None:
            await self._teller.tell_directly(*self._failing, now, after=timedelta())

    async def heartbeat(self, now: datetime) -> None:
        """Call the dead man's switch, at most once a minute, after a good round while the line to the relay is open."""
        if self.heartbeat_url is None or not self._good or not is_over(self._pinged_at, now):
            return
        self._pinged_at = now
        try:
            await asyncio.to_thread(self.post, self.heartbeat_url, None)
        except TROUBLE as error:
            log.warning("the heartbeat did not arrive", problem=in_words(error))

    async def close(self) -> None:
        """Say nothing more, and wait for what is being said."""
        if self._teller is not None:
            self._teller.stopping = True
        if self._speaking is not None:
            await asyncio.wait({self._speaking}, timeout=STOP_WITHIN)
            self._speaking.cancel()


def note_outage(connection: sa.Connection, outage_id: int, text: str) -> Outage:
    """Keep what people know about an outage, one line of at most 1000 characters. Raises BadInput, NotFound."""
    return outages.note_outage(connection, outage_id, clean_line("note", text, 1000))
