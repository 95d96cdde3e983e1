"""Takes in what came back: whose it is, what it means, what follows. One transaction a message.

Only a signed envelope address proves whose a report is: a bounce or complaint without it changes nothing, or a stranger
could silence a client. Nothing here writes an e-mail, so no machine is ever answered.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.actions import answer, revise
from service.actions.revise import Who
from service.domain.persons import fold_address
from service.domain.reminder import MOVES, Reason, State
from service.mail.reports import BounceClass, Kind, Recipient, Report, read_report
from service.mail.signing import Signer
from service.store import audit, clinics, returned
from service.store.audit import Deed
from service.store.calls import Call, open_call
from service.store.locking import lock_clients
from service.store.returned import Client, Email

#: So many e-mails of one client that come back softly within SOFT_WITHIN make a call.
SOFT_LIMIT = 3
SOFT_WITHIN = timedelta(days=30)

#: What a message leads to: `does` in the JSON document.
SENT, BOUNCED, SUPPRESS, STOP, CALL = "sent", "bounced", "suppress", "stop", "call"

_OUR_ID = re.compile(r"<[0-9a-f]{30}@")
_GRAVEST = (BounceClass.HARD, BounceClass.SOFT, BounceClass.DELAYED, BounceClass.NONE)


@dataclass(frozen=True)
class Found:
    """Whose a message is. verified: by our signed address. by: token, message_id or address.

    soft: how many other e-mails of this client came back softly of late. known: this very message was taken in before.
    """

    client: Client
    email: Email | None
    by: str
    soft: int = 0
    known: bool = False

    @property
    def verified(self) -> bool:
        return self.by == "token"


@dataclass(frozen=True)
class Meaning:
    """What a message is, whose, and what it leads to. call: the reason of the call among that."""

    report: Report
    found: Found | None = None
    does: tuple[str, ...] = ()
    call: str = ""

    def suppresses(self, recipient: Recipient) -> bool:
        """Whether this recipient's line is the proof that the client's address is dead."""
        proof = self.report.kind is Kind.BOUNCE and recipient.bounce_class is BounceClass.HARD
        return proof and self.found is not None and self.found.verified and _is_theirs(recipient, self.found.client)


def _is_theirs(recipient: Recipient, client: Client) -> bool:
    """Not the address it was forwarded to, not one the client had before."""
    return client.erased_at is None and fold_address(recipient.address) == client.email_folded


@dataclass(frozen=True)
class Returned:
    """One message as it came, read. digest: SHA-256 of its bytes."""

    report: Report
    digest: str


def read(raw: bytes, signer: Signer | None) -> Returned:
    return Returned(read_report(raw, signer), hashlib.sha256(raw).hexdigest())


def examine(connection: sa.Connection, signer: Signer, message: Returned, now: datetime) -> Meaning:
    """What `take_in` would do now. Writes nothing."""
    found = _find(connection, signer, message, now)
    return Meaning(message.report) if found is None else decide(message.report, found)


def take_in(connection: sa.Connection, signer: Signer, message: Returned, who: Who) -> Meaning:
    """Do what a message leads to. Taking in the same one again changes nothing more."""
    meaning = examine(connection, signer, message, who.now)
    if meaning.found is None or not meaning.does:
        return meaning
    lock_clients(connection, returned.sharing(connection, meaning.found.client))
    # Asked again under the lock: another process may have taken it in, or the client may be another's by now.
    meaning = examine(connection, signer, message, who.now)
    if meaning.found is not None and meaning.does:
        _do(connection, meaning, who)
        _note(connection, meaning, message.digest, who)
    return meaning


def _find(connection: sa.Connection, signer: Signer, message: Returned, now: datetime) -> Found | None:
    report = message.report
    stopping = answer.named(report.stop_subject) if report.kind is Kind.STOP else None
    whose = returned.client(connection, stopping.client_id) if stopping else None
    if whose is not None:
        return Found(whose, None, "token", known=_known(connection, whose, message))
    pair, by = _by_token(connection, signer, report), "token"
    if pair is None:
        by = "message_id"
        named = [one.address for one in report.recipients] if report.recipients else [report.sender]
        folded = {fold_address(address) for address in named if address}
        pair = returned.by_message_id(connection, report.message_ids, folded)
    if pair is not None:
        email, client = pair
        soft = returned.soft_bounces(connection, client.id, now - SOFT_WITHIN)
        return Found(client, email, by, soft, _known(connection, client, message))
    if report.kind not in (Kind.STOP, Kind.HUMAN):
        return None
    whose = returned.by_addresses(connection, fold_address(report.sender), report.sent_to)
    return None if whose is None else Found(whose, None, "address", known=_known(connection, whose, message))


def _known(connection: sa.Connection, client: Client, message: Returned) -> bool:
    """Only where no row remembers it: after a stop was undone, or a call closed, an old message is no new one."""
    asks = message.report.kind in (Kind.COMPLAINT, Kind.STOP, Kind.HUMAN)
    return asks and returned.taken_in(connection, client, message.digest)


def _by_token(connection: sa.Connection, signer: Signer, report: Report) -> tuple[Email, Client] | None:
    subject = report.token_subject or ""
    if not (subject.isascii() and subject.isdigit() and 0 < int(subject[:20]) < 2**63):
        return None
    pair = returned.by_id(connection, int(subject))
    return pair if pair is not None and _is_that_one(pair[0], signer, report) else None


def _is_that_one(email: Email, signer: Signer, report: Report) -> bool:
    """A restored database gives ids a second time: where the report has a Message-ID of ours, it must be the row's."""
    ours = {found[0] for one in report.message_ids if (found := _OUR_ID.match(one))}
    if not ours:
        return email.marked_at is not None
    made = email.message_id or signer.message_id(email.id, email.planned_at.isoformat(), "aftercare.invalid")
    return made.partition("@")[0] + "@" in ours


def decide(report: Report, found: Found) -> Meaning:
    """What follows from a report about this client and e-mail. Pure."""
    nothing = Meaning(report, found)
    if found.client.erased_at is not None or found.known:
        return nothing
    match report.kind:
        case Kind.BOUNCE:
            return _bounce(report, found) if found.verified else nothing
        case Kind.COMPLAINT | Kind.STOP if found.verified:
            return nothing if found.client.stopped_at else Meaning(report, found, (STOP, CALL), str(Reason.STOPPED))
        case Kind.STOP:
            # Anybody can write this: a person asks the client.
            return nothing if found.client.stopped_at else Meaning(report, found, (CALL,), "asked_to_stop")
        case Kind.HUMAN:
            return Meaning(report, found, (CALL,), "reply")
        case _:
            return nothing


def _bounce(report: Report, found: Found) -> Meaning:
    email = found.email
    assert email is not None
    does = [SENT] if report.recipients and _was_in_doubt(email) else []
    call = ""
    gravest = _gravest(report, found.client)
    if gravest is BounceClass.HARD and email.bounce_class != gravest:
        does += [BOUNCED, CALL]
        call = "bounced"
        if any(Meaning(report, found).suppresses(one) for one in report.recipients):
            does.append(SUPPRESS)
    elif gravest is BounceClass.SOFT and email.bounce_class is None:
        does.append(BOUNCED)
        if found.soft + 1 >= SOFT_LIMIT:
            does.append(CALL)
            call = "check_address"
    return Meaning(report, found, tuple(does), call)


def _gravest(report: Report, client: Client) -> BounceClass:
    """Of the client's own address where the report has it, else of all it names: a forwarding failed."""
    theirs = [one for one in report.recipients if _is_theirs(one, client)] or report.recipients
    classes = {one.bounce_class for one in theirs}
    return next((one for one in _GRAVEST if one in classes), BounceClass.NONE)


def _was_in_doubt(email: Email) -> bool:
    """Whether a report settles that the relay had it."""
    state = State(email.state)
    doubtful = (
        state in (State.IN_DOUBT, State.UNCONFIRMED, State.SENDING)
        or (state is State.CLAIMED and email.doubt_since is not None)
        or (state is State.HELD and email.reason == Reason.RESTORED)
    )
    return doubtful and State.SENT in MOVES[state]


def _do(connection: sa.Connection, meaning: Meaning, who: Who) -> None:
    found, does = meaning.found, meaning.does
    assert found is not None
    client, email = found.client, found.email
    if email is not None and SENT in does:
        went_as = email.message_id or next(filter(_OUR_ID.match, meaning.report.message_ids), None)
        returned.proven(connection, email._replace(message_id=went_as), who.actor, who.now)
    if email is not None and BOUNCED in does:
        returned.bounced(connection, email, _gravest(meaning.report, client), who.now)
    if email is not None and SUPPRESS in does:
        returned.suppress_address(connection, email, who.actor, who.now)
    if STOP in does:
        revise.stop(connection, clinics.get(connection, client.clinic_id), client.id, who)
    if CALL in does:
        about = email.id if email is not None and meaning.call == "bounced" else None
        open_call(connection, Call(client.clinic_id, client.id, about, meaning.call), who.now)


def _note(connection: sa.Connection, meaning: Meaning, digest: str, who: Who) -> None:
    found = meaning.found
    assert found is not None
    detail = {
        "kind": str(meaning.report.kind),
        "email": found.email.id if found.email else None,
        "by": found.by,
        "does": meaning.does,
        "message": digest,
    }
    deed = Deed(who.actor, returned.TAKEN_IN, f"client {found.client.id}", detail)
    audit.note(connection, found.client.clinic_id, deed, who.now)
