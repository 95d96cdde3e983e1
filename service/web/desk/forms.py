"""A form as it came: single values by name, never an error for what is missing. Bounded before it is read."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service.errors import AftercareError

#: Seconds for a body to come.
PATIENCE, UPLOAD_PATIENCE = 20, 120
MOST_BODY = 300_000  # bytes; the longest text of an e-mail is a tenth of it
MOST_FIELDS = 500
CSRF = "csrf"
_NEVER_BACK = (CSRF, "code", "sealed")


@dataclass(frozen=True)
class Form:
    """Names and values in their order; the first value of a name counts. upload: an uploaded file's name and bytes."""

    pairs: Sequence[tuple[str, str]] = ()
    upload: tuple[str, bytes] | None = None

    def __getitem__(self, name: str) -> str:
        return next((value for key, value in self.pairs if key == name), "")

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def kept(self) -> list[tuple[str, str]]:
        """What comes back after signing in again: everything but our own proof and what nobody may see again."""
        return [(key, value) for key, value in self.pairs if key not in _NEVER_BACK and "password" not in key]

    def typed(self) -> dict[str, str]:
        """What was typed, by name, without our own proof: to show a form again as it was."""
        return {key: value for key, value in reversed(self.pairs) if key != CSRF}


def sentence(error: AftercareError) -> str:
    """What is wrong and what to do, as it stands on a page."""
    return f"{error.message[:1].upper()}{error.message[1:]}. {error.next_step or ''}".strip()


def beside(errors: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The sentence that stands beside each field; nothing beside the others."""
    return defaultdict(str, errors)


class Refused(Exception):
    """A body that is not read to its end. status: of the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def read_form(request: Request, most: int = MOST_BODY) -> Form:
    """The posted form. most: bytes. Raises Refused for another kind of body, too much of one, or one that drips."""
    try:
        async with asyncio.timeout(PATIENCE if most <= MOST_BODY else UPLOAD_PATIENCE):
            return await _read_form(request, most)
    except TimeoutError as error:
        raise Refused(408) from error


async def _read_form(request: Request, most: int) -> Form:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or len(said) > 12 or int(said) > most:
        raise Refused(413)
    if kind == "multipart/form-data" and most > MOST_BODY:
        return await _read_upload(request, most)
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise Refused(413)
    except ClientDisconnect as error:
        raise Refused(400) from error
    if not body:
        return Form()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415)
    try:
        words = body.decode("ascii", "strict")
        pairs = parse_qsl(words, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise Refused(400) from error
    return Form(tuple((name, _lines(value)) for name, value in pairs))


async def _read_upload(request: Request, most: int) -> Form:
    """A form with one file. Counted while it comes: what the header announced need not be what is sent."""
    from starlette.datastructures import UploadFile  # noqa: PLC0415 - only uploads need the parser
    from starlette.formparsers import MultiPartException  # noqa: PLC0415

    came = 0

    async def receive() -> Message:
        nonlocal came
        message = await request.receive()
        came += len(message.get("body", b""))
        if came > most:
            raise MultiPartException("too much")
        return message

    try:
        given = await Request(request.scope, receive).form(max_files=1, max_fields=MOST_FIELDS, max_part_size=most)
    except (HTTPException, MultiPartException, ClientDisconnect) as error:
        raise Refused(413 if came > most else 400) from error
    pairs, upload = [], None
    try:
        for name, value in given.multi_items():
            if isinstance(value, UploadFile):
                upload = (value.filename or "", await value.read(most))
            else:
                pairs.append((name, _lines(value)))
    finally:
        await given.close()
    return Form(tuple(pairs), upload)


def _lines(value: str) -> str:
    """Browsers end lines with CRLF; everywhere else they end with LF. No text of a person's holds a NUL."""
    return value.replace("\r\n", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}")
