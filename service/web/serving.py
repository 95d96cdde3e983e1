"""The web server inside a loop that is not its own: whoever runs it decides about signals.

The daemon that sends e-mails shares its files and its loop: connections that say nothing are ended, and there are only
so many at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from service.errors import Unavailable

#: Connections at once; more are told to come back.
MOST_AT_ONCE = 200


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Unavailable, before anything else has begun, where the address cannot be used."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Unavailable(
            f"the pages cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}",
            field="AFTERCARE_BIND",
            next_step="End what uses that port (a demo, another serve), or set AFTERCARE_BIND=127.0.0.1:8026.",
        ) from None


class Patient(H11Protocol):
    """A connection that is ended when no whole header comes in time. The library waits for ever."""

    #: Seconds for the header, from the connection's beginning or from the answer before it.
    patience = 20.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Begin to wait for a header, go on waiting, or stop because it is here."""
        if self._is_answering():
            self._stop_waiting()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.patience, self._give_up)

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        return cycle is not None and not cycle.response_complete

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()


class Pages(uvicorn.Server):
    """Serves an application until `should_exit`; leaves SIGTERM and SIGINT to the daemon."""

    @classmethod
    def on(cls, app: FastAPI, host: str, port: int, proxies: Sequence[str] = ("127.0.0.1",)) -> Pages:
        """proxies: addresses and networks from which X-Forwarded-For and X-Forwarded-Proto are believed, no others."""
        options: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "server_header": False}
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=Patient,
            limit_concurrency=MOST_AT_ONCE,
            proxy_headers=True,
            forwarded_allow_ips=list(proxies),
            **options,
        )
        return cls(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
