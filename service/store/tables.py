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
    check_ins,
    emails,
    shared_facts,
    suppressions,
)
from service.store.staff_tables import sign_in_links, staff_sessions, uploads

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
    "check_ins",
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
    "uploads",
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
    # Days, hours and windows of its own, as JSON: a list of domain/own_steps.OwnStep without what is None. Here and not
    # in a table of its own, because whoever plans has read this row.
    sa.Column("own_steps", sa.Text, nullable=False, server_default="[]"),
    # Whether clients may answer questions through a link.
    sa.Column("check_in", sa.Boolean, nullable=False, server_default=sa.text("(TRUE)")),
    # Staff of this clinic sign in with a second factor.
    sa.Column("asks_code", sa.Boolean, nullable=False, server_default=sa.text("(FALSE)")),
    # Dates beside the weekly hours; as domain/closed_days.py writes them.
    sa.Column("closed_days", sa.Text, nullable=False, server_default=""),
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
    # The version of the words that were read out (domain/consent.py); none where nobody said which.
    sa.Column("consent_words", sa.Integer),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("stopped_at", Instant),
    sa.Column("paused_at", Instant),
    sa.Column("erased_at", Instant),
    # The client's words in client_words, a space before each; kept by store/client_words.py.
    sa.Column("found_by", sa.Text, nullable=False, server_default=""),
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
        # Sorted by bytes, so that the beginning of an address is one stretch of it in every locale.
        postgresql_ops={"email_folded": "varchar_pattern_ops"},
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

#: What clients are found by: words of names, digits of phone numbers. Sorted by bytes: a beginning is one stretch.
#: Derived from the clients, who are never deleted, so no foreign key is checked for each word of an import.
client_words = sa.Table(
    "client_words",
    metadata,
    sa.Column("clinic_id", Id, primary_key=True, autoincrement=False),
    sa.Column("word", sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql"), primary_key=True),
    sa.Column("client_id", Id, primary_key=True, autoincrement=False),
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
    # Of the page it was saved from: the same page saved again is known, whatever was changed on it.
    sa.Column("nonce", sa.String(32)),
    # The same page registered the client too: undoing it forgets them.
    sa.Column("with_client", sa.Boolean, nullable=False, server_default=sa.text("(FALSE)")),
    # For the clinic alone. The lot, because one bad bottle harms many; the note, because nobody remembers every skin.
    sa.Column("lot", sa.String(60), nullable=False, server_default=""),
    sa.Column("note", sa.String(500), nullable=False, server_default=""),
    sa.Index(
        "uq_treatments_once",
        "client_id",
        "protocol",
        "treated_on",
        unique=True,
        sqlite_where=sa.text("cancelled_at IS NULL"),
        postgresql_where=sa.text("cancelled_at IS NULL"),
    ),
    # A plain one: the unique partial index above serves only questions about live treatments.
    sa.Index("ix_treatments_client_id", "client_id", "treated_on"),
    # Who was treated on a day, and last: in order even where thousands share the day.
    sa.Index("ix_treatments_treated_on", "clinic_id", "treated_on", "id"),
    # Whether a protocol is in use.
    sa.Index("ix_treatments_protocol", "clinic_id", "protocol"),
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
