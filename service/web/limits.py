"""What strangers may ask of us, and how much: a rate for each address, small forms of one field, the public paths.

Bounded in time and memory whatever arrives; refuses to know what a form is for.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.clock import passed
from service.web.security import LOOPBACK_HOSTS

MOST_BODY = 10_000  # bytes; a form of ours has some dozens
#: What somebody who is not on this machine may ask for.
PUBLIC_PATHS = ("/s/", "/n/", "/t/", "/c/", "/static/", "/healthz", "/readyz")
Field = tuple[bytes, bytes]


class RateLimit:
    """A burst of requests from one address, then so many a second. Remembers at most `known` addresses."""

    def __init__(
        self, burst: int = 60, per_second: float = 1.0, known: int = 4096, seconds: Callable[[], float] = passed
    ) -> None:
        self._burst, self._per_second, self._known, self._seconds = burst, per_second, known, seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds until this address may ask again; 0: now, and that counts as asked."""
        now, asker = self._seconds(), _network(address)
        left, at = self._left.pop(asker, (float(self._burst), now))
        left = min(left + (now - at) * self._per_second, float(self._burst))
        admitted = left >= 1
        self._left[asker] = (left - 1 if admitted else left, now)
        if len(self._left) > self._known:
            self._left.popitem(last=False)
        return 0 if admitted else math.ceil((1 - left) / self._per_second)

    @property
    def remembered(self) -> int:
        return len(self._left)


def _network(address: str) -> str:
    """What counts as one asker: an IPv4 address, or the 64 bits that one holder of IPv6 addresses shares."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if found.version == 4 or found.ipv4_mapped:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


async def refused_form(request: Request, fields: Collection[Field]) -> int:
    """0 for a form with exactly one of these fields, else the status it is refused with. Reads MOST_BODY at most."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return 415
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or len(said) > 9 or int(said) > MOST_BODY:
        return 413
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                return 413
    except ClientDisconnect:
        return 400  # half a form is no wish
    return 0 if _one_field(body, multipart=kind.startswith("multipart")) in fields else 400


_PART = re.compile(
    rb"--(?P<mark>[^\r\n]{1,70})\r?\n(?:[^\r\n]+\r?\n){0,5}?"
    rb'(?i:content-disposition): *form-data; *name="?(?P<name>[A-Za-z-]{1,40})"?\r?\n(?:[^\r\n]+\r?\n){0,5}?'
    rb"\r?\n(?P<value>[^\r\n]{0,100})\r?\n--(?P=mark)--\s*"
)


def _one_field(body: bytes, *, multipart: bool) -> Field | None:
    """The only field of a form, None if it has none, several, or is no form."""
    if multipart:
        found = _PART.fullmatch(body)
        return (found["name"], found["value"]) if found else None
    try:
        pairs = parse_qsl(body.strip(), keep_blank_values=True, strict_parsing=True, max_num_fields=1)
    except ValueError:
        return None
    return pairs[0] if pairs else None


class PublicDoor:
    """Who comes from elsewhere, through the proxy, gets PUBLIC_PATHS and nothing else: no inbox, no figures."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(PUBLIC_PATHS) and not _from_here(scope):
            await PlainTextResponse("There is no such page.\n", 404)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _from_here(scope: Scope) -> bool:
    return scope.get("client") is not None and scope["client"][0] in LOOPBACK_HOSTS
