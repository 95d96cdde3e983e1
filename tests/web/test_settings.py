"""Settings, staff and the audit at the desk: what each role sees there, what the owner changes, and what stays secret."""

from __future__ import annotations

import html
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from service.actions import clinic_setup, sign_in
from service.actions.clinic_setup import FIELDS
from service.actions.reading import note_read
from service.store import audit, clinics, outages, staff, watch
from service.store.audit import Deed
from service.store.engine import Store
from service.store.tables import Role
from service.store.tables import audit as lines
from service.web.desk.settings import CLINIC_FORM, FORM_FIELDS, seen_of, stored_fields
from service.wiring import Service
from tests.support.desk import NOON, PASSWORD, Browser, signed_in, staff_member, web
from tests.support.world import World, another_clinic, at

SECRETS = {
    "relay_password": "hunter2-relay",
    "secret_key": "hunter2-ring" * 4,
    "alert_webhook": "https://hooks.example/hunter2",
    "heartbeat_url": "https://beats.example/hunter2",
    "backup_key": "hunter2-backup",
    "relay_username": "hunter2-user",
    "mailbox_url": "imaps://reader:hunter2@mail.example/INBOX",
    "relay_per_minute": 30,
    "bounce_domain": "bounces.example.com",
    "digest_to": "boss@example.com",
}


def words(text: str) -> str:
    """A page without its marks, in one line."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)))


def stored(world: World) -> clinics.Clinic:
    with world.store.read() as connection:
        return clinics.get(connection, world.clinic.id)


# The overview.


def test_the_owner_sees_what_is_missing_before_live_mode_with_the_way_to_mend_it(world: World) -> None:
    with world.store.write() as connection:
        clinic_setup.change_clinic(connection, world.clinic, {"hours": "", "phone": ""}, world.who(NOON))
    world.treat(world.client(), "2026-11-20")
    with signed_in(world, Role.OWNER) as owner:
        page = owner.get("/settings").text
        assert 'href="/settings/clinic#hours"' in page
        assert 'href="/settings/clinic#phone"' in page
        assert 'href="/texts">4 texts in use are not approved by a clinician.' in page
        assert 'href="/settings/staff">There is no clinician' in page
        assert "Now it is trial mode" in words(page)


def test_ops_see_the_machine_and_no_client(world: World) -> None:
    client_id = world.client("Zebedee Quick", "zebedee@example.com")
    world.treat(client_id, "2026-11-20")
    now = at(NOON)
    with world.store.write() as connection:
        watch.beat(connection, "w1", now, "")
        watch.beat(connection, "w2", now, "the relay refused the log-in")
        outages.open_outage(connection, "relay", now - timedelta(hours=3), "535")
        outages.close_outage(connection, "relay", now - timedelta(hours=2))
        watch.open_alert(connection, "missed", "2 reminders were missed", now)
    with signed_in(world, Role.OPS) as ops:
        said = words(ops.get("/settings").text)
    for part in (
        "the line works since Fri 20 Nov, 10:00 (today)",
        "Last good round Fri 20 Nov, 12:00 (today)",
        "Last trouble the relay refused the log-in",
        "Outages in 30 days 1, the last one from Fri 20 Nov, 09:00 (today) to Fri 20 Nov, 10:00 (today)",
        "2 reminders were missed",
        "Trial list example.com",
        "not encrypted, on this machine",
    ):
        assert part in said
    assert not any(name in said for name in ("Zebedee", "zebedee", "not approved", "Change the clinic"))


def test_reception_sees_whether_the_line_works_and_nothing_of_the_machine(world: World) -> None:
    with signed_in(world, Role.RECEPTION) as desk:
        said = words(desk.get("/settings").text)
    assert "nothing was ever sent from here" in said
    assert "Mail server" not in said
    assert "Staff" not in said


@pytest.mark.parametrize("role", [Role.OWNER, Role.OPS])
def test_no_secret_stands_on_the_page(world: World, role: Role) -> None:
    settings = world.service.settings.model_copy(update={})
    told = World(
        Service(type(settings).model_validate({**settings.model_dump(), **SECRETS}), world.store), world.clinic
    )
    with signed_in(told, role) as somebody:
        page = somebody.get("/settings").text
    assert "hunter2" not in page
    assert "30; 30 more can go now" in words(page)
    assert "come back to addresses under bounces.example.com; a worker reads their mailbox" in words(page)


# The clinic's data.


def test_the_form_has_every_field_of_a_clinic_each_with_a_label(world: World) -> None:
    elsewhere = {"asks_code"}  # with the staff
    assert set(FORM_FIELDS) | elsewhere == set(FIELDS)
    with signed_in(world, Role.OWNER) as owner:
        page = owner.get("/settings/clinic").text
        for fields in CLINIC_FORM.values():
            for name, asked in fields.items():
                assert f'<label for="{name}">{asked.label}</label>' in page


def form(world: World, **changed: str) -> dict[str, str]:
    clinic = stored(world)
    values = {name: str(getattr(clinic, name) or "") for name in FORM_FIELDS}
    return {**values, "check_in": "yes" if clinic.check_in else "", "seen": seen_of(stored_fields(clinic)), **changed}


def test_what_the_owner_changes_is_saved_and_written_down_field_by_field(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/clinic")
        sent = form(world, phone="01632 960 009", daily_cap="40", send_at="09:30", check_in="")
        assert "is saved" in owner.after(owner.post("/settings/clinic", sent))
        assert owner.post("/settings/clinic", form(world)).status_code == 303  # nothing changed: nothing written
    clinic = stored(world)
    assert (clinic.phone, clinic.daily_cap, clinic.send_at, clinic.check_in) == ("01632 960 009", 40, "09:30", False)
    with world.store.read() as connection:
        found = audit.search(connection, world.clinic.id, audit.Sought(action="clinic changed"), 9)
    assert [row["detail"] for row in found] == ['{"fields": ["check_in", "daily_cap", "phone", "send_at"]}']


def changed_by_a_colleague(world: World, **fields: str) -> None:
    with world.store.write() as connection:
        clinic_setup.change_clinic(connection, world.clinic, fields, world.who(NOON))


def test_what_a_colleague_changed_while_the_form_was_open_is_shown_and_never_put_back(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/clinic")
        sent = form(world, hours="mon-fri 08:00-12:00", phone="01632 960 007")
        changed_by_a_colleague(world, emergency_number="112", phone="01632 960 008", check_in="off")
        stale = owner.post("/settings/clinic", sent)
        assert stale.status_code == 409
        assert (stored(world).emergency_number, stored(world).hours) == ("112", "mon-fri 09:00-18:00; sat 10:00-14:00")
        said = words(stale.text)
        assert "Nothing of yours was saved yet." in said
        assert (
            "Phone 01632 960 008 Emergency number 112 Clients may answer questions through a link (check-in) no" in said
        )
        assert 'value="mon-fri 08:00-12:00"' in stale.text
        assert 'value="01632 960 007"' in stale.text  # typed here too: the owner decides
        assert shown_again(stale.text)["emergency_number"] == "112"
        assert owner.post("/settings/clinic", shown_again(stale.text)).status_code == 303
    clinic = stored(world)
    assert (clinic.emergency_number, clinic.check_in) == ("112", False)
    assert (clinic.hours, clinic.phone) == ("mon-fri 08:00-12:00", "01632 960 007")


def test_a_mistake_in_one_field_does_not_hide_what_a_colleague_changed_in_another(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/clinic")
        sent = form(world, hours="always")
        changed_by_a_colleague(world, emergency_number="112")
        wrong = owner.post("/settings/clinic", sent)
        assert (wrong.status_code, 'id="hours-error"' in wrong.text) == (400, True)
        mended = {**shown_again(wrong.text), "hours": "mon-fri 08:00-12:00"}
        assert owner.post("/settings/clinic", mended).status_code == 409
    assert stored(world).emergency_number == "112"


def shown_again(page: str) -> dict[str, str]:
    """The clinic's form as a browser would send it from this page."""
    fields = dict(re.findall(r'<input id="\w+" name="(\w+)" type="(?:text|tel|email|time)" value="([^"]*)"', page))
    chosen = re.search(r'<option value="([^"]*)" selected', page)
    seen = re.search(r'name="seen" value="([^"]*)"', page)
    assert chosen is not None
    assert seen is not None
    ticked = {"check_in": "yes"} if re.search(r'id="check_in"[^>]* checked', page) else {}
    return {
        **{name: html.unescape(value) for name, value in fields.items()},
        "language": chosen[1],
        "seen": seen[1],
        **ticked,
    }


def test_closed_days_are_kept_line_by_line_and_a_wrong_one_is_told_beside_its_field(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/clinic")
        sent = form(world, closed_days="2027-01-01\r\n2026-12-25..2026-12-26")
        assert "is saved" in owner.after(owner.post("/settings/clinic", sent))
        assert stored(world).closed_days == "2026-12-25..2026-12-26\n2027-01-01"
        assert "2026-12-25..2026-12-26\n2027-01-01</textarea>" in owner.get("/settings/clinic").text
        wrong = owner.post("/settings/clinic", form(world, closed_days="2026-12-25\n25-26 Dec"))
        assert wrong.status_code == 400
        assert 'id="closed_days-error"' in wrong.text
        assert "Closed days: '25-26' is not a date. Write 2026-12-25" in words(wrong.text)
        assert "2026-12-25\n25-26 Dec</textarea>" in wrong.text
    assert stored(world).closed_days == "2026-12-25..2026-12-26\n2027-01-01"


def test_everything_that_is_wrong_is_said_at_once_beside_its_field_and_what_was_typed_stays(world: World) -> None:
    before = stored(world)
    wrong = {
        "name": "",
        "phone": "none",
        "hours": "always",
        "timezone": "Mars/Base",
        "reply_to": "x",
        "daily_cap": "-1",
    }
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/clinic")
        answer = owner.post("/settings/clinic", form(world, **wrong, sender_name="Kept <Name>"))
    assert answer.status_code == 400
    for name in wrong:
        assert f'id="{name}-error"' in answer.text
        assert f'<li><a href="#{name}">' in answer.text
    assert 'value="Kept &lt;Name&gt;"' in answer.text
    assert stored(world) == before


def test_another_clinics_name_is_taken_and_its_number_is_not_told(world: World) -> None:
    another_clinic(world, name="Southgate")
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/clinic")
        answer = owner.post("/settings/clinic", form(world, name="Southgate"))
    assert answer.status_code == 400
    assert "Another clinic has that name already" in answer.text


def test_while_real_clients_are_written_to_nothing_they_need_can_be_emptied(world: World) -> None:
    live = world.service.settings.model_copy(update={"mode": "live"})
    with signed_in(World(Service(live, world.store), world.clinic), Role.OWNER) as owner:
        owner.get("/settings/clinic")
        answer = owner.post("/settings/clinic", form(world, phone="", from_address=""))
    assert answer.status_code == 400
    assert 'id="phone-error"' in answer.text
    assert 'id="from_address-error"' not in answer.text
    assert stored(world).phone


def test_fields_that_no_form_has_change_nothing(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/clinic")
        sent = {**form(world), "id": "7", "asks_code": "on", "created_at": "2020-01-01", "clinic_id": "2"}
        assert owner.post("/settings/clinic", sent).status_code == 303
    assert (stored(world).asks_code, stored(world).id) == (False, world.clinic.id)


@pytest.mark.parametrize("role", list(Role))
def test_only_who_looks_after_the_program_reads_the_name_of_a_file(world: World, role: Role) -> None:
    with signed_in(world, role) as somebody:
        said = words(somebody.get("/settings/protocols").text)
    is_technical = role in (Role.OWNER, Role.OPS)
    assert ("protocol.toml" in said) is is_technical
    assert ("tell a clinician or the owner of your clinic" in said) is not is_technical


@pytest.mark.parametrize("role", list(Role))
def test_an_outage_is_told_in_plain_words_before_the_technical_ones(world: World, role: Role) -> None:
    with world.store.write() as connection:
        outages.open_outage(connection, "relay", at(NOON), "[Errno 111] refused")
        outages.open_outage(connection, "down", at(NOON), "OperationalError: disk I/O")
    with signed_in(world, role) as somebody:
        said = words(somebody.get("/outages").text)
    plain = "The mail server could not be used, so nothing went out."
    assert plain in said
    assert "The program was not running, or could not do its work, so nothing went out." in said
    is_technical = role in (Role.OWNER, Role.OPS)
    assert (f"{plain} In technical words: [Errno 111] refused" in said) is is_technical
    assert ("Errno" in said, "OperationalError" in said) == (is_technical, is_technical)


def test_the_protocols_are_shown_to_read_with_the_sentence_where_limits_are_changed(world: World) -> None:
    with signed_in(world, Role.RECEPTION) as desk:
        page = desk.get("/settings/protocols").text
    said = words(page)
    assert "Day 1 10:00 (the clinic’s hour) day 2, 12:00 a call; settled if day 3 goes out in time" in said
    assert "redness day 2" in said
    assert "hard to breathe or swallow emergency, now emergency, now emergency, now" in said
    assert page.count("<form") == 1  # to sign out


# Staff.


def test_a_new_colleague_gets_a_link_that_is_shown_once(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/staff")
        answer = owner.post("/settings/staff", {"name": "Bo <i>", "email": "bo@example.com", "role": "reception"})
        (path,) = re.findall(r"http://127\.0\.0\.1:8025(/welcome/[\w-]+)", answer.text)
        assert path not in owner.get("/settings/staff").text
        assert "Bo &lt;i&gt;" in answer.text
    with web(world) as http:
        assert http.post(path, data={"password": PASSWORD, "again": PASSWORD}).status_code == 303
        assert http.get("/calls").status_code == 200


ADDED = {"name": "Bo Reed", "email": "bo@example.com", "role": "reception"}


def link_on(page: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:8025(/welcome/[\w-]+)", page)
    assert found is not None, words(page)
    return found[1]


def nonce_on(page: str) -> str:
    found = re.search(r'name="nonce" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_the_same_press_sent_twice_shows_the_same_link_and_that_opens(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        given = {**ADDED, "nonce": nonce_on(owner.get("/settings/staff").text)}
        first, second = (owner.post("/settings/staff", given) for _ in range(2))
        assert link_on(first.text) == link_on(second.text)
        with world.store.read() as connection:
            (bo,) = (
                one["id"] for one in staff.people(connection, world.clinic.id, at(NOON)) if one["name"] == "Bo Reed"
            )
        again = {"nonce": nonce_on(second.text)}
        pressed = [link_on(owner.post(f"/settings/staff/{bo}/link", again).text) for _ in range(2)]
        assert pressed[0] == pressed[1] != link_on(first.text)
        assert (
            link_on(owner.post(f"/settings/staff/{bo}/link", {"nonce": nonce_on(second.text)[::-1]}).text) != pressed[0]
        )
    assert made_links(world) == 3


def made_links(world: World) -> int:
    """How many one-time links were made, but those the test's own staff began with."""
    with world.store.read() as connection:
        found = audit.search(connection, world.clinic.id, audit.Sought(action="sign-in link made"), 99)
    return len([row for row in found if row["actor"] != "test"])


def test_two_presses_at_once_make_one_link(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        given = {**ADDED, "nonce": nonce_on(owner.get("/settings/staff").text)}
        with ThreadPoolExecutor(2) as both:
            pages = list(both.map(lambda _: owner.post("/settings/staff", given).text, range(2)))
    assert link_on(pages[0]) == link_on(pages[1])
    assert made_links(world) == 1


def test_a_link_is_shown_again_for_minutes_only_and_only_to_who_made_it(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        given = {**ADDED, "nonce": nonce_on(owner.get("/settings/staff").text)}
        link = link_on(owner.post("/settings/staff", given).text)
        other = owner_named(world, "second@example.com")
    with web(world, "2026-11-20 12:06") as http:
        http.post("/login", data={"email": "owner1@northgate-clinic.org", "password": PASSWORD})
        late = Browser(http)
        late.get("/settings/staff")
        answer = late.post("/settings/staff", given)
        assert (answer.status_code, link in answer.text) == (409, False)
        assert "This link was made already, and is not shown again" in answer.text
    with web(world) as http:
        http.post("/login", data={"email": other, "password": PASSWORD})
        somebody = Browser(http)
        somebody.get("/settings/staff")
        answer = somebody.post("/settings/staff", given)
        assert (answer.status_code, link in answer.text) == (400, False)  # the address is taken
        assert http.post(link, data={"password": PASSWORD, "again": PASSWORD}).status_code == 303
    with web(world, "2026-11-20 12:01") as http:
        http.post("/login", data={"email": "owner1@northgate-clinic.org", "password": PASSWORD})
        used = Browser(http)
        used.get("/settings/staff")
        assert used.post("/settings/staff", given).status_code == 409
    assert made_links(world) == 1


def owner_named(world: World, email: str) -> str:
    with world.store.write() as connection:
        given = {"email": email, "name": "Second Owner", "role": Role.OWNER}
        _, token = clinic_setup.invite(connection, world.clinic, given, world.who(NOON))
    sign_in.choose_password(world.store, token, PASSWORD, at(NOON))
    return email


def test_the_links_address_is_the_public_one_where_there_is_one(world: World) -> None:
    public = world.service.settings.model_copy(update={"public_url": "https://desk.northgate.org/"})
    with signed_in(World(Service(public, world.store), world.clinic), Role.OWNER) as owner:
        owner.get("/settings/staff")
        answer = owner.post("/settings/staff", {"name": "Bo", "email": "bo@example.com", "role": "ops"})
    assert "https://desk.northgate.org/welcome/" in answer.text


@pytest.mark.parametrize(
    ("typed", "field"), [({"email": "bo"}, "email"), ({"name": ""}, "name"), ({"role": "king"}, "role")]
)
def test_a_wrong_colleague_is_said_beside_the_field(world: World, typed: dict[str, str], field: str) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/staff")
        given = {"name": "Bo Reed", "email": "bo@example.com", "role": "ops"}
        answer = owner.post("/settings/staff", {**given, **typed, "id": "1", "clinic_id": "9", "password": "x"})
    assert answer.status_code == 400
    assert f'id="{field}-error"' in answer.text
    assert ("Bo Reed" in answer.text) is (field != "name")


def test_the_owner_changes_roles_and_lets_people_go_and_come_back(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    with world.store.read() as connection:
        bo = staff.active_with(connection, email)[0]["id"]
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/staff")
        steps: tuple[tuple[str, dict[str, str], str], ...] = (
            ("role", {"role": "clinician"}, "The role is changed"),
            ("sessions/end", {}, "signed out everywhere"),
            ("code/remove", {}, "second factor is removed"),
            ("disable", {}, "cannot sign in any more"),
            ("enable", {}, "the old password is forgotten"),
        )
        for verb, data, said in steps:
            assert said in owner.after(owner.post(f"/settings/staff/{bo}/{verb}", data))
        assert "/welcome/" in owner.post(f"/settings/staff/{bo}/link").text
        said = words(owner.get("/settings/staff").text)
        assert f"Reception Person {email} clinician has chosen no password yet" in said
        own = re.search(r"Owner Person.*?/settings/staff/(\d+)/", owner.get("/settings/staff").text, re.DOTALL)
        assert own is not None
        alone = owner.post(f"/settings/staff/{own[1]}/disable")
        assert (alone.status_code, "only owner" in alone.text) == (409, True)


def test_the_owner_asks_everybody_for_a_second_factor_also_themselves(world: World) -> None:
    with signed_in(world, Role.OWNER) as owner:
        owner.get("/settings/staff")
        assert owner.post("/settings/staff/code", {"asks_code": "yes"}).status_code == 303
        assert stored(world).asks_code
        assert owner.get("/settings/staff").headers["location"] == "/account/code"


# The audit.


def noted(world: World, *deeds: tuple[str, str, str], now: str = NOON) -> None:
    with world.store.write() as connection:
        for actor, action, subject in deeds:
            audit.note(connection, world.clinic.id, Deed(actor, action, subject, {"to": None, "on": True}), at(now))


def subjects(page: str) -> list[str]:
    return re.findall(r'data-label="To">(?:<a [^>]*>)?([^<]*)<', page)


def test_the_audit_is_searched_by_who_what_to_what_and_day(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    noted(other, ("ann@example.com", "client stopped", "client 3"))
    noted(world, ("ann@example.com", "client stopped", "client 7"), ("bo@example.com", "client stopped", "client 70"))
    noted(world, ("ann@example.com", "100%_done", "client 8"), now="2026-11-18 23:30")
    note_read(world.store, world.clinic.id, "bo@example.com", 7, at(NOON))
    with signed_in(world, Role.OWNER) as owner:
        for asked, found in (
            ("actor=ANN", ["client 8", "client 7"]),
            ("action=stopped", ["client 70", "client 7"]),
            ("action=opened", ["client 7"]),
            ("subject=Client++7", ["client 7", "client 7"]),
            ("action=100%25_", ["client 8"]),
            ("action=%25", ["client 8"]),
            ("actor=ann&since=2026-11-18&until=2026-11-18", ["client 8"]),
            ("actor=ann&since=2026-11-19", ["client 7"]),
            ("actor=nobody", []),
        ):
            assert subjects(owner.get(f"/audit?{asked}").text) == found, asked
        assert 'href="/clients/7"' in owner.get("/audit?subject=client+7").text
        assert "on: yes · to: none" in words(owner.get("/audit?actor=ann").text)
        wrong = owner.get("/audit?since=2026-02-30")
        assert (wrong.status_code, 'id="since-error"' in wrong.text) == (400, True)


def test_a_long_audit_is_shown_page_by_page_the_newest_first(world: World) -> None:
    noted(world, *(("ann", "act", f"client {number}") for number in range(250)))
    found, path = [], "/audit?actor=ann&action=act"
    with signed_in(world, Role.OWNER) as owner:
        while path:
            page = owner.get(path).text
            found += subjects(page)
            more = re.search(r'href="(/audit\?[^"]*before=[^"]*)"', page)
            path = html.unescape(more[1]) if more else ""
        assert owner.get("/audit?before=x").status_code == 200
    assert found == [f"client {number}" for number in reversed(range(250))]


def test_the_owner_can_see_whether_the_record_is_whole(world: World, store: Store) -> None:
    noted(world, ("ann", "act", "client 7"), ("bo", "act", "client 8"))
    with signed_in(world, Role.OWNER) as owner:
        assert "lines are as written, and none between them is gone" in words(owner.get("/audit?verify=1").text)
        with store.write() as connection:
            for statement in (
                ("DROP TRIGGER audit_no_update",)
                if store.is_sqlite
                else ("ALTER TABLE audit DISABLE TRIGGER audit_no_change",)
            ):
                connection.exec_driver_sql(statement)
            connection.execute(sa.update(lines).where(lines.c.actor == "ann").values(actor="eve"))
        assert "1 do not fit" in words(owner.get("/audit?verify=1").text)
        assert "eve" in owner.get("/audit").text
