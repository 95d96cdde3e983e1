"""Other machines on this one: network namespaces, each with its own loopback and one cable to us that can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """One namespace. link: our end of its cable. here: our address as it sees it."""

    name: str
    link: str
    here: str

    @property
    def under(self) -> tuple[str, ...]:
        """What runs a program there; it keeps its process id."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Pull the cable: nobody is told, packets are lost."""
        _ip("link", "set", self.link, "down")

    def heal(self) -> None:
        _ip("link", "set", self.link, "up")


@contextmanager
def hosts(number: int) -> Iterator[list[Host]]:
    """So many hosts, gone at the end with their cables. Needs root and iproute2."""
    assert os.geteuid() == 0, "network namespaces need root"
    assert shutil.which("ip"), "network namespaces need ip (Debian: apt-get install iproute2)"
    with ExitStack() as stack:
        yield [_host(stack, place) for place in range(number)]


def _host(stack: ExitStack, place: int) -> Host:
    # 198.18.0.0/15 is set aside for tests of networks (RFC 2544): nobody's real addresses.
    net = f"198.18.{os.getpid() % 250}"
    here, there = f"{net}.{4 * place + 1}", f"{net}.{4 * place + 2}"
    host = Host(f"aftercare-{os.getpid()}-{place}", f"ac{os.getpid()}h{place}", here)
    _ip("netns", "add", host.name)
    stack.callback(_ip, "netns", "delete", host.name)
    _ip("link", "add", host.link, "type", "veth", "peer", "name", "cable", "netns", host.name)
    stack.callback(_ip, "link", "delete", host.link)
    _ip("address", "add", f"{here}/30", "dev", host.link)
    host.heal()
    for words in (("link", "set", "lo", "up"), ("address", "add", f"{there}/30", "dev", "cable")):
        _ip("-n", host.name, *words)
    _ip("-n", host.name, "link", "set", "cable", "up")
    return host


def _ip(*words: str) -> None:
    ended = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"ip {' '.join(words)}: {ended.stderr}"
