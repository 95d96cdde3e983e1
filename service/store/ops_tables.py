"""What the installation knows about itself: who worked when, when nothing could be sent, whom it told, what it owes.

Concerns no clinic and no client: these tables carry no personal data.
"""

from __future__ import annotations

import sqlalchemy as sa

from service.store.columns import Id, metadata
from service.store.engine import Instant

#: One row a worker. last_at: its last good round; trouble: why the newest one was none, "" if it was.
beats = sa.Table(
    "beats",
    metadata,
    sa.Column("worker", sa.String(64), primary_key=True),
    sa.Column("began_at", Instant, nullable=False),
    sa.Column("last_at", Instant),
    sa.Column("tried_at", Instant, nullable=False),
    sa.Column("trouble", sa.String(300), nullable=False, server_default=""),
)

_OPEN_OUTAGE = "ended_at IS NULL"
#: When nothing could be sent. began_at: the last instant known to be good. At most one is open.
outages = sa.Table(
    "outages",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("began_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("cause", sa.String(300), nullable=False),
    sa.Column("note", sa.String(1000)),
    sa.CheckConstraint("kind IN ('down', 'relay')", name="kind"),
    sa.Index(
        "uq_outages_open",
        "kind",
        unique=True,
        sqlite_where=sa.text(_OPEN_OUTAGE),
        postgresql_where=sa.text(_OPEN_OUTAGE),
    ),
)

_OPEN_ALERT = "closed_at IS NULL"
#: What people are told by the second channel. key: what it is about, one open alert each.
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("words", sa.String(500), nullable=False),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("told_at", Instant),
    sa.Column("closed_at", Instant),
    sa.Column("end_told_at", Instant),
    sa.Index(
        "uq_alerts_open",
        "key",
        unique=True,
        sqlite_where=sa.text(_OPEN_ALERT),
        postgresql_where=sa.text(_OPEN_ALERT),
    ),
)

#: What one worker does for all, once a period. done_for: the period done last; the lease runs on the database's clock.
duties = sa.Table(
    "duties",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("done_for", sa.String(40), nullable=False, server_default=""),
    sa.Column("lease_token", sa.String(32)),
    sa.Column("lease_until", Instant),
)

#: One row a mark of the last minutes, by the database's clock: the relay's limit counts them.
paces = sa.Table(
    "paces",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", Instant, nullable=False, index=True),
)

#: Tries to sign in of the last minutes. account, address: digests of what was typed and of where it came from.
sign_in_tries = sa.Table(
    "sign_in_tries",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", Instant, nullable=False, index=True),
    sa.Column("account", sa.String(32), nullable=False),
    sa.Column("address", sa.String(32), nullable=False),
)

#: They belong to the installation, so no clinic can own them.
OPERATIONAL = (beats, outages, alerts, duties, paces, sign_in_tries)
