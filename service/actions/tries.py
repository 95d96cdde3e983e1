"""How often somebody may try to get in: counted for an account, for a network address and in all.

The same whether the account exists or not; only digests of both are kept, for minutes.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from service.errors import NotAllowed
from service.store import staff
from service.store.engine import Store

log = structlog.get_logger()
#: So many tries in WINDOW: for one account, from one address, in all.
WINDOW = timedelta(minutes=5)
PER_ACCOUNT, PER_ADDRESS, IN_ALL = 10, 10, 1000


def note_try(store: Store, account: str, address: str, now: datetime) -> None:
    """Count one try. Raises NotAllowed after too many; those that are refused do not count, so waiting helps."""
    counted = _short(account), _short(address)
    with store.write() as connection:
        staff.one_try_at_a_time(connection)
        staff.forget_tries(connection, now - WINDOW)
        counts = staff.tries(connection, *counted, now - WINDOW)
        if all(count < most for count, most in zip(counts, (PER_ACCOUNT, PER_ADDRESS, IN_ALL), strict=True)):
            staff.note_try(connection, *counted, now)
            return
    log.warning("too many tries to sign in", by_account=counts[0], by_address=counts[1], in_all=counts[2])
    raise NotAllowed("there were too many tries", field="password", next_step="Wait five minutes, then try again.")


def forget_try(connection: sa.Connection, account: str, address: str) -> None:
    """Somebody got in: this try counts no more. What went wrong before still does.

    An address may belong to accounts of several clinics: who gets into one of them must not win tries at another.
    """
    staff.forget_try(connection, _short(account), _short(address))


def _short(typed: str) -> str:
    return hashlib.sha256(typed.encode("utf-8", "replace")).hexdigest()[:32]
