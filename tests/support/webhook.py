"""Something that takes alerts and heartbeats on loopback, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """What arrived: bodies of POSTs as JSON, paths of GETs. status: how the next request is answered."""

    port: int = 0
    status: int = 204
    posts: list[Any] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    #: Set at the first POST.
    asked: threading.Event = field(default_factory=threading.Event)
    #: What holds an answer back until it is set.
    answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/top-secret"

    @property
    def told(self) -> list[tuple[str, str]]:
        """(alert, state) of every POST."""
        return [(body["alert"], body["state"]) for body in self.posts]


@contextmanager
def a_webhook() -> Iterator[Webhook]:
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if webhook.status < 300:
                webhook.posts.append(body)
            webhook.asked.set()
            self._answer()

        def do_GET(self) -> None:
            webhook.gets.append(self.path)
            self._answer()

        def _answer(self) -> None:
            webhook.answers.wait(30)
            # A page to sign in is a fine answer, but not to an alert.
            self.send_response(200 if self.path == "/login" else webhook.status)
            if 300 <= webhook.status < 400:
                self.send_header("Location", "/login")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook.port = server.server_address[1]
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield webhook
        finally:
            webhook.answers.set()
            server.shutdown()
            serving.join()
