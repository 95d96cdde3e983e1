"""One e-mail, some workers, and everything that can go wrong: every reachable state, by exhaustion.

What a write makes of the row is asked of the product (`after`, `lapsed`, `ended`, `may_we_write`); the rest is the order of
events, which no product decides: crashes, freezes, lost replies, lapsed leases, a stop, the end of the shelf life.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from service.domain.contact import ContactFacts, Withheld, may_we_write
from service.domain.reminder import FINAL, OPEN, Claimed, State, after, ended, lapsed
from service.domain.replies import Kind, Scope, Verdict

#: Some instants: only their order counts.
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
USEFUL_UNTIL = NOW + timedelta(hours=26)
#: The model looks no further than this many copies: more is without a bound.
MOST_COPIES = 6
_MOST_USED = 4
_LEASED = (State.CLAIMED, State.SENDING)
_WAITING = (State.PLANNED, State.IN_DOUBT)

REPLY_LOST = Verdict(Kind.IN_DOUBT, Scope.CONNECTION, counts=True)
#: What a relay may answer before the message, or instead of taking it: nothing was accepted.
REFUSALS = (
    Verdict(Kind.TEMPORARY, Scope.RECIPIENT, counts=True),
    Verdict(Kind.TEMPORARY, Scope.RELAY),
    Verdict(Kind.TEMPORARY, Scope.CONNECTION),
    Verdict(Kind.CONFIGURATION, Scope.RELAY),
    Verdict(Kind.PERMANENT, Scope.RECIPIENT, counts=True),
    Verdict(Kind.PERMANENT, Scope.MESSAGE, counts=True),
)


@dataclass(frozen=True)
class Variant:
    """A design to try. The defaults are the product's; each switch leaves one of its safeguards out."""

    name: str
    workers: int = 2
    cap: int = 1
    mark: bool = True
    token: bool = True
    last_look: bool = True
    late_250_counts: bool = True
    cap_holds_for_bugs: bool = True


class Worker(NamedTuple):
    """step: idle, claimed, marked, accepted or silent (the message went out, and no reply will come).

    holds: its token is the row's. in_doubt, used: what it read of the row when it claimed.
    """

    step: str
    holds: bool
    in_doubt: bool
    used: int


IDLE = Worker("idle", False, False, 0)


class World(NamedTuple):
    """The row, the client's wish, the clock, the workers, and the truth that only the relay knows: copies.

    wrong: a message was marked although a stop, or the end of its shelf life, had been committed before.
    """

    state: State
    in_doubt: bool
    used: int
    stopped: bool
    late: bool
    workers: tuple[Worker, ...]
    copies: int
    wrong: str


class Step(NamedTuple):
    """One event. moved: whether somebody wrote the row's state."""

    what: str
    world: World


def start(variant: Variant) -> World:
    return World(State.PLANNED, False, 0, False, False, (IDLE,) * variant.workers, 0, "")


def steps(world: World, variant: Variant) -> Iterator[Step]:
    """Everything that can happen next."""
    yield from _from_outside(world, variant)
    seen = set()
    for place, worker in enumerate(world.workers):
        if worker in seen:  # two workers in one condition are one case
            continue
        seen.add(worker)
        it = _Acting(world, variant, place)
        if worker.step == "idle":
            yield from it.claims()
            continue
        yield Step("crash", it.done())
        match worker.step:
            case "claimed":
                yield from it.before_the_mark()
            case "marked":
                yield from it.says_the_message()
            case "accepted":
                yield from it.hears_250()
                yield from it.hears_nothing()
            case "silent":
                yield from it.hears_nothing()


def _from_outside(world: World, variant: Variant) -> Iterator[Step]:
    """The client, the clock, the rescue and the expiry of the next tick."""
    if not world.stopped:
        stopped = world._replace(stopped=True)
        if world.state in OPEN and world.state is not State.SENDING:
            stopped = _ended(stopped, State.CANCELLED)
        yield Step("stop", stopped)
    if not world.late:
        yield Step("out of date", world._replace(late=True))
    if world.state in _LEASED:
        freed = lapsed(world.state, in_doubt=world.in_doubt, doubt_retries=world.used, doubt_cap=variant.cap)
        yield Step("rescue", _written(world, freed))
    if world.late and world.state in (*_WAITING, State.HELD):
        yield Step("expire", _ended(world, State.MISSED))
    if world.state is State.HELD:
        yield Step("mended", _written(world, State.PLANNED))


def _ended(world: World, otherwise: State) -> World:
    return _written(world, ended(in_doubt=world.in_doubt, otherwise=otherwise))


def _written(world: World, state: State) -> World:
    """A committed write that ends the claim: the token is gone, and a doubt once raised stays."""
    in_doubt = world.in_doubt or state in (State.IN_DOUBT, State.UNCONFIRMED)
    workers = tuple(worker._replace(holds=False) if worker.holds else worker for worker in world.workers)
    return world._replace(state=state, in_doubt=in_doubt, workers=_sorted(workers))


def _sorted(workers: tuple[Worker, ...]) -> tuple[Worker, ...]:
    return tuple(sorted(workers))


class _Acting:
    """What the worker at `place` can do."""

    def __init__(self, world: World, variant: Variant, place: int) -> None:
        self._world = world
        self._variant = variant
        self._place = place
        self._me = world.workers[place]

    def _now(self, world: World, me: Worker) -> World:
        workers = list(world.workers)
        workers[self._place] = me
        return world._replace(workers=_sorted(tuple(workers)))

    def done(self) -> World:
        """Nothing is written; the worker is free, or another process has taken its place."""
        return self._now(self._world, IDLE)

    def _may_write(self) -> bool:
        """Whether the row still is this worker's: its token, or without tokens any row that somebody holds."""
        return self._world.state in _LEASED and (self._me.holds or not self._variant.token)

    def _writes(self, what: str, state: State) -> Step:
        """An outcome other than sent: it needs the token, and is evidence only without."""
        return Step(what, _written(self.done(), state) if self._may_write() else self.done())

    def _hears(self, what: str, verdict: Verdict, *, marked: bool) -> Step:
        me = self._me
        used = me.used + (1 if marked and me.in_doubt else 0)
        claimed = Claimed(1, 0, used, me.in_doubt, USEFUL_UNTIL)
        return self._writes(what, after(claimed, verdict, NOW, self._variant.cap).state)

    def claims(self) -> Iterator[Step]:
        world = self._world
        if world.state in _WAITING and not world.late:
            me = Worker("claimed", True, world.in_doubt, world.used)
            yield Step("claim", self._now(_written(world, State.CLAIMED), me))

    def before_the_mark(self) -> Iterator[Step]:
        given_back = State.IN_DOUBT if self._me.in_doubt else State.PLANNED
        yield self._writes("not reached, or the mark could not be committed", given_back)
        yield self._writes("cannot be written", ended(in_doubt=self._me.in_doubt, otherwise=State.HELD))
        for verdict in REFUSALS:
            yield self._hears(f"refused: {verdict.kind}", verdict, marked=False)
        if self._variant.mark and not (self._world.state is State.CLAIMED and self._may_write()):
            yield Step("no longer its own", self.done())
            return
        decision = may_we_write(_facts(self._world)) if self._variant.last_look else None
        if isinstance(decision, Withheld):
            yield self._writes(f"withheld: {decision.reason}", decision.state)
            return
        marked = self._marked()
        yield Step("mark", marked)
        # The commit is there, its answer was lost: nothing is said, and the row is given back.
        unaware = _Acting(marked, self._variant, marked.workers.index(self._marks()))
        yield unaware._writes("mark committed, answer lost", given_back)

    def _marks(self) -> Worker:
        return self._me._replace(step="marked")

    def _marked(self) -> World:
        world = self._now(self._world, self._marks())
        said = "a committed stop" if world.stopped else "the end of its shelf life" if world.late else world.wrong
        if not self._variant.mark:
            return world._replace(wrong=said)
        used = min(world.used + (1 if world.in_doubt else 0), _MOST_USED)
        return world._replace(state=State.SENDING, used=used, wrong=said)

    def says_the_message(self) -> Iterator[Step]:
        world, me = self._world, self._me
        for verdict in REFUSALS:
            yield self._hears(f"refused: {verdict.kind}", verdict, marked=True)
        accepted = self._now(world._replace(copies=world.copies + 1), me._replace(step="accepted"))
        yield Step("accepted by the relay", accepted)
        yield Step("cut off before the dot", self._now(world, me._replace(step="silent")))

    def hears_nothing(self) -> Iterator[Step]:
        yield self._hears("reply lost", REPLY_LOST, marked=True)
        if self._variant.cap_holds_for_bugs:
            yield self._hears("a bug after the mark", REPLY_LOST, marked=True)
        else:
            yield self._writes("a bug after the mark", State.IN_DOUBT)

    def hears_250(self) -> Iterator[Step]:
        """A late 250 is a fact, whoever holds the row by now."""
        if self._variant.late_250_counts or self._may_write():
            yield Step("250", self.done() if self._world.state is State.SENT else _written(self.done(), State.SENT))
        else:
            yield Step("250, thrown away", self.done())


def _facts(world: World) -> ContactFacts:
    return ContactFacts(
        now=USEFUL_UNTIL if world.late else NOW,
        due_at=NOW,
        useful_until=USEFUL_UNTIL,
        client_erased=False,
        client_stopped=world.stopped,
        client_paused=False,
        consent_withheld=False,
        treatment_cancelled=False,
        address_suppressed=False,
        address_changed=False,
        text_approved=True,
        gap_until=None,
        cap_reached=False,
        in_doubt=world.in_doubt,
    )


def is_over(world: World) -> bool:
    """The row has ended and nobody is saying it any more."""
    return world.state in FINAL and all(worker.step == "idle" for worker in world.workers)
