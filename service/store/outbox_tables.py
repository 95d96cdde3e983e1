"""The outbox and what hangs on it: attempts, suppressions, calls, check-ins, the audit. Read tables.py first."""

from __future__ import annotations

import sqlalchemy as sa

from service.domain.protocol import Level
from service.domain.reminder import State
from service.store.columns import Id, Kind, metadata, of_clinic, one_of
from service.store.engine import Instant

_OPEN_STEP = "state <> 'cancelled' AND replaced_at IS NULL AND treatment_id IS NOT NULL"
#: What the claim and the expiry look at, as literals: PostgreSQL's generic plan ignores a partial index otherwise.
WAITING = "state IN ('planned', 'in_doubt')"
LEASED = "state IN ('claimed', 'sending')"
_HELD = "state = 'held'"
_MARKED = "marked_at IS NOT NULL"
#: What a person should look at: it may not have reached the client.
WRONG = "state IN ('failed', 'missed', 'unconfirmed') OR bounced_at IS NOT NULL"

#: What the letters of a clinic, a step and a day have in common, kept once. id: digest of clinic and facts.
shared_facts = sa.Table(
    "shared_facts",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    of_clinic(),
    sa.Column("facts", sa.Text, nullable=False),
)

emails = sa.Table(
    "emails",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
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
    sa.Column("shared_id", sa.String(32), sa.ForeignKey("shared_facts.id")),
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
    # With the clinic, so that PostgreSQL counts what waits for a day without a look at the table.
    sa.Index(
        "ix_emails_due",
        "not_before",
        "id",
        "clinic_id",
        sqlite_where=sa.text(WAITING),
        postgresql_where=sa.text(WAITING),
    ),
    sa.Index("ix_emails_lease", "lease_until", sqlite_where=sa.text(LEASED), postgresql_where=sa.text(LEASED)),
    sa.Index("ix_emails_held", "useful_until", sqlite_where=sa.text(_HELD), postgresql_where=sa.text(_HELD)),
    sa.Index("ix_emails_wrong", "clinic_id", "due_at", sqlite_where=sa.text(WRONG), postgresql_where=sa.text(WRONG)),
    sa.Index("ix_emails_client_id", "client_id", "id"),
    # For the digest: what fell due in a span. With the id: thousands share an hour, and the desk shows them in order.
    sa.Index("ix_emails_due_at", "due_at", "id"),
    # For the daily cap, the digest and the metrics: what was marked in the last hours.
    sa.Index("ix_emails_marked_at", "marked_at", sqlite_where=sa.text(_MARKED), postgresql_where=sa.text(_MARKED)),
    # A plain one: the unique partial index above serves only questions that repeat its condition to the letter.
    sa.Index("ix_emails_treatment_id", "treatment_id"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
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
    of_clinic(),
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
    of_clinic(),
    sa.Column("client_id", Id, sa.ForeignKey("clients.id"), nullable=False, index=True),
    sa.Column("email_id", Id, sa.ForeignKey("emails.id"), unique=True),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("level", sa.String(1)),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("state", sa.String(8), nullable=False, server_default="open"),
    sa.Column("outcome", sa.String(16)),
    # Nobody answered: it stays open, with a new deadline.
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tried_at", Instant),
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

#: What a client answered through a link. answers, rules: JSON, emptied when the client is erased; rows only grow.
check_ins = sa.Table(
    "check_ins",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
    sa.Column("client_id", Id, sa.ForeignKey("clients.id"), nullable=False, index=True),
    sa.Column("treatment_id", Id, sa.ForeignKey("treatments.id"), nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("answers", sa.Text, nullable=False),
    sa.Column("level", sa.String(1), nullable=False),
    sa.Column("rules", sa.Text, nullable=False),
    sa.Column("rules_version", sa.String(64), nullable=False),
    # The newest e-mail with a link when it was answered: the link itself does not say which was opened.
    sa.Column("email_id", Id, sa.ForeignKey("emails.id")),
    sa.Column("call_id", Id, sa.ForeignKey("calls.id")),
    sa.Column("answered_at", Instant, nullable=False),
    one_of("level", Level),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.String(254), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    # For "who opened this record, and when".
    sa.Index("ix_audit_subject", "clinic_id", "subject", "id"),
)

#: Evidence is only ever added.
APPEND_ONLY = (attempts, audit)
