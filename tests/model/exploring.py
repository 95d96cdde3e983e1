"""Walks through every state a variant can reach, and says which promises it breaks and how it came to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from service.domain.reminder import MOVES, State
from tests.model.one_email import MOST_COPIES, Variant, World, is_over, start, steps

#: The designs of the decision, and what each of them must show.
VARIANTS = (
    Variant("as built, 2 workers, 1 repeat"),
    Variant("as built, 3 workers, 1 repeat", workers=3),
    Variant("as built, 2 workers, no repeat", cap=0),
    Variant("as built, 2 workers, 2 repeats", cap=2),
    Variant("no mark before the message", mark=False),
    Variant("no token on later writes", token=False),
    Variant("no last look before the mark", last_look=False),
    Variant("a late 250 is thrown away", late_250_counts=False),
    Variant("a bug after the mark is in doubt whatever the cap", cap_holds_for_bugs=False),
)

TOO_MANY = "more copies than 1 + repeats"
STUCK = "lost: it never ends"
UNSENT = "lost: sent without a copy"
UNSEEN = "a copy is out and the row denies it"
ILLEGAL = "a move the table forbids"
#: Ends in which the row says that nothing arrived.
_DENIES = (State.FAILED, State.MISSED, State.CANCELLED)


@dataclass
class Found:
    """worst: most copies seen. broken: promise -> the events that broke it first. ends: (state, copies) at rest."""

    variant: Variant
    states: int = 0
    worst: int = 0
    broken: dict[str, list[str]] = field(default_factory=dict)
    ends: set[tuple[State, int]] = field(default_factory=set)

    @property
    def unbounded(self) -> bool:
        return self.worst > MOST_COPIES


def explore(variant: Variant) -> Found:
    """Every reachable state, breadth first, so that the events told are the fewest that do it."""
    first = start(variant)
    came: dict[World, tuple[World, str] | None] = {first: None}
    into: dict[World, list[World]] = {}
    found, edge = Found(variant), deque([first])
    while edge:
        world = edge.popleft()
        found.worst = max(found.worst, world.copies)
        for promise in _broken_in(world, variant):
            found.broken.setdefault(promise, _story(came, world))
        if is_over(world):
            found.ends.add((world.state, world.copies))
        if world.copies > MOST_COPIES:
            continue
        for what, after in steps(world, variant):
            into.setdefault(after, []).append(world)
            if after not in came:
                came[after] = (world, what)
                edge.append(after)
            if after.state is not world.state and not _legal(world.state, after.state, what):
                found.broken.setdefault(ILLEGAL, [*_story(came, world), f"{what}: {world.state} -> {after.state}"])
    found.states = len(came)
    for world in _without_an_end(came, into):
        found.broken.setdefault(STUCK, _story(came, world))
    return found


def _legal(before: State, now: State, what: str) -> bool:
    """A step that marks and gives back at once is two moves."""
    if what == "mark committed, answer lost":
        return State.SENDING in MOVES[before] and now in MOVES[State.SENDING]
    return now in MOVES[before]


def _broken_in(world: World, variant: Variant) -> Iterable[str]:
    if world.copies > 1 + variant.cap:
        yield TOO_MANY
    if world.wrong:
        yield f"sent after {world.wrong}"
    if world.state is State.SENT and not world.copies:
        yield UNSENT
    if world.state in _DENIES and world.copies:
        yield UNSEEN


def _without_an_end(came: Iterable[World], into: dict[World, list[World]]) -> list[World]:
    """States from which no end can be reached: there a row would be lost without a word."""
    known = list(came)
    ending = {world for world in known if is_over(world) or world.copies > MOST_COPIES}
    edge = deque(ending)
    while edge:
        for before in into.get(edge.popleft(), ()):
            if before not in ending:
                ending.add(before)
                edge.append(before)
    return [world for world in known if world not in ending]


def _story(came: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    told = []
    at: World | None = world
    while at is not None and (before := came[at]) is not None:
        at, what = before
        told.append(what)
    return told[::-1]


def table(found: Iterable[Found]) -> str:
    """Variant, states, worst copies, broken."""
    lines = [f"{'variant':<52}{'states':>8}{'worst copies':>14}  broken"]
    for one in found:
        worst = "unbounded" if one.unbounded else str(one.worst)
        broken = "; ".join(sorted(one.broken)) or "nothing"
        lines.append(f"{one.variant.name:<52}{one.states:>8,}{worst:>14}  {broken}")
    return "\n".join(lines)
