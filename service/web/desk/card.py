"""The card that a client takes home: the days, the phone, the way to their page; in the client's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from service.actions.answer import TODAY, link_of, write_link
from service.actions.register import plan_rows
from service.actions.shelf import Shelf
from service.domain.reminder import State
from service.domain.schedule import local_day
from service.mail.words import Language, show_date
from service.web.desk.people import noted
from service.web.desk.qr import picture
from service.web.desk.registered import whose_treatment
from service.web.desk.visit import Answer, Page, Route, Visit

#: What a client may take home: it will come, or has come.
_COMES = (State.PLANNED, State.CLAIMED, State.SENDING, State.IN_DOUBT, State.SENT)
#: The language whose words ship with the program.
_PLAIN = "en"


def _card(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        client, treatment = whose_treatment(connection, visit)
        rows = [row for row in plan_rows(connection, treatment["id"]) if row["state"] in _COMES]
        numbers = _numbers(connection, visit, rows)
    noted(visit, client["id"])
    language, words = spoken(visit.service.catalogue.frames.languages, client["language"])
    days = [local_day(row["due_at"], visit.clinic.zone).isoformat() for row in rows]
    before, _, after = words["questions"].partition("{phone}")
    said = {
        "client": client,
        "treatment": treatment,
        "language": language,
        "words": words,
        "dates": [show_date(day, words["date"], language.locale) for day in days],
        "questions": (before, after),
        "texts": words["texts"].replace("{numbers}", " · ".join(numbers)) if numbers else "",
    }
    return Page("card.html", {**said, "qr": _qr(visit, client, words["page"])})


def spoken(languages: Mapping[str, Language], tag: str) -> tuple[Language, Mapping[str, str]]:
    """The client's language, its base, or English: the first that has words for the card."""
    for one in (tag, tag.partition("-")[0]):
        found = languages.get(one)
        if found is not None and found.card is not None:
            return found, found.card
    plain = languages[_PLAIN]
    return plain, plain.card or {}


def _numbers(connection: Any, visit: Visit, rows: Iterable[Any]) -> list[str]:
    """Number and version of the text of each e-mail: as it went out, or as it would go out now. None without words."""
    protocols = visit.service.catalogue.protocols
    shelf = Shelf(visit.service.catalogue, drafts_count=not visit.service.settings.live)
    steps = [(row, protocols[row["protocol"]].step(row["step"])) for row in rows if row["protocol"] in protocols]
    wanted = {(row["protocol"], step.text) for row, step in steps if step is not None}
    shelf.refresh(connection, [visit.clinic.id], visit.now.date(), wanted)
    numbers = []
    for row, step in steps:
        if row["state"] != State.PLANNED and row["text_id"] is not None:
            numbers.append(f"{row['text_id']} v{row['text_version']}")
            continue
        found = shelf.choose(visit.clinic, row["protocol"], step.text, row["language"]) if step else None
        numbers += [f"{found.id} v{found.version}"] if found else []
    return numbers


def _qr(visit: Visit, client: Any, says: str) -> Markup | None:
    """The client's own page as a picture to scan; None where no page can be reached from outside."""
    if visit.service.settings.public_url is None:
        return None
    token = write_link(visit.service.signer, TODAY, link_of(client["id"], client["email"]))
    return picture(f"{visit.service.settings.public_url.rstrip('/')}/t/{token}", says)


ROUTES = (Route("GET", "/clients/{client_id}/card", _card),)
