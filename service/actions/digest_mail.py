"""The morning digest as a mail: composed like every other, handed to the relay once a day and clinic by one worker.

A digest that the relay does not take is tried again; nothing else depends on it.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import sqlalchemy as sa
import structlog

from service.actions.deliver import Route
from service.actions.digest import Digest, Protocols, digest, words
from service.actions.trying import try_relay
from service.domain.schedule import instant, local_day
from service.errors import AftercareError, NotAllowed
from service.mail.compose import Head, compose
from service.mail.program import Piece, Program, Slot
from service.mail.relay import Parcel
from service.mail.signing import Signer
from service.store import clinics, watch
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.figures import Span
from service.store.pace import take

log = structlog.get_logger()
#: The clinic's wall-clock time from which its digest is sent; each covers the time since the one before, at most MOST.
FROM = time(8)
MOST = timedelta(days=14)
#: Whether one is due is looked at so often; a relay that did not take it is asked again after AGAIN.
EVERY = timedelta(minutes=1)
AGAIN = timedelta(minutes=15)
#: Seconds: the relay has so long for it, because reminders wait meanwhile; the lease is longer.
WITHIN = 30.0
LEASE = 300
_TROUBLE = (AftercareError, OSError, ValueError, sa.exc.SQLAlchemyError)


def compose_digest(made: Digest, signer: Signer, to: str) -> bytes:
    """The digest as one message: text, and the same words as simple HTML. One Message-ID a day, however often tried.

    Raises NotAllowed when the clinic has no address to write from, NotComposed for a value that no header takes.
    """
    subject, text = words(made)
    from_address = _from_address(made.clinic)
    head = Head(
        sender_name=made.clinic.sender_name or made.clinic.name,
        from_address=from_address,
        to_address=to,
        reply_to=made.clinic.reply_to or from_address,
        date=made.now.astimezone(made.clinic.zone).replace(microsecond=0),
        message_id=signer.message_id(
            0, f"digest {made.clinic.id} {made.span.until.isoformat()}", from_address.partition("@")[2]
        ),
        language="en",
    )
    return compose(head, *_parts(subject, text))


def _from_address(clinic: Clinic) -> str:
    address = clinic.from_address or clinic.reply_to
    if not address:
        fix = "Set one with `aftercare clinic set reply_to=…`."
        raise NotAllowed("this clinic has no address to write from", field="reply_to", next_step=fix)
    return address


_TOP = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n<title>'
)
_BODY = '</title>\n</head>\n<body style="font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:24px">\n'


def _parts(subject: str, text: str) -> tuple[Program, dict[str, str]]:
    """Each paragraph of the text is one of the HTML, line by line."""
    values = {"subject": subject, "text": text}
    html: list[Piece] = [_TOP, Slot("subject", html=True), _BODY]
    for paragraph in text.strip().split("\n\n"):
        html.append("<p>")
        for line in paragraph.split("\n"):
            name = f"line {len(values)}"
            values[name] = line
            html += [Slot(name, html=True), "<br>\n"]
        html[-1] = "</p>\n"
    html.append("</body>\n</html>\n")
    return Program((Slot("subject", html=False),), (Slot("text", html=False),), tuple(html)), values


@dataclass
class DigestDuty:
    """Sends each clinic's digest once a day, whichever worker comes first.

    route: which relay takes an address. per_minute: mails in any minute over all workers, None without a limit. within:
    seconds that the relay has for one.
    """

    store: Store
    route: Route
    signer: Signer
    protocols: Protocols
    to: str
    per_minute: int | None = None
    within: float = WITHIN
    _looked_at: datetime | None = field(default=None, init=False)
    _wait_until: dict[int, datetime] = field(default_factory=dict, init=False)

    async def run(self, now: datetime) -> int:
        """Send what is due; how many digests the relay took. Costs nothing if asked every second.

        Trouble is logged and tried again later: reminders never wait for a digest that cannot be sent.
        """
        if self._looked_at is not None and timedelta() <= now - self._looked_at < EVERY:
            return 0
        self._looked_at = now
        sent = 0
        try:
            with self.store.waits.one():
                due = await asyncio.to_thread(self._due, now)
            for clinic in due:
                if not await self._do(clinic, local_day(now, clinic.zone), now):
                    break  # a relay that hangs must hold up the reminders once, not once a clinic
                sent += 1
        except _TROUBLE as error:
            # A driver's own words may quote what it read.
            problem = error.message if isinstance(error, AftercareError) else type(error).__name__
            log.warning("no morning digest", problem=problem)
        return sent

    def _due(self, now: datetime) -> list[Clinic]:
        with self.store.read() as connection:
            return [
                clinic
                for clinic in clinics.usable(connection)[0]
                if now >= instant(local_day(now, clinic.zone), FROM, clinic.zone)
                and now >= self._wait_until.get(clinic.id, now)
                and watch.done_for(connection, _name(clinic)) < local_day(now, clinic.zone).isoformat()
            ]

    async def _do(self, clinic: Clinic, day: date, now: datetime) -> bool:
        """Claim the clinic's day, send its digest, and say whether it is done."""
        name, period, token = _name(clinic), day.isoformat(), secrets.token_hex(8)
        span = await self.store.in_thread(self._take, clinic, day, token)
        if span is None:
            return False
        sent = False
        try:
            sent = await self._send(clinic, span, now)
        finally:
            if sent:
                await self.store.in_thread(watch.finish_duty, name, period, token)
            else:
                self._wait_until[clinic.id] = now + AGAIN
                await self.store.in_thread(watch.drop_duty, name, token)
        return sent

    def _take(self, connection: sa.Connection, clinic: Clinic, day: date, token: str) -> Span | None:
        """The time that this digest covers, from the one before; None if another worker has it, or did it."""
        name, period = _name(clinic), day.isoformat()
        before = watch.done_for(connection, name)
        if self.per_minute and not take(connection, 1, self.per_minute):
            return None
        if not watch.take_duty(connection, name, period, token, LEASE):
            return None
        until = instant(day, FROM, clinic.zone)
        last = date.fromisoformat(before) if before else day - timedelta(days=1)
        return Span(max(instant(last, FROM, clinic.zone), until - MOST), until)

    async def _send(self, clinic: Clinic, span: Span, now: datetime) -> bool:
        """Whether the relay took it. Addresses stay out of the log."""
        with self.store.waits.one():
            made = await asyncio.to_thread(self._read, clinic, span, now)
        try:
            parcel = Parcel(_from_address(clinic), self.to, compose_digest(made, self.signer, self.to))
            told = await asyncio.wait_for(try_relay(self.route(self.to), parcel), self.within)
        except AftercareError as error:
            log.warning("no morning digest", clinic=clinic.id, problem=error.message, next_step=error.next_step)
            return False
        except TimeoutError:
            log.warning("no morning digest: the relay takes too long", clinic=clinic.id)
            return False
        if not told.accepted:
            said = {"stage": str(told.stage), "code": told.code, "next_step": told.next_step}
            log.warning("no morning digest: the relay did not take it", clinic=clinic.id, **said)
        return told.accepted

    def _read(self, clinic: Clinic, span: Span, now: datetime) -> Digest:
        with self.store.read() as connection:
            return digest(connection, clinic, span, now, self.protocols)


def _name(clinic: Clinic) -> str:
    return f"digest {clinic.id}"
