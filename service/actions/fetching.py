"""Returned mail comes in by itself: one worker at a time looks into the mailbox, each message is its own transaction.

Marked as read only after the commit; who dies in between takes it in again, which changes nothing. Trouble with the
mailbox stops no reminder: it is told after some failed rounds. Refuses to delete a message or to answer one.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog

from service.actions.handing_out import hand_out
from service.actions.returned import Meaning, read, take_in
from service.actions.revise import Who
from service.actions.survey import minute, utc
from service.actions.telling import TROUBLE, in_words
from service.errors import AftercareError, Unavailable
from service.mail.mailbox import FIELD, Mailbox, Unread, Waiting
from service.mail.reports import Kind, Report
from service.mail.signing import Signer
from service.store import hellos, watch
from service.store.engine import Store

log = structlog.get_logger()
#: The duty, the alert's key, and the row that remembers how far the mailbox was read.
NAME, PLACE = "mailbox", "mailbox place"
#: A round looks at so many messages, and begins with none after so many seconds; the rest is the next round's.
MOST, ENOUGH = 100, 60.0
#: Seconds: after WITHIN a mailbox that drips is cut off; the lease is longer.
WITHIN, LEASE = 120.0, 300
#: People are told after so many rounds in a row that failed.
FAILED = 3
#: Seconds between two rounds, longer the more of them failed: a wrong password said every minute locks an account.
PAUSES = (60.0, 120.0, 240.0, 480.0, 900.0)
#: Seconds until it is asked again whether a round may begin.
SOON = 2.0
#: While somebody at a desk may wait for what comes back of a hello: a round every so many seconds, for so long.
AT_THE_DESK, STAYS = 15, timedelta(minutes=3)
#: A clean stop waits so long for the message under way.
STOP_WITHIN = 12.0

#: Called with each message: its name, what it means, and why it could not be read ("" if it could).
Told = Callable[[str, Meaning, str], None]


@dataclass
class Fetched:
    """A round: how many of each kind, of which `unread` could not be read. more: there is more to look at at once."""

    counts: Counter[str] = field(default_factory=Counter)
    more: bool = False


@dataclass
class Fetching:
    """One worker's part in reading the mailbox. actor: who stands in the audit."""

    store: Store
    signer: Signer
    open_mailbox: Callable[[], Mailbox]
    actor: str = "returned mail"
    _failed: int = field(default=0, init=False)
    _failing_since: datetime | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _box: Mailbox | None = field(default=None, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def start(self, clock: Callable[[], datetime], may: Callable[[], bool]) -> None:
        """Round after round in a thread, beside the delivery and however long that takes, until `close`.

        may: whether this worker's own rounds end well; else nothing is read, for its clock or database may be wrong.
        """
        self._task = asyncio.create_task(self._rounds(clock, may))

    async def close(self) -> None:
        """Begin with no other message, and wait for the one under way."""
        self._stopping.set()
        self._woken.set()
        if self._box is not None:
            self._box.cut()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_WITHIN)

    async def _rounds(self, clock: Callable[[], datetime], may: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            pause = await self._round(clock) if may() else SOON
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)

    async def _round(self, clock: Callable[[], datetime]) -> float:
        """One round, and the seconds until the next."""
        try:
            fetched = await asyncio.to_thread(lambda: self.round(clock()))
        except TROUBLE as error:
            if not self._stopping.is_set():
                log.warning("returned mail was not read", problem=in_words(error))
            return PAUSES[min(max(self._failed - 1, 0), len(PAUSES) - 1)]
        if fetched is not None and fetched.counts:
            log.info("returned mail", **fetched.counts)
        return 0.0 if fetched is not None and fetched.more else AT_THE_DESK

    def round(self, now: datetime, told: Told | None = None, *, by_hand: bool = False) -> Fetched | None:
        """Look at what is new in the mailbox; None if it is another worker's turn, or was a moment ago.

        by_hand: also if it was. Raises Unavailable for trouble with the mailbox or the database; what was taken in
        stays taken in.
        """
        token = secrets.token_hex(8)
        with self.store.write() as connection:
            period = f"{minute(now)} {token[:8]}" if by_hand else _period(connection, now)
            if not watch.take_duty(connection, NAME, period, token, LEASE):
                return None
        fetched, trouble = None, ""
        try:
            fetched = self._fetch(now, told)
        except AftercareError as error:
            trouble = error.message if error.field == FIELD and not self._stopping.is_set() else ""
            raise
        except Exception as error:  # a strange server must not end the reading for good: people are told
            log.exception("the mailbox could not be read")
            trouble = "a bug in this program, which its log tells"
            raise Unavailable(trouble, field=FIELD, next_step="Read the log, and report it.") from error
        finally:
            with self.store.write() as connection:
                self._note(connection, now, trouble, well=fetched is not None)
                if fetched is None or fetched.more:
                    watch.drop_duty(connection, NAME, token)
                else:
                    watch.finish_duty(connection, NAME, period, token)
        return fetched

    def _note(self, connection: sa.Connection, now: datetime, trouble: str, *, well: bool) -> None:
        if well:
            self._failed, self._failing_since = 0, None
            watch.close_alert(connection, NAME, now)
        elif trouble:
            self._failed += 1
            self._failing_since = since = self._failing_since or now
            if self._failed >= FAILED:
                words = f"Returned mail does not come in since {utc(since)}: {trouble}. Reminders go out all the same."
                watch.open_alert(connection, NAME, words, since)

    def _fetch(self, now: datetime, told: Told | None) -> Fetched:
        fetched, box = Fetched(), self.open_mailbox()
        self._box = box
        patience = threading.Timer(WITHIN, box.cut)
        patience.daemon = True
        patience.start()
        enough = time.monotonic() + ENOUGH
        try:
            with self.store.read() as connection:
                after = watch.done_for(connection, PLACE)
            waiting = box.waiting(after, MOST + 1)
            for number, one in enumerate(waiting):
                if self._stopping.is_set():
                    raise Unavailable("this program is stopping", field=FIELD)
                if number == MOST or time.monotonic() > enough:
                    fetched.more = True
                    break
                meaning, problem = self._take_in(box, one, now)
                fetched.counts[str(meaning.report.kind) if not problem else "unread"] += 1
                if told is not None:
                    told(one.name, meaning, problem)
        finally:
            patience.cancel()
            self._box = None
            box.close()
        return fetched

    def _take_in(self, box: Mailbox, one: Waiting, now: datetime) -> tuple[Meaning, str]:
        """One message, and why it could not be read. What cannot be is kept for a person, and the next ones go on."""
        try:
            message = read(hand_out(self.store, box, one, now), self.signer)
            with self.store.write() as connection:
                meaning = take_in(connection, self.signer, message, Who(self.actor, now))
                self._remember(connection, one)
        except AftercareError:
            raise  # the mailbox or the database: this message is read in a later round
        except Unread as error:
            problem = str(error)
        except Exception:  # a bug met by one message must not hold up the others: a person reads it
            log.exception("a returned message could not be taken in", message=one.name)
            problem = "not taken in: see the log"
        else:
            (box.done if is_settled(meaning) else box.keep)(one)
            return meaning, ""
        with self.store.write() as connection:
            self._remember(connection, one)
        box.keep(one)
        return Meaning(Report(Kind.UNKNOWN, reason=problem)), problem

    def _remember(self, connection: sa.Connection, one: Waiting) -> None:
        if one.place:
            watch.note_done(connection, PLACE, one.place)


def _period(connection: sa.Connection, now: datetime) -> str:
    """What a round is done for: a minute, or its quarter while somebody may wait at a desk."""
    if not hellos.went_out_since(connection, now - STAYS):
        return minute(now)
    return now.astimezone(UTC).replace(second=now.second // AT_THE_DESK * AT_THE_DESK, microsecond=0).isoformat()


def is_settled(meaning: Meaning) -> bool:
    """Whether nobody has to read the letter itself: it carries our signature, or a machine answered an e-mail of ours.

    All else stays unread: a person's words, what nobody knows, and bounces that may be of the desk's own letters.
    """
    kind, found = meaning.report.kind, meaning.found
    if found is None or kind in (Kind.HUMAN, Kind.UNKNOWN):
        return False
    return found.verified or kind is Kind.AUTO_REPLY


def last_round(connection: sa.Connection) -> tuple[str, str]:
    """When a round last ended well, like '2026-11-21 10:00 UTC', and what people were told is wrong; "" for none."""
    done, standing = watch.done_for(connection, NAME), watch.standing(connection).get(NAME)
    return utc(datetime.fromisoformat(done.partition(" ")[0])) if done else "", standing.words if standing else ""
