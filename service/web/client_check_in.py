"""The check-in behind a client's link: one question a page, then what to do. Nothing is kept before the last answer.

Reading it changes nothing; there is no script and no cookie, and every answer so far travels in the form. The advice
comes from fixed rules and does not wait for the database: what cannot be saved is said all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import Response

from service.actions.answer import CHECK_IN, STOP, Link, read_link, write_link
from service.actions.check_in import Answered, Opened, answer_check_in, open_check_in
from service.clock import wall_clock
from service.domain.check_in_form import AT, GO, Asked, Button, Finished, after, first
from service.domain.protocol import Level
from service.domain.schedule import day_number, local_day
from service.domain.triage import check_in_of, triage
from service.errors import BadInput, NotAllowed, NotFound, Unavailable
from service.mail.catalogue import Catalogue
from service.store.clinics import Clinic
from service.web.client_advice import Speech, Voice, speech_for
from service.web.client_door import ClientParts, Door, Problems, phone_link
from service.web.limits import URLENCODED, read_body

log = structlog.get_logger()

#: Links that were opened lately: their advice needs no database any more.
REMEMBERED = 256
MOST_FIELDS = 100
ALLOWED = ("GET", "HEAD", "OPTIONS", "POST")
_CALL = "If you are worried, call the number in the e-mail."
_AGAIN = ("That did not work", "Nothing was saved.", f"Open the link in the e-mail again. {_CALL}")
_PROBLEMS: Problems = {
    400: _AGAIN,
    404: (
        "This link does not open anything",
        "Part of the link may be missing, or it is no longer in use.",
        _CALL,
    ),
    405: _AGAIN,
    413: _AGAIN,
    415: _AGAIN,
    429: ("Too many tries", "Nothing was saved.", f"Wait a minute, then open the link again. {_CALL}"),
    503: (
        "That is not possible at the moment",
        "Do not wait for this page. Call the number in the e-mail.",
        "If you feel very unwell, call your local emergency number now.",
    ),
}
#: So that the browser's own "back" works: what it may not store it asks to send again. The advice is not stored.
_KEPT = {"Cache-Control": "private, no-cache"}
_NOTHING_ASKED = "There are no questions at this link at the moment."


@dataclass(frozen=True, slots=True)
class Patience:
    """Somebody who feels very ill waits so many seconds for the database, and no longer."""

    read: float = 5.0
    save: float = 3.0


def check_in_routes(
    parts: ClientParts, catalogue: Catalogue, pages: Environment, patience: Patience = Patience()
) -> APIRouter:
    """GET, HEAD, OPTIONS and POST of /c/{token}. catalogue: the protocols and the languages."""
    routes = APIRouter()
    answer = _CheckIns(Door(parts, pages, _PROBLEMS, ALLOWED), catalogue, patience).answer
    routes.add_api_route("/c/{token}", answer, methods=[*ALLOWED, "PUT", "PATCH", "DELETE"], response_model=None)
    return routes


class _CheckIns:
    """Answers requests for one application."""

    def __init__(self, door: Door, catalogue: Catalogue, patience: Patience) -> None:
        self._door, self._catalogue, self._patience = door, catalogue, patience
        self._parts = door.parts
        self._lately: OrderedDict[Link, Opened] = OrderedDict()

    async def answer(self, request: Request, token: str) -> Response:
        turned_away = self._door.turned_away(request)
        if turned_away is not None:
            return turned_away
        # Whatever the token: how a bad body is answered tells nothing about it.
        body = await read_body(request, (URLENCODED,)) if request.method == "POST" else None
        if isinstance(body, int):
            return self._door.problem(body, {"Connection": "close"} if body == 413 else {})
        link = read_link(self._parts.signer, CHECK_IN, token)
        return self._door.problem(404) if link is None else await self._at(link, body)

    async def _at(self, link: Link, body: bytes | None) -> Response:
        try:
            opened, now = await self._opened(link)
            return await self._answered(link, opened, now, body)
        except NotFound:
            return self._door.problem(404)
        except BadInput:
            return self._door.problem(400)
        except Unavailable:
            return self._door.problem(503, {"Retry-After": "60"})

    async def _opened(self, link: Link) -> tuple[Opened, datetime]:
        """What the link is about; without the database, as it was when it was opened. Raises Unavailable, NotFound."""
        try:
            opened, now = await self._door.in_turn_within(self._patience.read, self._read, link)
        except Unavailable:
            known = self._lately.get(link)
            if known is None or known.about is None:
                raise
            now = wall_clock()
            day = day_number(known.about.treated_on, local_day(now, known.clinic.zone))
            return Opened(known.clinic, replace(known.about, day=day)), now
        self._lately.pop(link, None)
        self._lately[link] = opened
        if len(self._lately) > REMEMBERED:
            self._lately.popitem(last=False)
        return opened, now

    def _read(self, link: Link) -> tuple[Opened, datetime]:
        now = self._parts.now()
        with self._parts.store.read() as connection:
            return open_check_in(connection, self._catalogue.protocols, link, now), now

    async def _answered(self, link: Link, opened: Opened, now: datetime, body: bytes | None) -> Response:
        about = opened.about
        speech = speech_for(about, opened.clinic, self._catalogue.frames.languages) if about else None
        if about is None or speech is None:
            return self._nothing_asked(link, opened.clinic)
        check_in = check_in_of(about.protocol)
        follows = first(check_in) if body is None else after(check_in, _fields(body))
        voice = Voice(speech, opened.clinic, about)
        said: dict[str, Any] = {"name": _name(opened.clinic), "tag": speech.tag}
        said |= {"direction": speech.language.direction, "words": speech.form, "intro": voice.say(speech.words.intro)}
        if isinstance(follows, Asked):
            shown = _question(follows, speech, about.day, stops=follows.question.key == check_in.stops_at)
            return self._door.page("client_question.html", 422 if follows.missing else 200, _KEPT, **said, **shown)
        return await self._advised(link, opened, (follows, now), said, voice)

    async def _advised(
        self, link: Link, opened: Opened, last: tuple[Finished, datetime], said: dict[str, Any], voice: Voice
    ) -> Response:
        """The advice for all answers, saved if that can be done, and in time."""
        assert opened.about is not None
        follows, now = last
        level, saved = triage(opened.about.protocol, opened.about.day, follows.answers).level, True
        try:
            kept = await self._door.in_turn_within(self._patience.save, self._save, link, follows)
            level = kept.outcome.level
        except NotAllowed:
            return self._nothing_asked(link, opened.clinic)
        except Unavailable:
            saved = False
        except Exception:  # whatever it is: somebody waits for advice, perhaps in an emergency
            log.exception("the answers of a check-in could not be kept")
            saved = False
        token = write_link(self._parts.signer, CHECK_IN, link)
        shown = {"advice": voice.advice(level, now), "saved": saved, "token": token}
        return self._door.page("client_advice.html", 200, {}, **said, **shown, alone=level is Level.EMERGENCY)

    def _save(self, link: Link, follows: Finished) -> Answered:
        with self._parts.store.write() as connection:
            now = self._parts.now()
            return answer_check_in(connection, self._catalogue.protocols, link, follows.answers, now)

    def _nothing_asked(self, link: Link, clinic: Clinic) -> Response:
        return self._door.page(
            "client_contact.html",
            200,
            {},
            name=_name(clinic),
            why=_NOTHING_ASKED,
            phone=phone_link(clinic.phone),
            reply_to=clinic.reply_to,
            lines=(),
            urgent_line=clinic.urgent_line_name,
            urgent_number=phone_link(clinic.urgent_line_number),
            emergency_number=phone_link(clinic.emergency_number),
            stop=write_link(self._parts.signer, STOP, link),
        )


def _fields(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form. Raises BadInput for bytes that are none."""
    try:
        text = body.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise BadInput("this is not a form", field="answers", next_step="Open the link again.") from error


def _question(asked: Asked, speech: Speech, day: int, *, stops: bool) -> dict[str, Any]:
    """One question as its page shows it. stops: the list is read before the button that denies all of it."""
    question, words, form = asked.question, speech.words.questions[asked.question.key], speech.form
    given = asked.answers.get(question.key, ())
    offered = [answer.key for answer in question.answers if day >= answer.from_day or answer.key in given]
    both = asked.with_next
    return {
        "fields": {"at": AT, "go": GO},
        "buttons": Button,
        "asked": asked,
        "question": words,
        "options": [*offered, *(option for option in question.options[len(question.answers) + 1 :])],
        "given": given,
        "hidden": [(key, one) for key, chosen in asked.answers.items() if key != question.key for one in chosen],
        "progress": form["progress"].replace("{number}", str(asked.number)).replace("{total}", str(asked.total)),
        "why": form["why"].replace("{why}", words.why),
        "tick": form["tick"].replace("{next}", form["next"]),
        "both": [(one, speech.words.questions[one.key]) for one in (question, both)] if both else [],
        "stops": stops,
    }


def _name(clinic: Clinic) -> str:
    return clinic.sender_name or clinic.name
