"""One neutral e-mail to an address of the operator's own, to see that the relay takes mail and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.actions.writing import sender
from service.domain.letter import Letter, facts
from service.domain.replies import Heard, Kind, Stage, classify
from service.domain.schedule import local_day
from service.errors import NotAllowed
from service.mail.catalogue import Catalogue
from service.mail.compose import Head, compose
from service.mail.relay import Conversation, NotOpened, Parcel, RelayAddress
from service.mail.signing import Signer
from service.store.clinics import Clinic


@dataclass(frozen=True)
class Told:
    """What the relay said. words: its reply, without addresses."""

    accepted: bool
    relay: str
    stage: str
    code: int | None
    words: str
    next_step: str


_NEXT_STEP = {
    Stage.CONNECT: "Check AFTERCARE_RELAY_HOST and _PORT, and that this machine may reach it.",
    Stage.GREETING: "The relay does not want this machine: ask its operator.",
    Stage.TLS: "Check AFTERCARE_RELAY_TLS and AFTERCARE_RELAY_CA_FILE: the certificate must fit the host's name.",
    Stage.AUTH: "Check AFTERCARE_RELAY_USERNAME and AFTERCARE_RELAY_PASSWORD.",
    Stage.MAIL: "The relay does not accept the sender: check the clinic's from_address.",
    Stage.RCPT: "The relay does not accept this recipient: try another address.",
}


def hello(catalogue: Catalogue, signer: Signer, clinic: Clinic, to: str, now: datetime) -> tuple[str, bytes]:
    """The neutral hello note as (envelope sender, bytes): no treatment, no client's name.

    Raises NotAllowed when the clinic has no address to write from, BadText when it lacks what the note says.
    """
    from_address = clinic.from_address or clinic.reply_to
    if not from_address:
        fix = "Set one with `aftercare clinic set reply_to=…`."
        raise NotAllowed("this clinic has no address to write from", field="reply_to", next_step=fix)
    text = catalogue.compile_hello("en")
    on = local_day(now, clinic.zone)
    letter = Letter("hello", "", 0, "en", "", None, on, None, None, sender(clinic, on))
    program, values = text.prepare(facts(letter, None))
    head = Head(
        sender_name=clinic.sender_name or clinic.name,
        from_address=from_address,
        to_address=to,
        reply_to=clinic.reply_to,
        date=now.astimezone(clinic.zone).replace(microsecond=0),
        message_id=signer.message_id(0, f"test {now.isoformat()}", from_address.partition("@")[2]),
        language="en",
        stop_mailto=None,
        stop_url=None,
    )
    return from_address, compose(head, program, values)


async def try_relay(address: RelayAddress, parcel: Parcel) -> Told:
    """Hand one message to the relay; the mark is a formality, nothing is on record."""

    async def mark() -> bool:
        return True

    name = f"{address.host}:{address.port}"
    try:
        conversation = await Conversation.open(address)
    except NotOpened as trouble:
        return _told(name, trouble.heard)
    try:
        return _told(name, await conversation.send(parcel, mark))
    finally:
        await conversation.close()


def _told(relay: str, heard: Heard) -> Told:
    accepted = classify(heard).kind is Kind.ACCEPTED
    fix = _NEXT_STEP.get(heard.stage, "Ask the relay's operator what this answer means.")
    words = heard.text or heard.failure
    return Told(accepted, relay, heard.stage, heard.code, words, "" if accepted else fix)
