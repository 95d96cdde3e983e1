"""Staff members, their sessions and one-time links: find and save. Knows digests, no password and no token."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from service.errors import NotFound
from service.store.tables import Role, sign_in_links, sign_in_tries, staff, staff_sessions

_LOCK = 7_214_003  # an arbitrary number that nothing else locks


def active_with(connection: sa.Connection, email: str) -> list[sa.RowMapping]:
    """Everybody who may sign in with this address, in any clinic of the installation."""
    query = sa.select(staff).where(sa.func.lower(staff.c.email) == email.strip().lower(), staff.c.disabled_at.is_(None))
    return list(connection.execute(query.order_by(staff.c.id)).mappings())


def get(connection: sa.Connection, clinic_id: int, staff_id: int, *, lock: bool = False) -> sa.RowMapping:
    """One staff member. Raises NotFound if this clinic has none of that id."""
    query = sa.select(staff).where(staff.c.clinic_id == clinic_id, staff.c.id == staff_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        fix = "See `aftercare staff list`."
        raise NotFound(f"this clinic has no staff member {staff_id}", field="staff", next_step=fix)
    return row


def change(connection: sa.Connection, staff_id: int, **values: object) -> None:
    connection.execute(sa.update(staff).where(staff.c.id == staff_id).values(**values))


def use_step(connection: sa.Connection, staff_id: int, step: int) -> bool:
    """Use up a time step of the second factor, and every earlier one; False if it was used already."""
    unused = (staff.c.id == staff_id) & (staff.c.code_step < step)
    return connection.execute(sa.update(staff).where(unused).values(code_step=step)).rowcount == 1


def active_owners(connection: sa.Connection, clinic_id: int) -> list[int]:
    """Ids of the owners who may sign in, locked until the transaction ends: two cannot leave at once."""
    mine = (staff.c.clinic_id == clinic_id) & (staff.c.role == Role.OWNER) & staff.c.disabled_at.is_(None)
    query = sa.select(staff.c.id).where(mine).order_by(staff.c.id).with_for_update()
    return list(connection.execute(query).scalars())


def people(connection: sa.Connection, clinic_id: int, now: datetime) -> list[sa.RowMapping]:
    """Everybody of a clinic without their secrets: who may sign in first, then by name.

    has_password, has_code: whether there is one. sessions: how many are open.
    """
    is_open = (
        (staff_sessions.c.staff_id == staff.c.id)
        & (staff_sessions.c.clinic_id == staff.c.clinic_id)
        & staff_sessions.c.ended_at.is_(None)
        & (staff_sessions.c.until > now)
    )
    query = sa.select(
        *(staff.c[name] for name in ("id", "email", "name", "role", "created_at", "disabled_at")),
        staff.c.password.is_not(None).label("has_password"),
        staff.c.code_secret.is_not(None).label("has_code"),
        sa.select(sa.func.count()).where(is_open).scalar_subquery().label("sessions"),
    ).where(staff.c.clinic_id == clinic_id)
    query = query.order_by(staff.c.disabled_at.is_not(None), sa.func.lower(staff.c.name), staff.c.id)
    return list(connection.execute(query).mappings())


def add_session(connection: sa.Connection, session: dict[str, object]) -> None:
    """session: id (digest), clinic_id, staff_id, complete, made_at, until."""
    connection.execute(sa.insert(staff_sessions), session)


def session(connection: sa.Connection, digest: str, now: datetime) -> sa.RowMapping | None:
    """A session that has not ended, with its staff member (who is not disabled); None else."""
    query = (
        sa.select(
            staff_sessions.c.id.label("session_id"),
            staff_sessions.c.complete,
            staff_sessions.c.made_at.label("signed_in_at"),
            staff,
        )
        .join(staff, staff.c.id == staff_sessions.c.staff_id)
        .where(
            staff_sessions.c.id == digest,
            staff_sessions.c.ended_at.is_(None),
            staff_sessions.c.until > now,
            staff.c.disabled_at.is_(None),
        )
    )
    return connection.execute(query).mappings().one_or_none()


def sessions_of(connection: sa.Connection, clinic_id: int, staff_id: int, now: datetime) -> list[sa.RowMapping]:
    """Open sessions of one staff member, the newest first."""
    query = sa.select(staff_sessions).where(
        staff_sessions.c.clinic_id == clinic_id,
        staff_sessions.c.staff_id == staff_id,
        staff_sessions.c.ended_at.is_(None),
        staff_sessions.c.until > now,
    )
    return list(connection.execute(query.order_by(staff_sessions.c.made_at.desc())).mappings())


def end_session(connection: sa.Connection, digest: str, now: datetime) -> None:
    mine = (staff_sessions.c.id == digest) & staff_sessions.c.ended_at.is_(None)
    connection.execute(sa.update(staff_sessions).where(mine).values(ended_at=now))


def end_sessions(connection: sa.Connection, staff_id: int, now: datetime, but: str = "") -> None:
    """End all sessions of a staff member; but: the digest of one that stays."""
    theirs = (staff_sessions.c.staff_id == staff_id) & staff_sessions.c.ended_at.is_(None)
    connection.execute(sa.update(staff_sessions).where(theirs, staff_sessions.c.id != but).values(ended_at=now))


def add_link(connection: sa.Connection, link: dict[str, object]) -> None:
    """A new one-time link. link: id (digest), clinic_id, staff_id, made_at, made_by, until."""
    connection.execute(sa.insert(sign_in_links), link)


def end_links(connection: sa.Connection, staff_id: int, now: datetime) -> None:
    """None of their one-time links opens anything any more."""
    unused = (sign_in_links.c.staff_id == staff_id) & sign_in_links.c.used_at.is_(None)
    connection.execute(sa.update(sign_in_links).where(unused).values(used_at=now))


def link(connection: sa.Connection, clinic_id: int, digest: str) -> sa.RowMapping | None:
    """A link of this clinic, whatever became of it, with the name of whom it is for; None if there is none."""
    query = sa.select(sign_in_links, staff.c.name).join(staff, staff.c.id == sign_in_links.c.staff_id)
    mine = (sign_in_links.c.clinic_id == clinic_id) & (sign_in_links.c.id == digest)
    return connection.execute(query.where(mine)).mappings().one_or_none()


def open_link(connection: sa.Connection, digest: str, now: datetime) -> sa.RowMapping | None:
    """The staff member an unused, unexpired link belongs to; None else."""
    query = (
        sa.select(staff)
        .join(sign_in_links, sign_in_links.c.staff_id == staff.c.id)
        .where(
            sign_in_links.c.id == digest,
            sign_in_links.c.used_at.is_(None),
            sign_in_links.c.until > now,
            staff.c.disabled_at.is_(None),
        )
    )
    return connection.execute(query).mappings().one_or_none()


def use_link(connection: sa.Connection, digest: str, now: datetime) -> str | None:
    """Use a link up to choose a password: who made it; None if somebody else has used it."""
    mine = (sign_in_links.c.id == digest) & sign_in_links.c.used_at.is_(None) & (sign_in_links.c.until > now)
    used = sa.update(sign_in_links).where(mine).values(used_at=now, chosen_at=now)
    made_by: str | None = connection.execute(used.returning(sign_in_links.c.made_by)).scalar_one_or_none()
    return made_by


def links_used(connection: sa.Connection, clinic_id: int, staff_id: int, most: int) -> list[sa.RowMapping]:
    """With which links this staff member's password was chosen, the newest first: made_by, chosen_at."""
    theirs = (sign_in_links.c.clinic_id == clinic_id) & (sign_in_links.c.staff_id == staff_id)
    asked = sa.select(sign_in_links.c.made_by, sign_in_links.c.chosen_at).where(theirs)
    used = asked.where(sign_in_links.c.chosen_at.is_not(None)).order_by(sign_in_links.c.chosen_at.desc())
    return list(connection.execute(used.limit(most)).mappings())


def one_try_at_a_time(connection: sa.Connection) -> None:
    """Until the end of the transaction nobody else counts tries: of many at once no more pass than may."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def note_try(connection: sa.Connection, account: str, address: str, now: datetime) -> None:
    connection.execute(sa.insert(sign_in_tries), {"at": now, "account": account, "address": address})


def tries(connection: sa.Connection, account: str, address: str, since: datetime) -> tuple[int, int, int]:
    """Tries since then: for this account, from this address, in all."""
    count = sa.func.count()
    query = sa.select(
        count.filter(sign_in_tries.c.account == account), count.filter(sign_in_tries.c.address == address), count
    ).where(sign_in_tries.c.at > since)
    by_account, by_address, everywhere = connection.execute(query).one()
    return by_account, by_address, everywhere


def forget_tries(connection: sa.Connection, before: datetime) -> None:
    """Forget old tries."""
    connection.execute(sa.delete(sign_in_tries).where(sign_in_tries.c.at < before))


def forget_try(connection: sa.Connection, account: str, address: str) -> None:
    """Forget the newest try for this account from this address."""
    same = (sign_in_tries.c.account == account) & (sign_in_tries.c.address == address)
    newest = sa.select(sa.func.max(sign_in_tries.c.id)).where(same).scalar_subquery()
    connection.execute(sa.delete(sign_in_tries).where(sign_in_tries.c.id == newest))
