"""All tables in reading order, with the constraints that keep promises. Instants are UTC; `_on` is a local date.

Every table carries clinic_id: reads and writes are scoped by it (P9), and a cluster can shard by it.
"""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

from service.domain.reminder import State
from service.store.engine import Instant

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Kind(StrEnum):
    """What an outgoing e-mail is for."""

    REMINDER = "reminder"
    CATCH_UP = "catch_up"
    HELLO = "hello"
    NOTICE = "notice"


class Role(StrEnum):
    RECEPTION = "reception"
    CLINICIAN = "clinician"
    OWNER = "owner"
    OPS = "ops"


def one_of(column: str, values: type[StrEnum]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def _clinic() -> sa.Column[int]:
    return sa.Column("clinic_id", Id, sa.ForeignKey("clinics.id"), nullable=False)


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
    sa.Column("created_at", Instant, nullable=False),
)

staff = sa.Table(
    "staff",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("disabled_at", Instant),
    one_of("role", Role),
    sa.UniqueConstraint("clinic_id", "email"),
)

clients = sa.Table(
    "clients",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
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

treatments = sa.Table(
    "treatments",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
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
    _clinic(),
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

_OPEN_STEP = "state <> 'cancelled' AND replaced_at IS NULL AND treatment_id IS NOT NULL"
#: What the claim and the expiry look at, as literals: PostgreSQL's generic plan ignores a partial index otherwise.
WAITING = "state IN ('planned', 'in_doubt')"
LEASED = "state IN ('claimed', 'sending')"
_HELD = "state = 'held'"

emails = sa.Table(
    "emails",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
    sa.Column("client_id", Id, sa.ForeignKey("clients.id"), nullable=False),
    sa.Column("treatment_id", Id, sa.ForeignKey("treatments.id")),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("protocol", sa.String(64)),
    sa.Column("step", sa.String(64)),
    sa.Column("day", sa.Integer),
    sa.Column("language", sa.String(35), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(32)),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("useful_until", Instant, nullable=False),
    sa.Column("not_before", Instant, nullable=False),
    sa.Column("planned_at", Instant, nullable=False),
    sa.Column("replaced_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("doubt_since", Instant),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("doubt_retries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("worker", sa.String(64)),
    sa.Column("lease_token", sa.String(32)),
    sa.Column("lease_until", Instant),
    sa.Column("claimed_at", Instant),
    # Frozen at the mark: together they give the same bytes again (P2).
    sa.Column("marked_at", Instant),
    sa.Column("message_id", sa.String(200)),
    sa.Column("text_id", Id, sa.ForeignKey("texts.id")),
    sa.Column("text_version", sa.Integer),
    sa.Column("frame_version", sa.String(64)),
    sa.Column("facts", sa.Text),
    sa.Column("dated", sa.String(40)),
    sa.Column("digest", sa.String(64)),
    sa.Column("sent_at", Instant),
    sa.Column("last_code", sa.Integer),
    sa.Column("last_enhanced", sa.String(16)),
    sa.Column("last_stage", sa.String(16)),
    sa.Column("last_reply", sa.String(500)),
    sa.Column("bounced_at", Instant),
    sa.Column("bounce_class", sa.String(16)),
    one_of("kind", Kind),
    one_of("state", State),
    sa.CheckConstraint("due_at < useful_until AND not_before <= useful_until", name="window"),
    sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent"),
    sa.CheckConstraint(f"({LEASED}) = (lease_token IS NOT NULL)", name="lease"),
    # P6: one row per treatment and step that is neither cancelled nor replaced.
    sa.Index(
        "uq_emails_step",
        "treatment_id",
        "step",
        unique=True,
        sqlite_where=sa.text(_OPEN_STEP),
        postgresql_where=sa.text(_OPEN_STEP),
    ),
    sa.Index("ix_emails_due", "not_before", "id", sqlite_where=sa.text(WAITING), postgresql_where=sa.text(WAITING)),
    sa.Index("ix_emails_lease", "lease_until", sqlite_where=sa.text(LEASED), postgresql_where=sa.text(LEASED)),
    sa.Index("ix_emails_held", "useful_until", sqlite_where=sa.text(_HELD), postgresql_where=sa.text(_HELD)),
    sa.Index("ix_emails_client_id", "client_id", "id"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
    sa.Column("email_id", Id, sa.ForeignKey("emails.id"), nullable=False, index=True),
    sa.Column("worker", sa.String(64), nullable=False),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("claimed_at", Instant),
    sa.Column("marked_at", Instant),
    sa.Column("stage", sa.String(16)),
    sa.Column("code", sa.Integer),
    sa.Column("enhanced", sa.String(16)),
    sa.Column("reply", sa.String(500)),
    sa.Column("ended_at", Instant, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
)

suppressions = sa.Table(
    "suppressions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
    sa.Column("email_folded", sa.String(254), nullable=False),
    sa.Column("reason", sa.String(300), nullable=False),
    sa.Column("email_id", Id, sa.ForeignKey("emails.id")),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("lifted_at", Instant),
    sa.Column("lifted_reason", sa.String(300)),
    sa.Index(
        "uq_suppressions_address",
        "clinic_id",
        "email_folded",
        unique=True,
        sqlite_where=sa.text("lifted_at IS NULL"),
        postgresql_where=sa.text("lifted_at IS NULL"),
    ),
)

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
    sa.Column("client_id", Id, sa.ForeignKey("clients.id"), nullable=False, index=True),
    sa.Column("email_id", Id, sa.ForeignKey("emails.id"), unique=True),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("level", sa.String(1)),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("state", sa.String(8), nullable=False, server_default="open"),
    sa.Column("outcome", sa.String(16)),
    sa.Column("note", sa.String(1000)),
    sa.Column("closed_by", sa.String(254)),
    sa.Column("closed_at", Instant),
    sa.CheckConstraint("state IN ('open', 'closed', 'covered')", name="state"),
    sa.CheckConstraint(
        "(state = 'open') = (closed_at IS NULL) AND (state = 'closed') = (outcome IS NOT NULL)", name="closing"
    ),
    sa.Index(
        "ix_calls_open", "due_at", sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'")
    ),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _clinic(),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.String(254), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

#: Evidence is only ever added.
APPEND_ONLY = (attempts, audit)
