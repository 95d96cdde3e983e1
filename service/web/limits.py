"""What strangers may ask of us, and how much: a rate for each address, small forms of one field, the public paths.

Bounded in time and memory whatever arrives; refuses to know what a form is for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.clock import passed
from service.web.security import LOOPBACK_HOSTS, host_name

#: Seconds for a body to come.
PATIENCE = 20
MOST_BODY = 10_000  # bytes; a form of ours has some dozens
#: What anybody may ask for.
PUBLIC_PATHS = ("/s/", "/n/", "/t/", "/c/", "/static/", "/healthz", "/readyz")
#: What only this machine may ask for, however it asks.
LOCAL_PATHS = ("/inbox", "/metrics")
#: What a proxy adds, and no browser.
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
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
        now, who = self._seconds(), asker(address)
        left, at = self._left.pop(who, (float(self._burst), now))
        left = min(left + (now - at) * self._per_second, float(self._burst))
        admitted = left >= 1
        self._left[who] = (left - 1 if admitted else left, now)
        if len(self._left) > self._known:
            self._left.popitem(last=False)
        return 0 if admitted else math.ceil((1 - left) / self._per_second)

    @property
    def remembered(self) -> int:
        return len(self._left)


def asker(address: str) -> str:
    """What counts as one asker: an IPv4 address, or the 64 bits that one holder of IPv6 addresses shares."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if found.version == 4 or found.ipv4_mapped:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


async def refused_form(request: Request, fields: Collection[Field]) -> int:
    """0 for a form with exactly one of these fields, else the status it is refused with. Reads MOST_BODY at most."""
    body = await read_body(request, (URLENCODED, MULTIPART))
    if isinstance(body, int):
        return body
    return 0 if _one_field(body, multipart=_kind(request) == MULTIPART) in fields else 400


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, kinds: Collection[str]) -> bytes | int:
    """The body of a form of these content types, or the status it is refused with. Reads MOST_BODY at most."""
    if _kind(request) not in kinds:
        return 415
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or len(said) > 9 or int(said) > MOST_BODY:
        return 413
    body = b""
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    return 413
    except ClientDisconnect:
        return 400  # half a form is no wish
    except TimeoutError:
        return 408
    return body


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
    """Who comes from elsewhere gets PUBLIC_PATHS, and the staff's pages over https alone; never LOCAL_PATHS.

    Where from, and how, says the scope: the web server believes X-Forwarded-* from the proxy it trusts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _may_ask(scope):
            await PlainTextResponse("There is no such page.\n", 404)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _may_ask(scope: Scope) -> bool:
    path: str = scope["path"]
    if path.startswith(LOCAL_PATHS):
        return _from_here(scope) and not _was_passed_on(scope)
    return path.startswith(PUBLIC_PATHS) or scope["scheme"] == "https" or _from_here(scope)


def _was_passed_on(scope: Scope) -> bool:
    """Whether a proxy says that it asks for somebody else; believed or not, and whatever name it asks by."""
    headers = Headers(scope=scope)
    return any(name in headers for name in _PASSED_ON)


def _from_here(scope: Scope) -> bool:
    """Whether it comes from this machine and asks for it: what a proxy passes on carries its public name."""
    if scope.get("client") is None or scope["client"][0] not in LOOPBACK_HOSTS:
        return False
    return host_name(Headers(scope=scope).get("host", "")) in LOOPBACK_HOSTS
