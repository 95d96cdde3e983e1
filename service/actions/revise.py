"""Changes what was registered: correct, cancel, stop, pause, erase. One transaction, the client row locked first.

A row that is being sent now is let go: the mark decided. Final states never change; a step planned anew is a new row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from service.actions import again
from service.actions.addresses import check_address
from service.actions.register import NewTreatment, Planned, Subject, check_treatment, plan_rows, save_entries
from service.domain.persons import (
    NAME_LIMIT,
    clean_language,
    clean_line,
    clean_name,
    clean_phone,
    fold_address,
    fold_name,
)
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason, State
from service.domain.schedule import Standing, correct, local_day, plan
from service.errors import BadInput, NotAllowed
from service.store import audit, check_ins, clients, outbox
from service.store.audit import Deed
from service.store.calls import open_calls
from service.store.clinics import Clinic
from service.store.tables import Kind, calls, emails, treatments


@dataclass(frozen=True)
class Who:
    """Who does it and when. why: the reason they gave, for the audit; checked by actions/reasons.py."""

    actor: str
    now: datetime
    why: str = ""


def note(connection: sa.Connection, clinic: Clinic, client_id: int, done: tuple[str, dict[str, Any]], who: Who) -> None:
    """One line of the audit about a client. done: what was done, and the facts of it."""
    action, detail = done
    deed = Deed(who.actor, action, f"client {client_id}", detail | ({"why": who.why} if who.why else {}))
    audit.note(connection, clinic.id, deed, who.now)


def correct_treatment(
    connection: sa.Connection, clinic: Clinic, treatment_id: int, given: NewTreatment, who: Who
) -> Planned:
    """Move a treatment to the day it really was (P6): cancels what is open, plans anew, keeps what was sent rightly."""
    treatment = clients.get_treatment(connection, clinic.id, treatment_id)
    client = clients.get(connection, clinic.id, treatment["client_id"])
    _require_live(treatment)
    check_treatment(given, clinic, who.now)
    same_day = clients.find_treatment(connection, client["id"], given.protocol.key, given.treated_on)
    if same_day is not None and same_day["id"] != treatment_id:
        fix = f"Cancel treatment {treatment_id} instead."
        raise BadInput(f"treatment {same_day['id']} is already on {given.treated_on}", field="on", next_step=fix)
    clients.change_treatment(connection, treatment_id, {"treated_on": given.treated_on, "treated_at": given.treated_at})
    entries = plan(given.protocol, given.treated_on, clinic.time, who.now)
    subject = (treatment_id, given.protocol, given.treated_on)
    kept = _correct_rows(connection, clinic, subject, who.now)
    fresh = [entry for entry in entries if entry.step not in kept]
    save_entries(connection, clinic, client, subject, fresh, who.now)
    again.give_back(connection, clinic.id, client["id"], given.protocol.area, who.now)
    detail = {"treatment": treatment_id, "from": treatment["treated_on"], "to": given.treated_on, "kept": kept}
    note(connection, clinic, client["id"], ("treatment corrected", detail), who)
    return Planned(treatment_id, plan_rows(connection, treatment_id), kept=tuple(kept))


def _correct_rows(connection: sa.Connection, clinic: Clinic, subject: Subject, now: datetime) -> list[str]:
    """Apply domain/schedule.correct to each standing row. Returns the steps that keep theirs."""
    treatment_id, _, treated_on = subject
    rows = connection.execute(
        sa.select(emails).where(
            emails.c.treatment_id == treatment_id, emails.c.replaced_at.is_(None), emails.c.state != State.CANCELLED
        )
    ).all()
    kept = []
    for row in rows:
        sent_on = local_day(row.sent_at, clinic.zone) if row.sent_at else None
        standing = Standing(row.step, State(row.state), row.doubt_since is not None, sent_on)
        # Its words were for that day after the treatment, whatever the protocol or the clinic has set since.
        decision = correct(standing, treated_on + timedelta(days=row.day))
        if decision.state is not None:
            outbox.end_open(connection, emails.c.id == row.id, Reason.CORRECTED, now)
        if decision.replaced:
            connection.execute(sa.update(emails).where(emails.c.id == row.id).values(replaced_at=now))
        if decision.wrong_day:
            call = {"clinic_id": row.clinic_id, "client_id": row.client_id, "email_id": row.id}
            open_calls(connection, [{**call, "reason": "wrong_day"}], now)
        if decision.kept and row.kind == Kind.REMINDER:
            kept.append(row.step)
    return kept


def cancel_treatment(
    connection: sa.Connection, clinic: Clinic, treatment_id: int, protocol: FollowUpProtocol, who: Who
) -> Planned:
    """Cancel a treatment. What it had superseded and is still useful is planned again."""
    treatment = clients.get_treatment(connection, clinic.id, treatment_id)
    _require_live(treatment)
    at = outbox.after_marks(connection, emails.c.treatment_id == treatment_id, who.now)
    clients.change_treatment(connection, treatment_id, {"cancelled_at": at})
    outbox.end_open(connection, emails.c.treatment_id == treatment_id, Reason.CANCELLED, who.now)
    again.give_back(connection, clinic.id, treatment["client_id"], protocol.area, who.now)
    note(connection, clinic, treatment["client_id"], ("treatment cancelled", {"treatment": treatment_id}), who)
    return Planned(treatment_id, plan_rows(connection, treatment_id))


def _require_live(treatment: sa.RowMapping) -> None:
    if treatment["cancelled_at"] is not None:
        fix = "Register it again with `aftercare treatment add`."
        raise NotAllowed(f"treatment {treatment['id']} is cancelled", field="treatment", next_step=fix)


def stop(connection: sa.Connection, clinic: Clinic, client_id: int, who: Who) -> None:
    """The client's wish: no more reminders of this clinic. A call hands over the red flags by phone."""
    client = clients.get(connection, clinic.id, client_id, lock=True)
    if client["stopped_at"] is not None:
        return
    at = outbox.after_marks(connection, emails.c.client_id == client_id, who.now)
    clients.change(connection, client_id, {"stopped_at": at})
    ended = outbox.end_open(connection, emails.c.client_id == client_id, Reason.STOPPED, who.now)
    if ended:
        call = {"clinic_id": clinic.id, "client_id": client_id, "email_id": None, "reason": str(Reason.STOPPED)}
        open_calls(connection, [call], who.now)
    note(connection, clinic, client_id, ("client stopped", dict(ended)), who)


def unstop(connection: sa.Connection, clinic: Clinic, client_id: int, who: Who) -> None:
    """Undo a stop for treatments to come; what was cancelled stays cancelled."""
    if clients.get(connection, clinic.id, client_id, lock=True)["stopped_at"] is None:
        return
    clients.change(connection, client_id, {"stopped_at": None})
    note(connection, clinic, client_id, ("client stop undone", {}), who)


def pause(connection: sa.Connection, clinic: Clinic, client_id: int, who: Who) -> None:
    """Hold what is planned until `resume`; what passes its shelf life meanwhile is missed and becomes a call."""
    if clients.get(connection, clinic.id, client_id, lock=True)["paused_at"] is not None:
        return
    clients.change(connection, client_id, {"paused_at": who.now})
    waiting = (emails.c.client_id == client_id) & (emails.c.state == State.PLANNED)
    connection.execute(sa.update(emails).where(waiting).values(state=State.HELD, reason=Reason.PAUSED))
    note(connection, clinic, client_id, ("client paused", {}), who)


def resume(connection: sa.Connection, clinic: Clinic, client_id: int, who: Who) -> None:
    """Let go what is still right; what is too late was or will be missed, never sent in a flood."""
    if clients.get(connection, clinic.id, client_id, lock=True)["paused_at"] is None:
        return
    clients.change(connection, client_id, {"paused_at": None})
    still_right = (emails.c.reason == Reason.PAUSED) & (emails.c.useful_until > who.now)
    free_held(connection, (emails.c.client_id == client_id) & still_right)
    note(connection, clinic, client_id, ("client resumed", {}), who)


def free_held(connection: sa.Connection, which: outbox.Condition) -> int:
    """Held rows whose cause is mended are planned again; the next tick sends or misses them. Returns how many."""
    freed = connection.execute(
        sa.update(emails).where(which, emails.c.state == State.HELD).values(state=State.PLANNED, reason=None)
    )
    return freed.rowcount


_CLEANERS: dict[str, Callable[[str], str]] = {
    "name": clean_name,
    "email": check_address,
    "phone": lambda raw: clean_phone(raw) if raw else "",
    "language": clean_language,
    "client_ref": lambda raw: clean_line("client_ref", raw, 100) if raw else "",
    "guardian": lambda raw: clean_line("guardian", raw, NAME_LIMIT) if raw else "",
}


def change_client(
    connection: sa.Connection, clinic: Clinic, client_id: int, given: dict[str, str], who: Who
) -> sa.RowMapping:
    """Set fields of a client. A row in doubt towards an old address is never repeated to the new one.

    What did not arrive at the old address and is still useful is planned anew for the new one.
    """
    client = clients.get(connection, clinic.id, client_id, lock=True)
    if client["erased_at"] is not None:
        raise NotAllowed(f"client {client_id} is erased", field="client", next_step="Register the person anew.")
    values: dict[str, Any] = {}
    for name, raw in given.items():
        if name not in _CLEANERS:
            raise BadInput(
                f"{name} is not a field of a client", field=name, next_step=f"Fields: {', '.join(sorted(_CLEANERS))}."
            )
        values[name] = _CLEANERS[name](raw)
    if "name" in values:
        values["name_folded"] = fold_name(values["name"])
    if "email" in values:
        values["email_folded"] = fold_address(values["email"])
    _require_unique(connection, clinic, client, values)
    clients.change(connection, client_id, values)
    if values.get("email", client["email"]) != client["email"]:
        in_doubt = (emails.c.client_id == client_id) & emails.c.doubt_since.is_not(None)
        outbox.end_open(connection, in_doubt, Reason.CHANGED, who.now)
        again.write_to_new_address(connection, clinic.id, client_id, who.now)
    if "language" in values:
        unsent = (emails.c.client_id == client_id) & emails.c.state.in_([State.PLANNED, State.HELD])
        connection.execute(sa.update(emails).where(unsent).values(language=values["language"]))
    note(connection, clinic, client_id, ("client changed", {"fields": sorted(given)}), who)
    return clients.get(connection, clinic.id, client_id)


def _require_unique(connection: sa.Connection, clinic: Clinic, client: sa.RowMapping, values: dict[str, Any]) -> None:
    who = {**client, **values}
    known = clients.find(connection, clinic.id, who)
    if known is not None and known["id"] != client["id"]:
        raise BadInput(
            f"client {known['id']} is already this person",
            field="client_ref" if who["client_ref"] else "email",
            next_step=f"Use client {known['id']}.",
        )


def erase(connection: sa.Connection, clinic: Clinic, client_id: int, who: Who, why: str = "client erased") -> None:
    """Forget a client: cancel what is open, blank every personal field, keep counts and times. why: for the audit."""
    client = clients.get(connection, clinic.id, client_id, lock=True)
    if client["erased_at"] is not None:
        return
    outbox.end_open(connection, emails.c.client_id == client_id, Reason.ERASED, who.now)
    gone = f"erased-{client_id}"
    blank = {"name": gone, "name_folded": gone, "email": gone, "email_folded": gone}
    blank |= {"phone": "", "client_ref": "", "guardian": ""}
    at = outbox.after_marks(connection, emails.c.client_id == client_id, who.now)
    clients.change(connection, client_id, {**blank, "erased_at": at})
    clients.forget_suppressed(connection, clinic.id, client["email_folded"], gone)
    connection.execute(sa.update(emails).where(emails.c.client_id == client_id).values(facts=None, last_reply=None))
    treated = {"treated_at": "", "lot": "", "note": ""}
    connection.execute(sa.update(treatments).where(treatments.c.client_id == client_id).values(treated))
    connection.execute(sa.update(calls).where(calls.c.client_id == client_id).values(note=None))
    check_ins.forget(connection, clinic.id, client_id)
    note(connection, clinic, client_id, (why, {}), who)
