"""A client's story, newest first: planned, sent, come back, answered, called, changed, in words and with who did it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.domain import consent
from service.domain.plain import call_reason, reason
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason, State
from service.store.calls import UNDONE
from service.store.check_ins import CheckIn
from service.web.desk.deeds import deed_words
from service.web.desk.people import name_of, titles
from service.web.desk.visit import Visit
from service.web.desk.words import OUTCOMES, day, email_state, moment, step_words

_OUTCOMES = dict(OUTCOMES)
_BOUNCED = {
    "hard": "Their mail server says that nobody can be reached at this address.",
    "soft": "Their mail server could not take it then: perhaps the mailbox is full.",
}
_AGREED, _REOPENED = "client agreed", "call reopened"
#: What a person does about a call, as the audit has it -> kind of badge.
_PHONED = {"call tried": "wait", "call closed": "good", _REOPENED: "wait"}
_ENDED = {
    State.FAILED: ("was refused", "act"),
    State.MISSED: ("was not sent: its time was over", "act"),
    State.UNCONFIRMED: ("may not have arrived", "act"),
    State.CANCELLED: ("was called off", "past"),
}
_LEVELS = {
    "E": ("an emergency sign", "act"),
    "D": ("a sign for a doctor", "act"),
    "T": ("a sign to look at today", "act"),
    "S": ("a sign to look at soon", "wait"),
    "V": ("something for the next visit", "wait"),
    "N": ("all as it should be", "good"),
}


@dataclass(frozen=True)
class Known:
    """What is written down about one client. staff: address -> name."""

    client: Any
    treatments: Sequence[Any]
    emails: Sequence[Any]
    calls: Sequence[Any]
    check_ins: Sequence[CheckIn]
    audit: Sequence[Any]
    staff: Mapping[str, str]

    def name(self, actor: str) -> str:
        return name_of(actor, self.staff)


@dataclass(frozen=True)
class Entry:
    """One thing that happened. kind: of its badge. email: the id of an e-mail whose words may be looked at, else 0."""

    at: datetime
    what: str
    kind: str = "past"
    who: str = ""
    details: tuple[str, ...] = field(default=())
    email: int = 0


def is_lost(row: Any) -> bool:
    """Whether a reminder did not reach its client, as far as anybody knows, and nothing has taken its place."""
    came_back = row["state"] == State.SENT and row["bounced_at"] is not None
    suppressed = row["state"] == State.CANCELLED and row["reason"] == Reason.SUPPRESSED
    ended = row["state"] in (State.FAILED, State.UNCONFIRMED)
    return row["kind"] == "reminder" and row["replaced_at"] is None and (came_back or suppressed or ended)


def tell(visit: Visit, known: Known) -> list[Entry]:
    """Everything, newest first."""
    told = [*_registered(visit, known), *_done(known), *_planned(visit, known), *_answered(visit, known)]
    for row in known.emails:
        told += _fate(row)
    told += [*_called_off(known), *_called(known)]
    # Of one instant, what came of it stands above what it came from.
    return [entry for _, entry in sorted(enumerate(told), key=lambda pair: (pair[1].at, pair[0]), reverse=True)]


def _done(known: Known) -> Iterator[Entry]:
    """What somebody changed."""
    for row in reversed(known.audit):
        detail = json.loads(row["detail"])
        words = deed_words(row["action"], detail)
        if words is not None:
            why = (f"Reason: {detail['why']}",) if detail.get("why") else ()
            agreed = (_read_out(detail.get("words_version")),) if row["action"] == _AGREED else ()
            yield Entry(row["at"], *words, known.name(row["actor"]), (*agreed, *why))


def _registered(visit: Visit, known: Known) -> Iterator[Entry]:
    """Who registered the client, and what they answered then. The client's row holds the newest consent only."""
    client = known.client
    done = {row["action"]: row["actor"] for row in known.audit}
    if client["consent_on"] is None or _AGREED in done:
        answered: tuple[str, ...] = ("Said no to these e-mails.",)
    else:
        on = f"Agreed to these e-mails on {day(visit, client['consent_on'])}."
        answered = (on, _read_out(client["consent_words"]))
    # Of whoever came with a file, the audit has no line of their own.
    by_file = "" if _AGREED in done else client["consent_by"]
    yield Entry(client["created_at"], "Registered", "past", known.name(done.get("client added", by_file)), answered)


def _read_out(version: int | None) -> str:
    words = consent.WORDS.get(version or 0)
    return f"Words read out, version {version}: “{words}”" if words else "Which words were read out is not recorded."


def _planned(visit: Visit, known: Known) -> Iterator[Entry]:
    """One entry for what was planned together: with the treatment, or later and why."""
    by_plan: dict[tuple[int, datetime], list[Any]] = defaultdict(list)
    for row in reversed(known.emails):
        by_plan[row["treatment_id"] or 0, row["planned_at"]].append(row)
    named = titles(visit)
    for one in known.treatments:
        rows = by_plan.pop((one["id"], one["created_at"]), [])
        what = f"Treated on {day(visit, one['treated_on'])}: {named.get(one['protocol'], one['protocol'])}"
        yield Entry(one["created_at"], what, "past", known.name(one["created_by"]), _dates(visit, rows))
    for (treatment_id, at), rows in by_plan.items():
        hello = not treatment_id
        yield Entry(at, "Hello planned" if hello else "E-mails planned anew", "wait", "", _dates(visit, rows))


def _dates(visit: Visit, rows: Sequence[Any]) -> tuple[str, ...]:
    return tuple(
        f"{_step(row)}: {moment(visit, row['due_at'])}"
        + (f" ({reason(row['reason'])})" if row["reason"] == Reason.REGISTERED_LATE else "")
        for row in sorted(rows, key=lambda row: (row["due_at"], row["id"]))
    )


def _step(row: Any) -> str:
    return step_words(row["kind"], row["day"]).capitalize()


def _fate(row: Any) -> Iterator[Entry]:
    """What became of one e-mail. What was called off is told together with its like."""
    version = f"Version {row['text_version']} of the words." if row["text_version"] else ""
    if row["sent_at"] is not None:
        words, kind = email_state(row)
        yield Entry(row["sent_at"], f"{_step(row)}: {words}", kind, "", (version,), row["id"])
    elif row["ended_at"] is not None and row["state"] in _ENDED and row["state"] != State.CANCELLED:
        words, kind = _ENDED[row["state"]]
        why = reason(row["reason"])
        details = (f"Because {why}." if why else "", version)
        yield Entry(row["ended_at"], f"{_step(row)} {words}", kind, "", details, row["id"] if row["marked_at"] else 0)
    if row["bounced_at"] is not None:
        yield Entry(row["bounced_at"], f"{_step(row)} came back", "act", "",
                    (_BOUNCED.get(row["bounce_class"] or "", ""),), row["id"])  # fmt: skip


def _called_off(known: Known) -> Iterator[Entry]:
    groups: dict[tuple[datetime, str], list[Any]] = defaultdict(list)
    for row in reversed(known.emails):
        if row["state"] == State.CANCELLED and row["ended_at"] is not None:
            groups[row["ended_at"], row["reason"] or ""].append(row)
    for (at, why), rows in groups.items():
        steps = ", ".join(dict.fromkeys(_step(row).lower() for row in rows))
        yield Entry(at, f"Called off: {steps}", "past", "", (f"Because {reason(why)}.",) if why else ())


def _called(known: Known) -> Iterator[Entry]:
    for row in known.calls:
        yield Entry(row["opened_at"], f"Call wanted: {call_reason(row['reason'])}", "wait")
        if row["state"] == "covered":
            yield Entry(row["closed_at"], "Call settled: a later e-mail made up for it", "good")
        elif row["outcome"] == UNDONE:
            words = "Call not needed: the registration was undone"
            yield Entry(row["closed_at"], words, "past", known.name(row["closed_by"] or ""))
    yield from _phoned(known)


def _phoned(known: Known) -> Iterator[Entry]:
    """Each try, closing and reopening, by the audit: a call's own row holds its last state, and its newest note."""
    calls = {row["id"]: row for row in known.calls}
    lines = [(row, json.loads(row["detail"])) for row in reversed(known.audit) if row["action"] in _PHONED]
    newest = {detail["call"]: row["id"] for row, detail in lines if row["action"] != _REOPENED}
    for row, detail in lines:
        call = calls[detail["call"]]
        about, who = f"It was about: {call_reason(call['reason'])}.", known.name(row["actor"])
        if row["action"] == _REOPENED:
            yield Entry(row["at"], "Call opened again", "wait", who, (about,))
            continue
        ended = _OUTCOMES.get(detail["outcome"], detail["outcome"]).lower()
        note = f"Note: {call['note']}" if call["note"] and newest[call["id"]] == row["id"] else ""
        yield Entry(row["at"], f"Called: {ended}", _PHONED[row["action"]], who, (about, note))


def _answered(visit: Visit, known: Known) -> Iterator[Entry]:
    for one in known.check_ins:
        words, kind = _LEVELS[one.level]
        details = answer_words(visit.service.catalogue.protocols, known.treatments, one)
        late = ("Corrected by a later answer.",) if one.corrected else ()
        what = f"Answered the questions on day {one.day}: {words}"
        yield Entry(one.answered_at, what, kind, "the client", (*late, *details))


def answer_words(protocols: Mapping[str, FollowUpProtocol], treatments: Sequence[Any], one: CheckIn) -> list[str]:
    """Each question with the options that were chosen, as the client read them. treatments: the client's."""
    kind_of_visit = {row["id"]: row["protocol"] for row in treatments}
    protocol = protocols.get(kind_of_visit.get(one.treatment_id, ""))
    asked = protocol.check_in.words if protocol and protocol.check_in else {}
    spoken = asked.get("en") or next(iter(asked.values()), None)
    said = []
    for key, options in one.answers.items():
        question = spoken.questions.get(key) if spoken else None
        labels = [question.options.get(option, option) if question else option for option in options]
        said.append(f"{question.asks if question else key} {'; '.join(labels)}.")
    return said
