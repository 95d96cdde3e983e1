"""The only place that builds things: settings -> store, words, signer, clock, relay. Importing it has no effect."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from service.clock import Clock, running_from, stopped_at, wall_clock
from service.errors import BadConfiguration, NotAllowed
from service.settings import LOOPBACK, Settings
from service.store.engine import Store, make_private
from service.store.lists import newest_record
from service.store.schema import require_current

log = structlog.get_logger()

if TYPE_CHECKING:
    from service.actions.deliver import Delivery, Route
    from service.mail.catalogue import Catalogue
    from service.mail.relay import RelayAddress
    from service.mail.signing import Signer


@dataclass(frozen=True)
class Service:
    """One installation: what every door needs. Parts that are slow to import are built when first asked for."""

    settings: Settings
    store: Store

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir

    @property
    def maildir(self) -> Path:
        return self.data_dir / "caught"

    @property
    def locks(self) -> Path:
        return self.data_dir / "workers"

    @cached_property
    def catalogue(self) -> Catalogue:
        from service.mail.catalogue import Catalogue  # noqa: PLC0415

        return Catalogue.load()

    @cached_property
    def signer(self) -> Signer:
        from service.mail.signing import Signer, load_or_make_key  # noqa: PLC0415

        if self.settings.secret_key is not None:
            ring = self.settings.secret_key.get_secret_value().split(",")
            return Signer([key.strip().encode() for key in ring])
        return Signer(load_or_make_key(self.data_dir / "secret.key"))

    def clock(self) -> Clock:
        """The clock of one command or tick: --now in trial mode, else the database's, running on from this moment."""
        if self.settings.now is not None:
            return stopped_at(read_instant(self.settings.now))
        return running_from(self.store.now()) if not self.store.is_sqlite else wall_clock

    def now(self) -> datetime:
        return self.clock()()


def read_instant(raw: str) -> datetime:
    """An ISO 8601 instant with its zone. Raises BadConfiguration otherwise."""
    try:
        instant = datetime.fromisoformat(raw)
    except ValueError as error:
        raise BadConfiguration(
            f"{raw!r} is not an instant", field="now", next_step="Write it like 2026-11-21T10:00:00Z."
        ) from error
    if instant.tzinfo is None:
        raise BadConfiguration(f"{raw!r} has no zone", field="now", next_step="Add Z or an offset like +01:00.")
    return instant


@contextmanager
def open_service(settings: Settings, *, migrated: bool = True) -> Iterator[Service]:
    """An open service; closed in reverse at the end. migrated: refuse a database that is not of this version."""
    if settings.now is not None:
        read_instant(settings.now)
    make_private(settings.data_dir)
    store = Store(settings.database)
    try:
        if migrated:
            require_current(store)
        yield Service(settings, store)
    finally:
        store.close()


def relay_address(settings: Settings) -> RelayAddress | None:
    """The configured relay, None if mail goes to the catcher."""
    from service.mail.relay import RelayAddress  # noqa: PLC0415

    if settings.relay_host is None:
        return None
    password = settings.relay_password
    return RelayAddress(
        host=settings.relay_host,
        port=settings.relay_port,
        username=settings.relay_username,
        password=password.get_secret_value() if password else None,
        tls=settings.relay_tls,
        ca_file=settings.relay_ca_file,
        connect_timeout=settings.relay_connect_timeout,
        reply_timeout=settings.relay_reply_timeout,
        dot_timeout=settings.relay_dot_timeout,
        session_timeout=settings.relay_session_timeout,
    )


@asynccontextmanager
async def post_office(service: Service) -> AsyncIterator[Route]:
    """Which relay takes which address. In trial mode only allow-listed addresses leave; the catcher takes the rest."""
    from service.mail.catcher import Catcher  # noqa: PLC0415

    settings, real = service.settings, relay_address(service.settings)
    if settings.live:
        if real is None:
            raise BadConfiguration(
                "live mode needs a mail relay", field="AFTERCARE_RELAY_HOST", next_step="Set AFTERCARE_RELAY_HOST."
            )
        yield lambda _: real
        return
    allowed = settings.allowed_in_trial
    async with Catcher(service.maildir) as catcher:
        caught = _catcher_address(catcher.host, catcher.port)

        def route(address: str) -> RelayAddress:
            folded = address.lower()
            may_leave = folded in allowed or folded.partition("@")[2] in allowed
            return real if real is not None and may_leave else caught

        yield route


def _catcher_address(host: str, port: int) -> RelayAddress:
    from service.mail.relay import RelayAddress  # noqa: PLC0415

    return RelayAddress(host=host, port=port, username=None, password=None, tls="none", ca_file=None)


@contextmanager
def worker_lock(service: Service, *, alone: bool) -> Iterator[str]:
    """A worker name for this process, locked while it lives. alone: refuse while another worker lives here."""
    from service.actions.upkeep import WorkerLock, is_held  # noqa: PLC0415

    name = f"{socket.gethostname()[:32]}-{secrets.token_hex(6)}"
    lock = WorkerLock(service.locks, name)
    # Locked first, looked second: of two that start at once neither can miss the other.
    others = [path for path in service.locks.glob("*.lock") if path.stem != name and is_held(path)]
    if alone and others:
        lock.close()
        raise NotAllowed(
            "another worker is running on this data folder",
            field="now",
            next_step="Stop it first: a moved clock and a running worker do not go together.",
        )
    try:
        yield name
    finally:
        lock.close()


def require_ready(service: Service) -> None:
    """Live mode starts only when every clinic is complete and every text in use is approved."""
    from service.actions.words import unapproved  # noqa: PLC0415
    from service.store import clinics  # noqa: PLC0415

    if not service.settings.live:
        return
    faults = []
    with service.store.read() as connection:
        for clinic in clinics.every(connection):
            faults += [f"clinic {clinic.id} has no {field}" for field in clinic.missing]
            faults += [
                f"clinic {clinic.id}: {text.protocol}/{text.name} ({text.language}) is not approved"
                for text in unapproved(connection, service.catalogue, clinic)
            ]
    if faults:
        raise BadConfiguration(
            f"live mode cannot start: {'; '.join(faults)}",
            field="AFTERCARE_MODE",
            next_step="Use `aftercare clinic set …` and `aftercare texts approve …`, or stay in trial mode.",
        )


def bind_address(settings: Settings) -> tuple[str, int]:
    """Host and port of the pages. Raises BadConfiguration for an address others could reach without https."""
    host, _, port = settings.bind.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise BadConfiguration(
            f"{settings.bind!r} is not HOST:PORT", field="AFTERCARE_BIND", next_step="Write it like 127.0.0.1:8025."
        )
    if host.strip("[]") not in LOOPBACK:
        raise BadConfiguration(
            f"AFTERCARE_BIND={settings.bind} would show clients' mail to other machines without https",
            field="AFTERCARE_BIND",
            next_step="Bind to 127.0.0.1 and put a web server with https in front.",
        )
    return host.strip("[]"), int(port)


def warn_if_earlier(service: Service) -> None:
    """Say when a moved clock is earlier than what is recorded: times in the lists will look odd."""
    if service.settings.now is None:
        return
    with service.store.read() as connection:
        newest = newest_record(connection)
    if newest is not None and service.now() < newest:
        log.warning("--now is earlier than what is recorded", now=str(service.now()), recorded=str(newest))


def delivery(service: Service, route: Route, worker: str) -> Delivery:
    """A worker's delivery over this service's store, words and relay."""
    from service.actions.deliver import Delivery, Rules  # noqa: PLC0415
    from service.actions.prepare import Preparer  # noqa: PLC0415
    from service.actions.shelf import Shelf  # noqa: PLC0415
    from service.actions.upkeep import Upkeep, free_locks  # noqa: PLC0415
    from service.actions.writing import Writer  # noqa: PLC0415

    settings = service.settings
    shelf = Shelf(service.catalogue, drafts_count=not settings.live)

    def lost_workers(names: Sequence[str]) -> Sequence[str]:
        # Other machines' locks cannot be seen from here; on PostgreSQL only the lease counts.
        return free_locks(service.locks, names) if service.store.is_sqlite else []

    return Delivery(
        store=service.store,
        preparer=Preparer(shelf, Writer(service.signer)),
        upkeep=Upkeep(dict(service.catalogue.protocols), settings.doubt_retries, lost_workers),
        route=route,
        rules=Rules(worker, settings.doubt_retries, settings.lease_seconds, settings.relay_connections),
    )
