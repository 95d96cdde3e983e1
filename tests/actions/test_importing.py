"""A table of clients becomes plans: all good rows at once, the bad ones reported, and twice is once."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.actions import register, revise
from service.actions.csv_rows import CsvFile, CsvOptions, GoodRow, read_rows
from service.actions.import_people import CHUNK
from service.actions.importing import ImportJob, Report, import_file
from service.actions.revise import Who
from service.domain.persons import fold_address, fold_name
from service.domain.protocol import FollowUpProtocol
from service.errors import BadInput, Unavailable
from service.store import audit
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.locking import lock_clients
from service.store.tables import audit as audit_lines
from service.store.tables import calls, clients, emails, metadata, suppressions, treatments
from tests.support.builders import build_clinic
from tests.support.world import SMP, TATTOO, World, another_clinic, make_world

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TODAY = date(2026, 11, 21)
BROWS = "brow-tattoo"
Row = Mapping[str, str]


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def _protocols(world: World) -> dict[str, FollowUpProtocol]:
    """The shipped ones, which share the scalp, and one of another area."""
    shipped = dict(world.service.catalogue.protocols)
    return {**shipped, BROWS: replace(shipped[SMP], key=BROWS, title="Brows", area="brows")}


def _row(name: str = "Sam Reed", email: str = "", on: str = "2026-11-20", **more: str) -> Row:
    email = email or f"{name.replace(' ', '.').lower()}@example.com"
    return {"name": name, "email": email, "treatment": SMP, "treatment_date": on, **more}


def _file(world: World, rows: Iterable[Row]) -> CsvFile:
    rows = list(rows)
    written = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(written, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    titles = {key: protocol.title for key, protocol in _protocols(world).items()}
    return read_rows(written.getvalue().encode(), CsvOptions(TODAY, titles))


def _import(world: World, *rows: Row, dry_run: bool = False) -> Report:
    job = ImportJob(world.clinic, _protocols(world), Who("desk", NOW))
    return import_file(world.store, _file(world, rows), job, dry_run=dry_run)


def _content(store: Store) -> dict[str, list[Any]]:
    with store.read() as connection:
        return {table.name: list(connection.execute(sa.select(table))) for table in metadata.sorted_tables}


def _plans(world: World) -> list[tuple[str, str, date, str, str, str | None]]:
    """(client, protocol, treated on, step, state, reason) of every row, in that order."""
    query = (
        sa.select(
            clients.c.name,
            treatments.c.protocol,
            treatments.c.treated_on,
            emails.c.step,
            emails.c.state,
            emails.c.reason,
        )
        .join(treatments, treatments.c.id == emails.c.treatment_id)
        .join(clients, clients.c.id == emails.c.client_id)
        .where(emails.c.clinic_id == world.clinic.id)
        .order_by(clients.c.name, treatments.c.treated_on, emails.c.treatment_id, emails.c.day)
    )
    with world.store.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def _states(world: World) -> list[str]:
    return [f"{on.day} {step} {state} {reason or ''}".strip() for _, _, on, step, state, reason in _plans(world)]


def _calls(world: World) -> list[tuple[str, str]]:
    query = sa.select(emails.c.step, calls.c.reason).join(emails, emails.c.id == calls.c.email_id).order_by(calls.c.id)
    with world.store.read() as connection:
        return [tuple(row) for row in connection.execute(query.where(calls.c.clinic_id == world.clinic.id))]


def _count(world: World, table: sa.Table) -> int:
    with world.store.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _thousand() -> list[Row]:
    rows = [_row(f"Client {number}") for number in range(1000)]
    rows[9] = {**rows[9], "email": "client.9 at example.com"}
    rows[499] = {**rows[499], "treatment_date": "2026-02-30"}
    rows[999] = {**rows[999], "treatment": "haircut"}
    return rows


def test_of_a_thousand_clients_three_faulty_rows_are_reported_and_the_others_planned(world: World) -> None:
    report = _import(world, *_thousand())
    assert (report.rows, report.accepted, report.rejected, report.unchanged) == (1000, 997, 3, 0)
    assert report.committed
    assert [(fault.row, fault.column) for fault in report.errors] == [
        (11, "email"),
        (501, "treatment_date"),
        (1001, "treatment"),
    ]
    assert "no @" in report.errors[0].problem
    assert "2026-02-30" in report.errors[1].problem
    assert "haircut" in report.errors[2].problem
    assert _count(world, clients) == 997
    assert {(step, state) for *_, step, state, _ in _plans(world)} == {
        ("day-01", "planned"),
        ("day-03", "planned"),
        ("day-10", "planned"),
    }
    assert _count(world, emails) == 3 * 997


def test_the_same_file_again_adds_nothing_and_says_so(world: World) -> None:
    _import(world, *_thousand())
    before = _content(world.store)
    report = _import(world, *_thousand())
    assert (report.rows, report.accepted, report.rejected, report.unchanged) == (1000, 0, 3, 997)
    assert _content(world.store) == before


def test_a_dry_run_reports_what_an_import_would_and_leaves_the_content_as_it_was(world: World) -> None:
    _import(world, _row("Known Client"))
    before = _content(world.store)
    rows = [_row("Known Client"), *_thousand(), _row("Late Client", on="2026-11-12")]
    planned = _import(world, *rows, dry_run=True).as_document()
    assert _content(world.store) == before
    assert planned["committed"] is False
    assert planned | {"committed": True} == _import(world, *rows).as_document()
    assert (planned["accepted"], planned["unchanged"], planned["registered_late"]) == (998, 1, 2)


def test_a_row_that_the_database_refuses_leaves_nothing_of_the_whole_file(world: World) -> None:
    with world.store.write() as connection:
        connection.execute(sa.text("CREATE UNIQUE INDEX one_phone ON clients (phone) WHERE phone <> ''"))
    rows = [_row(f"Client {number}") for number in range(CHUNK + 20)]
    rows[3] = {**rows[3], "phone": "01632 960001"}
    rows[CHUNK + 10] = {**rows[CHUNK + 10], "phone": "01632 960001"}
    before = _content(world.store)
    with pytest.raises(Unavailable, match="nothing was imported"):
        _import(world, *rows)
    assert _content(world.store) == before


def test_an_import_is_one_line_in_the_audit_without_names(world: World) -> None:
    before = _count(world, audit_lines)
    _import(world, *_thousand())
    with world.store.read() as connection:
        lines: list[Any] = list(connection.execute(sa.select(audit_lines).order_by(audit_lines.c.id)))
        assert audit.broken_links(connection, world.clinic.id) == []
    assert len(lines) == before + 1
    assert (lines[-1].actor, lines[-1].action, json.loads(lines[-1].detail)) == (
        "desk",
        "file imported",
        {"rows": 1000, "accepted": 997, "rejected": 3, "unchanged": 0, "registered_late": 0},
    )


@pytest.mark.parametrize("apart", [1, CHUNK + 1])
def test_a_row_that_comes_twice_in_one_file_is_unchanged_the_second_time(world: World, apart: int) -> None:
    rows = [_row(f"Client {number}") for number in range(apart)]
    report = _import(world, *rows, {**rows[0], "name": "CLIENT  0", "email": "Client.0@EXAMPLE.com"})
    assert (report.accepted, report.unchanged) == (apart, 1)
    assert _count(world, clients) == apart


def test_the_second_treatment_of_a_new_client_finds_the_client_of_the_first(world: World) -> None:
    report = _import(world, _row(on="2026-10-01"), _row(on="2026-11-20"))
    assert report.accepted == 2
    assert _count(world, clients) == 1


def test_one_address_may_belong_to_a_family(world: World) -> None:
    report = _import(world, _row("Sam Reed", "reeds@example.com"), _row("Kim Reed", "reeds@example.com"))
    assert (report.accepted, _count(world, clients)) == (2, 2)


def test_a_client_ref_decides_who_a_client_is(world: World) -> None:
    _import(world, _row("Sam Reed", "reeds@example.com", client_ref="C-1"))
    report = _import(
        world,
        _row("Sam Reed", "reeds@example.com", client_ref="C-2"),
        _row("sam  reed", "Reeds@example.com", "2026-11-19", client_ref="C-1"),
        _row("Sam Reed", "reeds@example.com", "2026-11-18"),
    )
    assert (report.accepted, report.rejected) == (3, 0)
    with world.store.read() as connection:
        found = connection.execute(
            sa.select(clients.c.client_ref, sa.func.count())
            .join(treatments, treatments.c.client_id == clients.c.id)
            .group_by(clients.c.client_ref)
            .order_by(clients.c.client_ref)
        )
        assert [tuple(row) for row in found] == [("C-1", 3), ("C-2", 1)]


@pytest.mark.parametrize("refs", [("", "C-1"), ("C-1", "")])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_client_known_without_a_client_ref_is_not_a_second_one_with_it(
    world: World, refs: tuple[str, str], at_once: bool
) -> None:
    first, second = _row(client_ref=refs[0]), _row(on="2026-11-19", client_ref=refs[1])
    reports = [_import(world, first, second)] if at_once else [_import(world, first), _import(world, second)]
    assert sum(report.accepted for report in reports) == 2
    assert _count(world, clients) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_client_ref_of_somebody_else_is_refused_and_tells_nothing_about_them(world: World, at_once: bool) -> None:
    known = _row("Kim Berg", "kim@example.com", client_ref="C-1")
    others = [_row("Sam Reed", "kim@example.com", client_ref="C-1"), _row("Kim Berg", client_ref="C-1")]
    if not at_once:
        _import(world, known)
    report = _import(world, known, *others)
    assert report.rejected == 2
    assert [(fault.row, fault.column, fault.problem) for fault in report.errors] == [
        (3, "client_ref", "client_ref 'C-1' is already a client with another name. Correct the row, or the client."),
        (
            4,
            "client_ref",
            "client_ref 'C-1' is already a client with another e-mail address. Correct the row, or the client.",
        ),
    ]
    with world.store.read() as connection:
        assert [row.name for row in connection.execute(sa.select(clients))] == ["Kim Berg"]


def test_a_known_client_keeps_what_is_stored(world: World) -> None:
    _import(world, _row(phone="01632 960001", language="de", consent_on="2026-11-01"))
    with world.store.read() as connection:
        before = connection.execute(sa.select(clients)).all()
    again = _row("SAM REED", on="2026-11-19", phone="01632 960002", language="es", consent_on="2026-11-02")
    assert _import(world, again).accepted == 1
    with world.store.read() as connection:
        assert connection.execute(sa.select(clients)).all() == before
        assert set(connection.execute(sa.select(emails.c.language)).scalars()) == {"de"}


def test_consent_is_as_given_else_attested_today_by_who_imports(world: World) -> None:
    _import(world, _row("Sam Reed", consent_on="2026-11-01"), _row("Kim Berg"))
    with world.store.read() as connection:
        rows = connection.execute(sa.select(clients).order_by(clients.c.id)).all()
    assert [(row.consent_on, row.consent_by) for row in rows] == [(date(2026, 11, 1), "desk"), (TODAY, "desk")]


def test_a_date_before_all_calendars_here_is_a_fault_of_its_row(world: World) -> None:
    report = _import(world, _row(on="1950-01-01"), _row("Kim Berg"))
    assert (report.accepted, report.rejected) == (1, 1)
    assert (report.errors[0].row, report.errors[0].column) == (2, "treatment_date")
    assert _count(world, clients) == 1


def test_old_treatments_are_counted_as_late_and_only_fresh_ones_ask_for_a_call(world: World) -> None:
    report = _import(world, _row("Sam Reed", on="2026-11-18"), _row("Kim Berg", on="2026-11-10"))
    assert (report.accepted, report.registered_late) == (2, 3)
    assert _states(world) == [
        "10 day-01 missed registered_late",
        "10 day-03 missed registered_late",
        "10 day-10 planned",
        "18 day-01 missed registered_late",
        "18 day-03 planned",
        "18 day-10 planned",
    ]
    assert _calls(world) == [("day-01", "registered_late")]


@pytest.mark.parametrize("days", [("2026-11-21", "2026-11-20"), ("2026-11-20", "2026-11-21")])
@pytest.mark.parametrize("apart", [False, True])
def test_the_newer_treatment_of_an_area_supersedes_the_older_one_in_any_order(
    world: World, days: tuple[str, str], apart: bool
) -> None:
    first, second = _row(on=days[0]), _row(on=days[1], treatment=TATTOO)
    between = [_row(f"Client {number}", on="2026-11-21") for number in range(CHUNK)] if apart else []
    _import(world, first, *between, second)
    assert [state for state in _states(world) if "planned" not in state or state.startswith("20")] == [
        "20 day-01 cancelled superseded",
        "20 day-03 cancelled superseded",
        "20 day-10 cancelled superseded",
    ]


def test_treatments_of_two_areas_leave_each_other_alone(world: World) -> None:
    _import(world, _row(on="2026-11-20"), _row(on="2026-11-19", treatment=BROWS))
    assert {state.split()[2] for state in _states(world) if "late" not in state} == {"planned"}


def test_an_imported_treatment_supersedes_what_was_planned_by_hand(world: World) -> None:
    world.treat(world.client("Sam Reed", "sam.reed@example.com"), "2026-11-20")
    _import(world, _row(on="2026-11-21", treatment=TATTOO))
    assert [state.split(" ", 2)[2] for state in _states(world)] == ["cancelled superseded"] * 3 + ["planned"] * 3


def test_what_must_not_be_written_to_a_client_is_withheld_from_the_beginning(world: World) -> None:
    for name in ("Stopped", "Paused", "Suppressed"):
        world.client(name, f"{name.lower()}@example.com")
    world.client("Refused", "refused@example.com", consent=False)
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, 1, Who("desk", NOW))
        revise.pause(connection, world.clinic, 2, Who("desk", NOW))
        connection.execute(
            sa.insert(suppressions),
            [
                {"clinic_id": world.clinic.id, "email_folded": address, "reason": "bounced", "created_at": NOW}
                for address in ("suppressed@example.com", "new@example.com")
            ],
        )
    names = ("Stopped", "Paused", "Suppressed", "Refused", "New")
    assert _import(world, *[_row(name) for name in names]).accepted == 5
    assert {(name, state, reason) for name, *_, state, reason in _plans(world)} == {
        ("Stopped", "cancelled", "stopped"),
        ("Paused", "held", "paused"),
        ("Suppressed", "cancelled", "suppressed"),
        ("Refused", "cancelled", "no_consent"),
        ("New", "cancelled", "suppressed"),
    }


def test_the_reason_of_a_row_is_the_one_that_held_when_its_turn_came(world: World) -> None:
    client_id = world.client("Sam Reed", "sam.reed@example.com")
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, client_id, Who("desk", NOW))
    _import(world, _row(on="2026-11-20"), _row(on="2026-11-21"))
    assert {reason for *_, reason in _plans(world)} == {"stopped"}


def test_a_cancelled_treatment_may_be_imported_again_and_supersedes_nothing(world: World) -> None:
    _import(world, _row(on="2026-11-21"))
    with world.store.write() as connection:
        revise.cancel_treatment(connection, world.clinic, 1, _protocols(world)[SMP], Who("desk", NOW))
    report = _import(world, _row(on="2026-11-20"), _row(on="2026-11-21"))
    assert (report.accepted, report.unchanged) == (2, 0)
    with world.store.write() as connection:
        revise.cancel_treatment(connection, world.clinic, 3, _protocols(world)[SMP], Who("desk", NOW))
    _import(world, _row(on="2026-11-19"), _row(on="2026-11-20", treatment=TATTOO))
    assert [state for state in _states(world) if "planned" in state] == [
        "20 day-01 planned",
        "20 day-03 planned",
        "20 day-10 planned",
    ]


def test_faults_are_reported_in_the_order_of_their_rows(world: World) -> None:
    report = _import(world, _row(on="1950-01-01"), _row(on="never"), _row(on="1960-01-01"))
    assert [fault.row for fault in report.errors] == [2, 3, 4]


def test_a_clinic_knows_nothing_of_another_clinics_clients(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    row = _row(client_ref="C-1")
    _import(other, row)
    report = _import(world, row, {**row, "name": "Kim Berg", "client_ref": "C-2"})
    assert (report.accepted, report.unchanged, report.rejected) == (2, 0, 0)
    assert len(_plans(other)) == 3


def test_an_erased_client_is_nobody_any_more(world: World) -> None:
    _import(world, _row(client_ref="C-1"))
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, 1, Who("desk", NOW))
    assert _import(world, _row(client_ref="C-1")).accepted == 1
    assert _count(world, clients) == 2


def test_progress_is_told_after_every_chunk(world: World) -> None:
    rows = [_row(f"Client {number}", "no address" if number == 0 else "") for number in range(CHUNK + 5)]
    told: list[int] = []
    job = ImportJob(world.clinic, _protocols(world), Who("desk", NOW))
    import_file(world.store, _file(world, rows), job, progress=told.append)
    assert told == [CHUNK + 1, CHUNK + 5]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_imports_of_the_same_new_clients_in_opposite_order_do_not_block_each_other(world: World) -> None:
    rows = [_row(f"Client {number}") for number in range(2 * CHUNK)]
    reports: list[Report] = []
    threads = [
        threading.Thread(target=lambda some=some: reports.append(_import(world, *some))) for some in (rows, rows[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((report.accepted, report.unchanged) for report in reports) == [(0, 2 * CHUNK), (2 * CHUNK, 0)]


def _somebody_waits(world: World) -> bool:
    """Asked in a transaction of its own: PostgreSQL answers the same for the length of one."""
    with world.store.read() as connection:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        return bool(connection.execute(sa.text(waiting)).scalar_one())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_known_clients_are_locked_in_the_order_of_their_ids_whatever_the_file_says(world: World) -> None:
    rows = [_row(f"Client {number}", on="2026-11-19") for number in range(CHUNK + 1)]
    _import(world, *rows)
    reports: list[Report] = []
    newer = [{**row, "treatment_date": "2026-11-20"} for row in reversed(rows)]
    thread = threading.Thread(target=lambda: reports.append(_import(world, *newer)))
    with world.store.write() as connection:
        lock_clients(connection, [1])
        thread.start()
        while not _somebody_waits(world):
            assert thread.is_alive()
        lock_clients(connection, [CHUNK + 1])
    thread.join()
    assert reports[0].accepted == CHUNK + 1


# An import means what registering row by row means.

NAMES = ("Sam Reed", "SAM REED", "Kim Berg")
ADDRESSES = ("sam@example.com", "Sam@Example.com", "kim@example.com")
ROWS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "email": st.sampled_from(ADDRESSES),
        "treatment": st.sampled_from([SMP, TATTOO, BROWS]),
        "treatment_date": st.sampled_from(
            [str(TODAY - timedelta(days)) for days in (0, 1, 2, 3, 9, 10, 11, 12)] + ["1969-12-31"]
        ),
        "treatment_time": st.sampled_from(["", "09:30"]),
        "phone": st.sampled_from(["", "01632 960001"]),
        "language": st.sampled_from(["", "de"]),
        "consent_on": st.sampled_from(["", "2026-11-01"]),
        "client_ref": st.sampled_from(["", "", "C-1", "C-2"]),
    }
)
PASTS = st.lists(st.tuples(ROWS, st.sampled_from(["", "stop", "pause", "suppress"])), max_size=3)


def _by_hand(world: World, file: Iterable[Any]) -> tuple[int, int, int]:
    """Accepted, unchanged and rejected rows."""
    counts = [0, 0, 0]
    with world.store.write() as connection:
        for row in file:
            counts[_register(connection, world, row)] += 1
    return counts[0], counts[1], counts[2]


def _register(connection: sa.Connection, world: World, row: GoodRow) -> int:
    protocol = _protocols(world)[row.protocol]
    at = row.treated_at.strftime("%H:%M") if row.treated_at else ""
    new = register.NewTreatment(0, protocol, row.treated_on, at)
    known = _same_person(connection, world.clinic, row)
    try:
        register.check_treatment(new, world.clinic, NOW)
    except BadInput:
        return 2
    if known is not None and (known.email_folded, known.name_folded) != (fold_address(row.email), fold_name(row.name)):
        return 2
    client_id = known.id if known is not None else _add(connection, world, row)
    planned = register.add_treatment(connection, world.clinic, replace(new, client_id=client_id), "desk", NOW)
    return 0 if planned.created else 1


def _add(connection: sa.Connection, world: World, row: GoodRow) -> int:
    new = register.NewClient(
        row.name,
        row.email,
        row.phone or "",
        row.language or "",
        row.client_ref or "",
        consent_on=row.consent_on,
    )
    return int(register.add_client(connection, world.clinic, new, "desk", NOW)["id"])


def _same_person(connection: sa.Connection, clinic: Clinic, row: GoodRow) -> Any:
    mine = sa.select(clients).where(clients.c.clinic_id == clinic.id).order_by(clients.c.id)
    person = (clients.c.email_folded == fold_address(row.email)) & (clients.c.name_folded == fold_name(row.name))
    if not row.client_ref:
        return connection.execute(mine.where(person)).first()
    same_ref = connection.execute(mine.where(clients.c.client_ref == row.client_ref)).first()
    return same_ref or connection.execute(mine.where(person, clients.c.client_ref == "")).first()


def _live_through(world: World, past: Sequence[tuple[Row, str]]) -> None:
    """What happened in the clinic before the import, the same wherever it is told."""
    for row, event in past:
        _by_hand(world, [one for one in _file(world, [row]) if isinstance(one, GoodRow)])
        with world.store.write() as connection:
            found = connection.execute(
                sa.select(clients.c.id, clients.c.email_folded)
                .where(clients.c.clinic_id == world.clinic.id)
                .order_by(clients.c.id.desc())
            ).first()
            if found is None:
                continue
            if event == "stop":
                revise.stop(connection, world.clinic, found.id, Who("desk", NOW))
            if event == "pause":
                revise.pause(connection, world.clinic, found.id, Who("desk", NOW))
            address = {"clinic_id": world.clinic.id, "email_folded": found.email_folded}
            if event == "suppress" and connection.execute(sa.select(suppressions).filter_by(**address)).first() is None:
                connection.execute(sa.insert(suppressions), {**address, "reason": "bounced", "created_at": NOW})


def _told(world: World) -> dict[str, list[Any]]:
    """Everything of a clinic but for ids, which two clinics in one database cannot share."""

    def rows(query: sa.Select[Any]) -> list[Any]:
        return [tuple(row) for row in connection.execute(query)]

    ids = {"id", "clinic_id", "client_id", "treatment_id", "email_id"}
    told = {}
    with world.store.read() as connection:
        for table in (clients, treatments, emails):
            mine = [column for column in table.c if column.name not in ids]
            query = sa.select(*mine).where(table.c.clinic_id == world.clinic.id)
            if table is emails:
                query = query.add_columns(clients.c.client_ref, clients.c.name, treatments.c.treated_on).select_from(
                    emails.join(clients, clients.c.id == emails.c.client_id).join(
                        treatments, treatments.c.id == emails.c.treatment_id
                    )
                )
                query = query.order_by(emails.c.treatment_id, emails.c.day, emails.c.id)
            told[table.name] = rows(query.order_by(table.c.id))
        told["calls"] = rows(
            sa.select(calls.c.reason, calls.c.opened_at, calls.c.due_at, calls.c.state, clients.c.name, emails.c.step)
            .join(clients, clients.c.id == calls.c.client_id)
            .outerjoin(emails, emails.c.id == calls.c.email_id)
            .where(calls.c.clinic_id == world.clinic.id)
            .order_by(calls.c.id)
        )
    return told


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(past=PASTS, rows=st.lists(ROWS, min_size=1, max_size=8))
def test_an_import_writes_what_registering_row_by_row_writes(
    world: World, past: Sequence[tuple[Row, str]], rows: Sequence[Row]
) -> None:
    with world.store.write() as connection:
        by_hand, imported = (World(world.service, build_clinic(connection)) for _ in range(2))
    _live_through(by_hand, past)
    _live_through(imported, past)
    file = list(_file(world, rows))
    counts = _by_hand(by_hand, [row for row in file if isinstance(row, GoodRow)])
    report = _import(imported, *rows)
    assert (report.accepted, report.unchanged, report.rejected) == counts
    assert _told(imported) == _told(by_hand)
