"""Where the relay is: host, port, security, patience; how its port is reached and what a certificate must prove.

Refuses TLS below 1.2 and unverified certificates: there is no switch for that.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class RelayAddress:
    """Where the relay is and how to speak to it. Time-outs in seconds. ca_file None: the system's authorities."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: Path | None = None
    connect_timeout: float = 30.0
    reply_timeout: float = 300.0
    dot_timeout: float = 600.0
    session_timeout: float = 900.0
    local_hostname: str | None = None

    @property
    def may_log_in(self) -> bool:
        """A password travels encrypted, or not beyond this machine."""
        return self.tls != "none" or self.host == "localhost" or _is_loopback(self.host)


async def reach(address: RelayAddress) -> socket.socket:
    """A connected socket. A place that does not answer leaves the other places of that name their share of time."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(address.connect_timeout):
        places = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    problem = OSError("no address")
    for family, kind, protocol, _, place in places:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(address.connect_timeout / len(places)):
                await loop.sock_connect(sock, place)
        except OSError as failed:
            sock.close()
            problem = failed
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificate and name are verified. Raises OSError (ssl.SSLError is one) if the file is missing or no PEM."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
