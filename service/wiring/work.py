"""A worker: its name, its lock, its delivery."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from service.errors import NotAllowed

if TYPE_CHECKING:
    from service.actions.deliver import Delivery, Route
    from service.actions.digest_mail import DigestDuty
    from service.actions.shelf import Shelf
    from service.actions.watch import Watch
    from service.wiring import Service


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


def shelf(service: Service) -> Shelf:
    """The words that count in this mode: approved ones, in trial mode drafts too."""
    from service.actions.shelf import Shelf  # noqa: PLC0415

    return Shelf(service.catalogue, drafts_count=not service.settings.live)


def delivery(service: Service, route: Route, worker: str) -> Delivery:
    """A worker's delivery over this service's store, words and relay."""
    from service.actions.book import Rules  # noqa: PLC0415
    from service.actions.deliver import Delivery  # noqa: PLC0415
    from service.actions.lockout import Lockout  # noqa: PLC0415
    from service.actions.prepare import Preparer  # noqa: PLC0415
    from service.actions.upkeep import Upkeep, free_locks  # noqa: PLC0415
    from service.actions.writing import Writer  # noqa: PLC0415

    settings = service.settings
    writer = Writer(service.signer, settings.public_url, settings.stop_domain)

    def lost_workers(names: Sequence[str]) -> Sequence[str]:
        # Other machines' locks cannot be seen from here; on PostgreSQL only the lease counts.
        return free_locks(service.locks, names) if service.store.is_sqlite else []

    return Delivery(
        store=service.store,
        preparer=Preparer(shelf(service), writer, _return_address(service)),
        upkeep=Upkeep(dict(service.catalogue.protocols), settings.doubt_retries, lost_workers),
        route=route,
        rules=Rules(
            worker,
            settings.doubt_retries,
            settings.lease_seconds,
            settings.relay_connections,
            settings.relay_per_minute,
        ),
        lockout=Lockout(service.store, _relay_key(service)),
    )


def _relay_key(service: Service) -> str:
    """Another one for other settings of the relay; the password cannot be guessed from it."""
    settings = service.settings
    password = settings.relay_password.get_secret_value() if settings.relay_password else ""
    said = (settings.relay_host, settings.relay_port, settings.relay_username, password)
    return service.signer.fingerprint("relay", repr(said))


def _return_address(service: Service) -> Callable[[int], str] | None:
    """The envelope's sender by e-mail id: signed, so that a report which comes back proves whose it is."""
    domain = service.settings.bounce_domain
    if domain is None:
        return None
    return lambda email_id: f"{service.signer.bounce_local_part(str(email_id))}@{domain}"


def watch(service: Service, worker: str) -> Watch:
    """A worker's watch over its rounds, with the channels that the settings name."""
    from service.actions.watch import DOWN_AFTER, Watch  # noqa: PLC0415

    webhook, heartbeat = service.settings.alert_webhook, service.settings.heartbeat_url
    return Watch(
        store=service.store,
        worker=worker,
        webhook=webhook.get_secret_value() if webhook else None,
        heartbeat_url=heartbeat.get_secret_value() if heartbeat else None,
        down_after=max(DOWN_AFTER, 3 * timedelta(seconds=service.settings.tick_seconds)),
    )


def digest_duty(service: Service, route: Route) -> DigestDuty | None:
    """The morning digest, if somebody is to get one."""
    from service.actions.digest_mail import DigestDuty  # noqa: PLC0415

    settings = service.settings
    if settings.digest_to is None:
        return None
    protocols = service.catalogue.protocols
    return DigestDuty(service.store, route, service.signer, protocols, settings.digest_to, settings.relay_per_minute)
