"""The cookie of a session: token, when it was last seen, our proof of that. No page has to be written to keep it alive.

On https it is a __Host- cookie; on plain http, which only this machine can speak to us, browsers would refuse that.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from service.actions.sign_in import IDLE
from service.mail.signing import Signer

_USE = "session"
#: A cookie is made new at most so often.
RENEW_AFTER = timedelta(minutes=1)


class Cookie:
    """Reads and writes the session's cookie."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def set(self, request: Request, response: Response, token: str, now: datetime) -> None:
        seen = str(int(now.timestamp()))
        value = f"{token}.{seen}.{self._signer.mac(_USE, f'{token}.{seen}')}"
        response.set_cookie(_name(request), value, path="/", secure=_is_https(request), httponly=True, samesite="lax")

    def clear(self, request: Request, response: Response) -> None:
        response.delete_cookie(_name(request), path="/", secure=_is_https(request), httponly=True, samesite="lax")

    def renew(self, request: Request, response: Response, now: datetime) -> None:
        """Say that this session was seen now, unless the page says something else about it."""
        read = self._read(request)
        if read is None or "set-cookie" in response.headers:
            return
        token, seen = read
        if now - seen > RENEW_AFTER:
            self.set(request, response, token, now)

    def token(self, request: Request, now: datetime) -> str | None:
        """The token, unless it is not ours or was not seen for too long."""
        read = self._read(request)
        if read is None:
            return None
        token, seen = read
        return token if now - seen <= IDLE else None

    def _read(self, request: Request) -> tuple[str, datetime] | None:
        token, _, rest = request.cookies.get(_name(request), "").partition(".")
        seen, _, mac = rest.partition(".")
        if not (seen.isascii() and seen.isdigit() and len(seen) < 12):
            return None
        if not self._signer.wrote(_USE, f"{token}.{seen}", mac):
            return None
        return token, datetime.fromtimestamp(int(seen), UTC)


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https"


def _name(request: Request) -> str:
    return "__Host-aftercare" if _is_https(request) else "aftercare"
