"""The only place that builds things: settings -> store, words, signer, clock, relay. Importing it has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from service.clock import Clock, running_from, stopped_at, wall_clock
from service.errors import BadConfiguration
from service.settings import Settings
from service.store.engine import Store, make_private
from service.store.schema import require_current
from service.wiring.mailbox import fetching, mailbox_address
from service.wiring.post import post_office, relay_address
from service.wiring.readiness import bind_address, desk_url, public_hosts, require_ready, warn_if_earlier
from service.wiring.work import delivery, digest_duty, shelf, watch, worker_lock

__all__ = [
    "Service",
    "bind_address",
    "delivery",
    "desk_url",
    "digest_duty",
    "fetching",
    "mailbox_address",
    "open_service",
    "post_office",
    "public_hosts",
    "read_instant",
    "relay_address",
    "require_ready",
    "shelf",
    "warn_if_earlier",
    "watch",
    "worker_lock",
]

if TYPE_CHECKING:
    from service.mail.catalogue import Catalogue
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
        # Read once a round: a clock that jumps in the middle of one is noticed before the next.
        return running_from(wall_clock() if self.store.is_sqlite else self.store.now())

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
