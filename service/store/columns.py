"""What all tables share: names of constraints, ids, the clinic they belong to, and columns of listed words."""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

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


def of_clinic() -> sa.Column[int]:
    """Every table carries clinic_id: reads and writes are scoped by it (P9), and a cluster can shard by it."""
    return sa.Column("clinic_id", Id, sa.ForeignKey("clinics.id"), nullable=False)
