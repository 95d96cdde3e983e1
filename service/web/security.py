"""What every answer of the web carries and every request must pass: security headers, host check, no TRACE.

Written as plain ASGI around the whole application, so that errors and unknown pages carry the same headers.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

#: For HTML that strangers wrote: nothing is loaded, run or sent; shown only inside our own pages or alone.
_FOREIGN = ("default-src 'none'", "style-src 'unsafe-inline'", "base-uri 'none'", "form-action 'none'")
FOREIGN_HTML_POLICY = "; ".join((*_FOREIGN, "frame-ancestors 'self'", "sandbox"))

_NOT_OUR_NAME = (
    "This server does not answer under that name. On its own machine it is http://127.0.0.1 with the port of\n"
    "AFTERCARE_BIND; from another machine use `ssh -L 8025:127.0.0.1:8025 SERVER` and open http://127.0.0.1:8025/.\n"
    "For a name of its own see AFTERCARE_PUBLIC_URL.\n"
)
_REFUSED_METHODS = frozenset({"TRACE", "TRACK", "CONNECT"})


class Secured:
    """The outermost layer; a route's own header wins over HEADERS.

    hosts: names under which a browser may ask: another site's name that points here gets nothing (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = LOOPBACK_HOSTS) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_secured(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _add_headers(MutableHeaders(scope=message), scope)
            await send(message)

        try:
            await (self._refusal(scope) or self._app)(scope, receive, send_secured)
        except Exception as error:
            # One request's failure ends here; its words may be personal, so only type and place are logged.
            logging.getLogger(__name__).error("a request failed: %s at %s", type(error).__name__, _place(error))
            if begun:
                raise
            sorry = PlainTextResponse("Something went wrong here. It has been written to the log.\n", 500)
            await sorry(scope, receive, send_secured)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        if scope["method"] in _REFUSED_METHODS:
            return PlainTextResponse("This method is not allowed.\n", 405, {"Allow": "GET, HEAD, POST"})
        if host_name(Headers(scope=scope).get("host", "")) not in self._hosts:
            return PlainTextResponse(_NOT_OUR_NAME, 400)
        return None


def host_name(header: str) -> str:
    """The name in a Host header, without the port, in small letters; "" if it is none."""
    if header.startswith("["):
        name, bracket, port = header[1:].partition("]")
        well_formed = bracket and (not port or (port.startswith(":") and port[1:].isdecimal()))
    else:
        name, colon, port = header.partition(":")
        well_formed = not colon or port.isdecimal()
    return name.lower() if well_formed else ""


def _add_headers(headers: MutableHeaders, scope: Scope) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if scope["scheme"] == "https":
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "nowhere"
