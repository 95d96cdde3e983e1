"""Connections that say nothing must not use up what the daemon needs to send."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from fastapi import FastAPI

from service.errors import Unavailable
from service.web.serving import Pages, Patient, listen
from tests.support.processes import free_port


class Hasty(Patient):
    patience = 0.05


async def _talk(said: bytes) -> bytes:
    """What is answered to this before the connection is ended from the other side."""
    port = free_port()
    server = Pages(uvicorn.Config(FastAPI(), port=port, http=Hasty, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - the library sets a flag, no event
            await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return answer
    finally:
        server.should_exit = True
        await serving


def test_half_a_header_ends_the_connection() -> None:
    assert asyncio.run(_talk(b"GET / HTTP/1.1\r\nHost: x\r\n")) == b""


def test_silence_ends_the_connection() -> None:
    assert asyncio.run(_talk(b"")) == b""


def test_half_a_header_after_an_answer_ends_the_connection_too() -> None:
    answer = asyncio.run(_talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"))
    assert answer.count(b"404 Not Found") == 1


def test_a_port_that_is_taken_is_told_before_anything_begins() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(Unavailable, match="Address already in use") as refusal:
        listen("127.0.0.1", taken.getsockname()[1])
    assert refusal.value.field == "AFTERCARE_BIND"
