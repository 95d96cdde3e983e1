"""All tables in reading order, with the constraints that keep promises. Instants are UTC; `_on` is a local date.

The clinic, its people and its words stand here; the outbox and what hangs on it in outbox_tables.py, what the
installation knows about itself in ops_tables.py, how staff get in in staff_tables.py.
"""

from __future__ import annotations

import sqlalchemy as sa

from service.store.columns import Id, Kind, Role, metadata, of_clinic, one_of
from service.store.engine import Instant
from service.store.ops_tables import OPERATIONAL, alerts, beats, duties, outages, paces, sign_in_tries
from service.store.outbox_tables import (
    APPEND_ONLY,
    LEASED,
    WAITING,
    attempts,
    audit,
    calls,
    emails,
    shared_facts,
    suppressions,
)
from service.store.staff_tables import sign_in_links, staff_sessions

__all__ = [
    "APPEND_ONLY",
    "LEASED",
    "OPERATIONAL",
    "WAITING",
    "Kind",
    "Role",
    "alerts",
    "attempts",
    "audit",
    "beats",
    "calls",
    "client_words",
    "clients",
    "clinics",
    "duties",
    "emails",
    "metadata",
    "one_of",
    "outages",
    "paces",
    "shared_facts",
    "sign_in_links",
    "sign_in_tries",
    "staff",
    "staff_sessions",
    "suppressions",
    "texts",
    "treatments",
]

clinics = sa.Table(
    "clinics",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("sender_name", sa.String(100), nullable=False, server_default=""),
    sa.Column("from_address", sa.String(254), nullable=False, server_default=""),
    sa.Column("reply_to", sa.String(254), nullable=False, server_default=""),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("send_at", sa.String(5), nullable=False, server_default="10:00"),
    sa.Column("language", sa.String(35), nullable=False, server_default="en"),
    sa.Column("phone", sa.String(32), nullable=False, server_default=""),
    sa.Column("hours", sa.String(500), nullable=False, server_default=""),
    sa.Column("emergency_number", sa.String(32), nullable=False, server_default=""),
    sa.Column("urgent_line_name", sa.String(100), nullable=False, server_default=""),
    sa.Column("urgent_line_number", sa.String(32), nullable=False, server_default=""),
    sa.Column("wash_advice", sa.String(300), nullable=False, server_default=""),
    sa.Column("daily_cap", sa.Integer),
    # Staff of this clinic sign in with a second factor.
    sa.Column("asks_code", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", Instant, nullable=False),
)

staff = sa.Table(
    "staff",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("disabled_at", Instant),
    # Argon2id with its parameters; none until the one-time link was used.
    sa.Column("password", sa.String(200)),
    # The second factor's secret, sealed with the installation's key, and the last time step that was used up.
    sa.Column("code_secret", sa.String(200)),
    sa.Column("code_step", sa.BigInteger, nullable=False, server_default="0"),
    one_of("role", Role),
    sa.UniqueConstraint("clinic_id", "email"),
)

clients = sa.Table(
    "clients",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("name_folded", sa.String(400), nullable=False),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("email_folded", sa.String(254), nullable=False),
    sa.Column("phone", sa.String(32), nullable=False, server_default=""),
    sa.Column("language", sa.String(35), nullable=False),
    sa.Column("client_ref", sa.String(100), nullable=False, server_default=""),
    sa.Column("guardian", sa.String(200), nullable=False, server_default=""),
    sa.Column("consent_on", sa.Date),
    sa.Column("consent_by", sa.String(254), nullable=False, server_default=""),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("stopped_at", Instant),
    sa.Column("paused_at", Instant),
    sa.Column("erased_at", Instant),
    # The same person twice is one client, whoever asks and however often.
    sa.Index(
        "uq_clients_person",
        "clinic_id",
        "email_folded",
        "name_folded",
        "client_ref",
        unique=True,
        sqlite_where=sa.text("erased_at IS NULL"),
        postgresql_where=sa.text("erased_at IS NULL"),
    ),
    sa.Index(
        "uq_clients_ref",
        "clinic_id",
        "client_ref",
        unique=True,
        sqlite_where=sa.text("client_ref <> '' AND erased_at IS NULL"),
        postgresql_where=sa.text("client_ref <> '' AND erased_at IS NULL"),
    ),
)

#: The folded words of each client's name, for the search by word beginnings.
client_words = sa.Table(
    "client_words",
    metadata,
    sa.Column("clinic_id", Id, sa.ForeignKey("clinics.id"), primary_key=True),
    sa.Column("word", sa.String(100), primary_key=True),
    sa.Column("client_id", Id, sa.ForeignKey("clients.id"), primary_key=True),
    sa.Index("ix_client_words_client_id", "client_id"),
    sqlite_with_rowid=False,
)

treatments = sa.Table(
    "treatments",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
    sa.Column("client_id", Id, sa.ForeignKey("clients.id"), nullable=False),
    sa.Column("protocol", sa.String(64), nullable=False),
    sa.Column("area", sa.String(64), nullable=False),
    sa.Column("treated_on", sa.Date, nullable=False),
    sa.Column("treated_at", sa.String(5), nullable=False, server_default=""),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("created_by", sa.String(254), nullable=False),
    sa.Column("cancelled_at", Instant),
    sa.Index(
        "uq_treatments_once",
        "client_id",
        "protocol",
        "treated_on",
        unique=True,
        sqlite_where=sa.text("cancelled_at IS NULL"),
        postgresql_where=sa.text("cancelled_at IS NULL"),
    ),
)

texts = sa.Table(
    "texts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
    sa.Column("protocol", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("language", sa.String(35), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("created_by", sa.String(254), nullable=False),
    sa.Column("approved_at", Instant),
    sa.Column("approved_by", sa.String(254)),
    sa.Column("review_by", sa.Date),
    sa.Column("withdrawn_at", Instant),
    sa.UniqueConstraint("clinic_id", "protocol", "name", "language", "version"),
    sa.CheckConstraint(
        "(approved_at IS NULL) = (approved_by IS NULL) AND (approved_at IS NULL) = (review_by IS NULL)", name="approval"
    ),
)
