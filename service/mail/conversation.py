"""What is said on one connection after the handshake: envelope, message, replies and time-outs, as a state machine.

It knows when a lost connection proves that nothing was accepted (RFC 5321 4.1.1.10) and when nobody can know
(RFC 1047). It refuses to write a byte of a message unasked, writes no log, and never waits without an end.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from service.domain.replies import CONNECTION_LOST, NOT_SMTP, TIMED_OUT, Heard, Stage
from service.mail.reply import Reply, ReplyReader

END_OF_MESSAGE = b"\r\n.\r\n"
_QUIT_SECONDS = 2.0
GO_AHEAD = Heard(Stage.DATA, 354)


@dataclass(frozen=True)
class Limits:
    """Seconds to wait at most: for each reply, for the reply to the message (its writing included), for all."""

    reply: float
    dot: float
    session: float


class Step(NamedTuple):
    """What the next reply answers."""

    stage: Stage
    command: bytes


_RSET = Step(Stage.MAIL, b"RSET\r\n")
_DATA = Step(Stage.DATA, b"DATA\r\n")
_MESSAGE = Step(Stage.MESSAGE, b"")


class Dialogue(asyncio.Protocol):
    """The protocol of a connection that stands ready for MAIL. usable: the next envelope may be written."""

    def __init__(self, transport: asyncio.Transport, limits: Limits, *, pipelining: bool) -> None:
        self.usable = True
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._limits = limits
        self._pipelining = pipelining
        self._reader = ReplyReader()
        self._expected: deque[Step] = deque()  # written, not yet answered
        self._later: deque[Step] = deque()  # not yet written: a relay without PIPELINING
        self._answer: asyncio.Future[Heard] | None = None
        self._refused: Heard | None = None
        self._end = Heard(Stage.MAIL, failure=CONNECTION_LOST)  # how an unusable connection ended
        self._recipient = ""
        self._reset_first = False
        self._deadline = self._session_end = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        transport.set_protocol(self)

    def envelope(self, mail: bytes, rcpt: bytes, recipient: str) -> asyncio.Future[Heard]:
        """Write MAIL, RCPT and DATA. Gives GO_AHEAD once the relay waits for the message, else what it said instead."""
        steps = deque((Step(Stage.MAIL, mail), Step(Stage.RCPT, rcpt), _DATA))
        if self._reset_first:
            steps.appendleft(_RSET)
        self._refused, self._recipient, self._reset_first = None, recipient, False
        self._session_end = self._loop.time() + self._limits.session
        if not self.usable:
            self._end = Heard(Stage.MAIL, failure=CONNECTION_LOST)  # it ended before this message began
        answer = self._ask(self._limits.reply)
        if not self.usable:
            return answer
        if self._pipelining:
            self._expected = steps
            self._transport.write(b"".join([step.command for step in steps]))
        else:
            self._later = steps
            self._write_next()
        return answer

    def message(self, content: bytes) -> asyncio.Future[Heard]:
        """Write the message. content: dot-stuffed CRLF lines and the final dot."""
        answer = self._ask(self._limits.dot)
        if not self.usable:
            return answer
        self._transport.write(content)
        if self._transport.is_closing():  # the first write failed at once: the system took no byte of it
            self._drop(Heard(Stage.DATA, failure=CONNECTION_LOST))
        else:
            self._expected.append(_MESSAGE)
        return answer

    def drop(self) -> None:
        """End the connection now. What was not yet handed to the system, a final dot too, is never sent."""
        self._lose(CONNECTION_LOST)

    async def close(self) -> None:
        """Say QUIT if nothing is under way, wait for the reply for at most two seconds, end the connection."""
        seconds = min(_QUIT_SECONDS, self._limits.reply)
        try:
            if self.usable and not self._expected:
                self._transport.write(b"QUIT\r\n")
                await asyncio.wait({self._closed}, timeout=seconds)
        finally:
            self.drop()
        await asyncio.wait({self._closed}, timeout=seconds)

    def data_received(self, data: bytes) -> None:
        for reply in self._reader.feed(data):
            if self._expected:
                self._take(self._expected.popleft(), reply)
            else:  # nobody asked: between two messages, between the 354 and the message, or the reply to QUIT
                code = reply.code if reply.code >= 400 else None
                self._drop(Heard(Stage.DATA, code, reply.text(self._recipient), "" if code else NOT_SMTP))
            if not self.usable:
                return
        if self._reader.broken or not (self._expected or self._reader.between_replies):
            self._lose(NOT_SMTP)

    def eof_received(self) -> None:
        self._lose(CONNECTION_LOST)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._lose(CONNECTION_LOST)
        self._closed.set_result(None)

    def _take(self, step: Step, reply: Reply) -> None:
        """One reply to what we wrote."""
        code = reply.code
        if code == 421:
            self._drop(self._refused or self._heard(step.stage, reply))
        elif step.stage is Stage.MESSAGE:
            self._take_verdict(reply)
        elif step.stage is Stage.DATA:
            self._take_data(reply)
        elif 300 <= code < 400 or (step is _RSET and code >= 400):
            self._expected.appendleft(step)
            self._lose(NOT_SMTP)
        else:
            if code >= 400 and self._refused is None:
                self._refused = self._heard(step.stage, reply)
            self._go_on()

    def _go_on(self) -> None:
        """The envelope is not complete yet: wait for its next reply, or write what comes next."""
        if self._expected:
            self._wait(self._limits.reply)
        elif self._refused:
            self._reset_first = True
            self._settle(self._refused)
        else:
            self._write_next()
            self._wait(self._limits.reply)

    def _take_data(self, reply: Reply) -> None:
        if reply.code == 354:
            if self._refused:
                self._drop(self._refused)  # a dot here could be an empty message to nobody
            else:
                self._settle(GO_AHEAD)
                self._wait(math.inf)
        elif reply.code >= 400:
            self._reset_first = True
            self._settle(self._refused or self._heard(Stage.DATA, reply))
        else:
            self._expected.append(_DATA)
            self._lose(NOT_SMTP)

    def _take_verdict(self, reply: Reply) -> None:
        """The reply to the final dot; before that dot has left, only a refusal can be meant."""
        heard = self._heard(Stage.MESSAGE, reply)
        if self._dot_is_here():
            self._drop(heard if reply.code >= 400 else Heard(Stage.DATA, failure=NOT_SMTP))
        elif 300 <= reply.code < 400:
            self._drop(heard)
        else:
            self._settle(heard)

    def _heard(self, stage: Stage, reply: Reply) -> Heard:
        return Heard(stage, reply.code, reply.text(self._recipient))

    def _dot_is_here(self) -> bool:
        """The end of the message still waits in our own memory: no relay can have accepted it."""
        return self._transport.get_write_buffer_size() >= len(END_OF_MESSAGE)

    def _write_next(self) -> None:
        step = self._later.popleft()
        self._expected.append(step)
        self._transport.write(step.command)

    def _ask(self, seconds: float) -> asyncio.Future[Heard]:
        self._answer = self._loop.create_future()
        if self.usable:
            self._wait(seconds)
        else:
            self._answer.set_result(self._end)
        return self._answer

    def _settle(self, heard: Heard) -> None:
        self._deadline = math.inf
        self._later.clear()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(heard)

    def _lose(self, failure: str) -> None:
        """No reply will come to what was written last."""
        if not self.usable:
            return
        stage = self._expected[0].stage if self._expected else Stage.DATA
        if stage is Stage.MESSAGE and self._dot_is_here():
            stage = Stage.DATA
        self._drop(self._refused or Heard(stage, failure=failure))

    def _drop(self, heard: Heard) -> None:
        if self.usable:
            self.usable = False
            self._end = heard
            self._expected.clear()
            self._transport.abort()  # close() would still send what is buffered
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._settle(heard)

    def _wait(self, seconds: float) -> None:
        """Set the deadline. One timer, moved only when it would ring too late: a reply in time costs no timer."""
        self._deadline = min(self._loop.time() + seconds, self._session_end)
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self, looked: bool = False) -> None:
        self._timer, now = None, self._loop.time()
        if now >= self._deadline and looked:
            self._lose(TIMED_OUT)
        elif self._deadline < math.inf:
            # Late: once more, when what came has been read. A process that stood still may not have looked since.
            self._timer = self._loop.call_at(max(now, self._deadline), self._ring, now >= self._deadline)
