"""How staff get in: sessions and one-time links; and the files they uploaded and have not decided about yet.

Tokens are kept as digests: who reads the table cannot sign in.
"""

from __future__ import annotations

import sqlalchemy as sa

from service.store.columns import Id, metadata, of_clinic
from service.store.engine import Instant

#: id: SHA-256 of the token in the cookie. until: the absolute end. complete: the second factor was given, if asked for.
staff_sessions = sa.Table(
    "staff_sessions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    of_clinic(),
    sa.Column("staff_id", Id, sa.ForeignKey("staff.id"), nullable=False, index=True),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("ended_at", Instant),
)

#: One-time links for the first sign-in and for a new password. id: SHA-256 of the token in the link.
#: made_by: actor, as in the audit. used_at: it opens nothing from then on; chosen_at: a password was chosen with it.
sign_in_links = sa.Table(
    "sign_in_links",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    of_clinic(),
    sa.Column("staff_id", Id, sa.ForeignKey("staff.id"), nullable=False, index=True),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("used_at", Instant),
    sa.Column("made_by", sa.String(254), nullable=False, server_default=""),
    sa.Column("chosen_at", Instant),
)

#: A file somebody checks before it is imported. file: gone once it is imported; the whole row is gone after `until`.
#: options, report: JSON. rejected: the rows that were not taken, as CSV.
uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", Id, primary_key=True),
    of_clinic(),
    sa.Column("staff_id", Id, sa.ForeignKey("staff.id"), nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("file", sa.LargeBinary),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("report", sa.Text, nullable=False),
    sa.Column("rejected", sa.LargeBinary),
    sa.Column("begun_at", Instant),
    sa.Column("done_at", Instant),
)
