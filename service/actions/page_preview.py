"""The page of the day as it would look on one day, through the same words and filling as the page itself."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import escape

import sqlalchemy as sa

from service.actions.previewing import SAMPLE_CLINIC, SAMPLE_TREATED_ON, Desk, Wanted
from service.actions.today import Spoken, spoken_for
from service.actions.treated import newest_treatment, planned_protocol
from service.domain.protocol import FollowUpProtocol
from service.errors import NotFound
from service.mail.catalogue import Catalogue

_PAGE = re.compile(r"today-(\d{2,3})")


def page_day(protocol: FollowUpProtocol, step: str) -> int | None:
    """The day that today-06 asks for; None if it asks for no page, or for a day that this page has no words for."""
    found = _PAGE.fullmatch(step)
    return int(found[1]) if found and protocol.today_on(int(found[1])) else None


def of_sample(catalogue: Catalogue, protocol: FollowUpProtocol, day: int, language: str) -> Spoken:
    """The shipped draft with a made-up clinic. Raises NotFound where there is none in that language."""
    name = _text(protocol, day)
    if (protocol.key, name, language) not in catalogue.sources:
        fix = "Add its file for another language."
        raise NotFound(f"there is no {protocol.key}/{name} in that language", field="language", next_step=fix)
    compiled = catalogue.compile(protocol.key, name, language)
    when = (SAMPLE_CLINIC, SAMPLE_TREATED_ON, SAMPLE_TREATED_ON + timedelta(days=day))
    return spoken_for(compiled, protocol, when, 0)


def of_client(connection: sa.Connection, desk: Desk, wanted: Wanted, now: datetime) -> Spoken:
    """The version that counts now, for this client's newest treatment. Raises NotFound or BadInput, or BadText."""
    clinic, protocol = desk.clinic, wanted.protocol
    day = page_day(protocol, wanted.step) or 0
    client, treatment = newest_treatment(connection, clinic, protocol, wanted.client_id)
    name = _text(protocol, day)
    desk.shelf.refresh(connection, [clinic.id], now.date(), {(protocol.key, name)})
    version = desk.shelf.choose(clinic, protocol.key, name, wanted.language or client["language"])
    if version is None:
        fix = "Approve one with `aftercare texts approve`."
        raise NotFound(f"no version of {protocol.key}/{name} may be shown", field="text", next_step=fix)
    when = (clinic, treatment["treated_on"], treatment["treated_on"] + timedelta(days=day))
    planned = planned_protocol(connection, protocol, treatment["id"])
    return spoken_for(desk.shelf.compiled(version), planned, when, version.version)


def _text(protocol: FollowUpProtocol, day: int) -> str:
    found = protocol.today_on(day)
    return found.text if found else ""


def as_document(spoken: Spoken) -> str:
    """The words alone as a whole HTML document, without the page's looks and links."""
    head = f'<meta charset="utf-8">\n<title>{escape(spoken.title)}</title>'
    body = f"<body>\n{spoken.html}</body>"
    return (
        f'<!DOCTYPE html>\n<html lang="{spoken.tag}" dir="{spoken.language.direction}">\n'
        f"<head>\n{head}\n</head>\n{body}\n</html>\n"
    )
