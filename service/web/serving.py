"""The web server inside a loop that is not its own: whoever runs it decides about signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI


class Pages(uvicorn.Server):
    """Serves an application until `should_exit`; leaves SIGTERM and SIGINT to the daemon."""

    @classmethod
    def on(cls, app: FastAPI, host: str, port: int, proxies: Sequence[str] = ("127.0.0.1",)) -> Pages:
        """proxies: addresses and networks from which X-Forwarded-For and X-Forwarded-Proto are believed, no others."""
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=list(proxies),
        )
        return cls(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
