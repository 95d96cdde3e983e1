"""Getting in and out: what a stranger learns, how long a session lives, what ends it, and that nothing typed is lost."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from httpx2 import Cookies, Response

from service.actions import clinic_setup, second_factor, sign_in, staffing
from service.actions.second_factor import USE, Confirming
from service.actions.sign_in import Signed
from service.store import staff
from service.store.tables import Role, audit
from tests.support.desk import NOON, PASSWORD, staff_member, web
from tests.support.desk_rights import everything
from tests.support.world import World, at

ANOTHER = "copper lantern quiet meadow"
NEW = {"password": ANOTHER, "again": ANOTHER}
#: What a browser says of a form on a page of ours.
OURS = {"origin": "https://testserver"}
PART = {**OURS, "hx-request": "true"}


class Tab:
    """A browser whose clock the test sets; its cookies stay from one request to the next."""

    def __init__(self, world: World, now: str = NOON) -> None:
        self.world, self.now, self.jar, self.csrf = world, at(now), Cookies(), ""

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self.jar.jar}

    @cookies.setter
    def cookies(self, given: dict[str, str]) -> None:
        self.jar = Cookies(given)

    def later(self, **by: int) -> Tab:
        self.now += timedelta(**by)
        return self

    def get(self, path: str, **more: Any) -> Response:
        return self._ask("GET", path, **more)

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> Response:
        more.setdefault("headers", OURS)
        return self._ask("POST", path, data={"csrf": self.csrf, **(data or {})}, **more)

    def _ask(self, method: str, path: str, **more: Any) -> Response:
        with web(self.world, f"{self.now:%Y-%m-%d %H:%M:%S}") as http:
            http.cookies = self.jar
            answer: Response = http.request(method, path, **more)
            self.jar = http.cookies
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', answer.text)
        self.csrf = found[1] if found else self.csrf
        return answer

    def sign_in(self, email: str, password: str = PASSWORD, **more: str) -> Response:
        return self.post("/login", {"email": email, "password": password, **more})

    @property
    def is_in(self) -> bool:
        return self.get("/keys").status_code == 200


def signed_in(world: World, email: str, now: str = NOON) -> Tab:
    tab = Tab(world, now)
    assert tab.sign_in(email).status_code == 303
    assert tab.is_in
    return tab


def hidden(answer: Response) -> dict[str, str]:
    """Names and values of the hidden fields on a page."""
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', answer.text))


def link(world: World, email: str, now: str = NOON) -> str:
    with world.store.write() as connection:
        person = staff.active_with(connection, email)[0]
        return "/welcome/" + sign_in.make_link(connection, person["clinic_id"], person["id"], world.who(now))


def with_code(world: World, email: str) -> pyotp.TOTP:
    """Give somebody a second factor; what their phone shows."""
    keys = world.service.signer.keys(USE)
    with world.store.read() as connection:
        person = staff.active_with(connection, email)[0]
    begun = second_factor.show(keys, email, "set up")
    phone, before = pyotp.TOTP(begun.secret), at(NOON) - timedelta(minutes=5)
    me = Signed(person["clinic_id"], person["id"], "set up", "", before)
    second_factor.confirm(world.store, keys, me, Confirming(begun.sealed, phone.at(before), PASSWORD))
    return phone


# What a stranger learns.


def test_after_ten_tries_in_five_minutes_not_even_the_right_password_opens(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    tab = Tab(world)
    assert [tab.sign_in(email, f"wrong {number}").status_code for number in range(10)] == [401] * 10
    refused = tab.sign_in(email)
    assert refused.status_code == 429
    assert "Wait five minutes" in refused.text
    assert not tab.is_in
    tab.later(minutes=5, seconds=1)
    assert tab.sign_in(email).status_code == 303


def test_whether_an_address_exists_is_not_told(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    said = []
    for typed in (email, "nobody@example.com"):
        tab = Tab(world)
        answers = [tab.sign_in(typed, "wrong") for _ in range(5)]
        said.append([(answer.status_code, answer.text.replace(typed, "ADDRESS")) for answer in answers])
        assert typed in answers[0].text  # what was typed comes back
    assert said[0] == said[1]


def test_who_has_no_password_yet_cannot_sign_in_with_an_empty_one(world: World) -> None:
    with world.store.write() as connection:
        given = {"email": "new@example.com", "name": "New", "role": "owner"}
        clinic_setup.invite(connection, world.clinic, given, world.who(NOON))
    tab = Tab(world)
    assert [tab.sign_in("new@example.com", password).status_code for password in ("", "None", PASSWORD)] == [401] * 3


# One-time links.


def test_a_one_time_link_opens_once_and_a_weak_password_does_not_use_it_up(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    path, tab = link(world, email), Tab(world)
    assert tab.get(path).status_code == 200
    for first, second, why in (
        ("short", "short", "12 are needed"),
        ("northgate clinic northgate", "northgate clinic northgate", "easy to guess"),
        (ANOTHER, PASSWORD, "not the same"),
    ):
        answer = tab.post(path, {"password": first, "again": second})
        assert answer.status_code == 400
        assert why in answer.text
    assert tab.post(path, {"password": ANOTHER, "again": ANOTHER}).status_code == 303
    assert tab.is_in
    for answer in (tab.get(path), tab.post(path, {"password": PASSWORD, "again": PASSWORD})):
        assert answer.status_code == 404
        assert "does not open anything" in answer.text
    assert Tab(world).sign_in(email).status_code == 401
    assert Tab(world).sign_in(email, ANOTHER).status_code == 303


def test_a_link_for_a_new_password_is_good_for_an_hour_the_first_one_for_three_days(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    with world.store.write() as connection:
        given = {"email": "new@example.com", "name": "New", "role": "reception"}
        _, first = clinic_setup.invite(connection, world.clinic, given, world.who(NOON))
    again, first = link(world, email), f"/welcome/{first}"
    tab = Tab(world).later(minutes=59)
    assert (tab.get(again).status_code, tab.get(first).status_code) == (200, 200)
    tab.later(minutes=1)
    assert (tab.get(again).status_code, tab.get(first).status_code) == (404, 200)
    assert tab.later(hours=71).get(first).status_code == 404
    assert tab.post(first, {"password": ANOTHER, "again": ANOTHER}).status_code == 404


def test_a_newer_link_ends_the_older_one_and_a_new_password_ends_every_session(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    tab, older = signed_in(world, email), link(world, email)
    newer = link(world, email)
    assert Tab(world).get(older).status_code == 404
    assert Tab(world).post(newer, {"password": ANOTHER, "again": ANOTHER}).status_code == 303
    assert not tab.is_in


def test_who_made_a_link_that_was_used_is_told_to_whoever_it_was_for_and_to_the_audit(world: World) -> None:
    owner, clinician = signed_in(world, staff_member(world, Role.OWNER)), staff_member(world, Role.CLINICIAN)
    with world.store.read() as connection:
        staff_id = staff.active_with(connection, clinician)[0]["id"]
    theirs = signed_in(world, clinician)
    assert "was used on" not in theirs.get("/").text  # the first link of all is how they came
    owner.get("/settings/staff")
    made = owner.post(f"/settings/staff/{staff_id}/link")
    path = re.search(r"/welcome/[\w-]+", made.text)
    assert path is not None
    # The owner opens it herself: only a new password leads in, and it puts the clinician out.
    assert Tab(world).post(path[0], {"password": "", "again": ""}).status_code == 400
    assert Tab(world).post(path[0], {"password": ANOTHER, "again": ANOTHER}).status_code == 303
    assert not theirs.is_in
    later = Tab(world).later(days=1)
    assert later.post(link(world, clinician, "2026-11-21 11:50"), NEW).status_code == 303
    told = "A link made by <bdi>owner1@northgate-clinic.org</bdi> was used on "
    for page in ("/", "/account"):
        assert told in later.get(page).text
    assert "was used on" not in owner.get("/").text
    later.later(days=7)
    later.sign_in(clinician, ANOTHER)
    assert told not in later.get("/").text
    assert told in later.get("/account").text
    with world.store.read() as connection:
        chosen = sa.select(audit.c.detail).where(audit.c.action == "password chosen").order_by(audit.c.id)
        who = [json.loads(detail)["with_a_link_made_by"] for detail in connection.execute(chosen).scalars()]
    assert who == ["test", "test", "owner1@northgate-clinic.org", world.who(NOON).actor]


def test_looking_at_a_link_does_not_use_it_up(world: World) -> None:
    path = link(world, staff_member(world, Role.OWNER))
    before = everything(world)
    with web(world) as http:
        for method in ("GET", "HEAD", "OPTIONS", "GET"):
            http.request(method, path)
    assert everything(world) == before


# How long a session lives.


def test_a_session_ends_after_half_an_hour_without_a_click(world: World) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    for _ in range(3):
        assert tab.later(minutes=29).is_in  # each click begins the half hour anew
    tab.later(minutes=30, seconds=1)
    assert tab.get("/keys").headers["location"] == "/login?then=%2Fkeys"


def test_a_session_ends_after_twelve_hours_whatever_was_clicked(world: World) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    for _ in range(12 * 3 - 1):
        assert tab.later(minutes=20).is_in
    assert not tab.later(minutes=20).is_in


def test_signing_out_ends_the_session_also_for_whoever_kept_its_cookie(world: World) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    kept = dict(tab.cookies)
    out = tab.later(minutes=5).post("/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert out.headers["set-cookie"].startswith('__Host-aftercare="";')
    assert tab.cookies == {}
    thief = Tab(world)
    thief.cookies = kept
    assert not thief.is_in


def test_who_is_disabled_is_out_at_the_next_click_and_stays_out(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    tab, open_link = signed_in(world, email), link(world, email)
    with world.store.write() as connection:
        person = staff.active_with(connection, email)[0]
        staffing.disable_staff(connection, world.clinic, person["id"], world.who(NOON))
    assert not tab.is_in
    assert Tab(world).sign_in(email).status_code == 401
    assert Tab(world).get(open_link).status_code == 404
    with world.store.write() as connection:
        staffing.enable_staff(connection, world.clinic, person["id"], world.who(NOON))
    assert not tab.is_in
    assert Tab(world).sign_in(email).status_code == 401  # the old password is forgotten
    assert Tab(world).get(open_link).status_code == 404
    assert Tab(world).post(link(world, email), {"password": ANOTHER, "again": ANOTHER}).status_code == 303


def test_another_role_holds_from_the_next_click_on(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    tab = signed_in(world, email)
    with world.store.write() as connection:
        person = staff.active_with(connection, email)[0]
        staffing.change_role(connection, world.clinic, person["id"], "ops", world.who(NOON))
    assert tab.get("/calls").status_code == 403


@pytest.mark.parametrize("harm", ["token", "time", "proof", "nothing of it", "other name"])
def test_a_cookie_that_was_changed_is_none(world: World, harm: str) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    (name, value), later = next(iter(tab.cookies.items())), f"{int(at(NOON).timestamp()) + 60}"
    token, seen, proof = value.split(".")
    changed = {
        "token": f"{token[:-1]}x.{seen}.{proof}",
        "time": f"{token}.{later}.{proof}",
        "proof": f"{token}.{seen}.{proof[:-1]}g",
        "nothing of it": "x" * 4000,
        "other name": value,
    }[harm]
    tab.cookies = {"aftercare" if harm == "other name" else name: changed}
    assert not tab.is_in


def test_on_https_the_cookie_is_bound_to_this_host_and_out_of_reach_of_scripts(world: World) -> None:
    made = Tab(world).sign_in(staff_member(world, Role.RECEPTION)).headers["set-cookie"]
    name, _, rest = made.partition("=")
    assert name == "__Host-aftercare"
    assert {part.strip().lower() for part in rest.split(";")[1:]} == {"path=/", "secure", "httponly", "samesite=lax"}


def test_on_this_machine_without_https_the_cookie_has_a_name_that_browsers_take(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    with web(world) as http:
        answer = http.post("http://testserver/login", data={"email": email, "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith("aftercare=")
        assert "secure" not in answer.headers["set-cookie"].lower()
        assert "httponly" in answer.headers["set-cookie"].lower()


# Where to, and what was typed.


@pytest.mark.parametrize(
    "then",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\r\nLocation: https://evil.example",
        "evil",
        "/é",
        "/" + "x" * 1000,
        "",
    ],
)
def test_after_signing_in_nobody_is_led_to_another_site(world: World, then: str) -> None:
    email = staff_member(world, Role.RECEPTION)
    asked = Tab(world).get("/login", params={"then": then})
    assert hidden(asked)["then"] == "/"
    answer = Tab(world).sign_in(email, then=then)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_after_signing_in_the_page_that_was_asked_for_comes(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    tab = Tab(world)
    asked = tab.get(tab.get("/calls").headers["location"])
    assert tab.sign_in(email, then=hidden(asked)["then"]).headers["location"] == "/calls"


TYPED = {
    "name": "Karim <b>",
    "email": "karim@example.com",
    "then": "x",
    "note": 'two\nlines "quoted"',
    "password_old": PASSWORD,
}


def test_what_was_typed_when_the_session_ended_comes_back_after_signing_in(world: World) -> None:
    """Also fields named like those of the sign-in form; never a password."""
    email = staff_member(world, Role.RECEPTION)
    tab = signed_in(world, email)
    tab.get("/keys")
    page = tab.later(minutes=45).post("/clients/new", TYPED)
    assert page.status_code == 401
    assert "What you typed is kept" in page.text
    assert PASSWORD not in page.text
    page = tab.sign_in(email, "wrong", **unescaped(page))
    assert page.status_code == 401
    page = tab.sign_in(email, **unescaped(page))
    assert page.status_code == 200
    assert 'action="/clients/new"' in page.text
    kept = {key: value for key, value in unescaped(page).items() if key != "csrf"}
    assert kept == {key: value for key, value in TYPED.items() if key != "password_old"}
    assert tab.post("/clients/new", kept).status_code in (200, 303, 400)  # its own page has the word again


def unescaped(answer: Response) -> dict[str, str]:
    return {html.unescape(key): html.unescape(value) for key, value in hidden(answer).items()}


def test_what_was_typed_survives_the_second_factor_too(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    phone = with_code(world, email)
    tab = Tab(world)
    tab.sign_in(email)
    tab.post("/login/code", {"code": phone.at(tab.now)})
    assert tab.is_in
    page = tab.later(minutes=45).post("/clients/new", TYPED)
    page = tab.sign_in(email, **unescaped(page))
    assert "Your code" in page.text
    page = tab.post("/login/code", {"code": "000000", **unescaped(page)})
    assert page.status_code == 401
    page = tab.post("/login/code", {"code": phone.at(tab.now), **unescaped(page)})
    assert 'action="/clients/new"' in page.text
    assert unescaped(page)["email"] == "karim@example.com"


def test_what_was_typed_survives_signing_out_in_another_window(world: World) -> None:
    """The cookie is gone, and with it every sign of a session."""
    email = staff_member(world, Role.RECEPTION)
    tab = signed_in(world, email)
    assert tab.post("/logout").status_code == 303
    assert tab.cookies == {}
    page = tab.post("/clients/new", TYPED)
    assert (page.status_code, "What you typed is kept" in page.text) == (401, True)
    page = tab.sign_in(email, **unescaped(page))
    assert unescaped(page)["note"] == TYPED["note"]
    assert PASSWORD not in page.text


def test_what_was_typed_survives_signing_in_anew_in_another_window(world: World) -> None:
    """The form has the proof of a session that is over: it comes back, with the new one, to be pressed again."""
    email = staff_member(world, Role.RECEPTION)
    client_id = world.client("Ada Lane")
    tab, path = signed_in(world, email), f"/clients/{client_id}/stop"
    tab.get(path)
    old = tab.csrf
    tab.post("/logout")
    tab.sign_in(email)
    before = everything(world)
    page = tab.post(path, {"csrf": old, "reason": "asked <on> the phone", "password": PASSWORD})
    assert page.status_code == 403
    assert everything(world) == before
    kept = unescaped(page)
    assert kept.pop("csrf") != old
    assert kept == {"reason": "asked <on> the phone"}
    assert f'action="{path}"' in page.text
    assert 'as <strong dir="auto">Reception Person' in page.text
    assert PASSWORD not in page.text
    assert tab.post(path, kept).headers["location"] == f"/clients/{client_id}?done=stopped"


@pytest.mark.parametrize("how", ["ended", "signed out", "with a code"])
def test_what_was_typed_does_not_come_back_to_whoever_signs_in_next(world: World, how: str) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    if how == "signed out":
        tab.post("/logout")
    page = tab.later(minutes=45).post("/clients/new", TYPED)
    assert page.status_code == 401
    colleague = staff_member(world, Role.OWNER)
    phone = with_code(world, colleague) if how == "with a code" else None
    page = tab.sign_in(colleague, **unescaped(page))
    if phone is not None:
        page = tab.post("/login/code", {"code": phone.at(tab.now), **unescaped(page)})
    assert page.status_code == 403
    assert "Somebody else typed here" in page.text
    assert TYPED["email"] not in page.text
    assert tab.is_in  # the colleague's own work goes on


def test_what_was_typed_is_not_sent_on_by_a_colleague_who_signed_in_in_another_window(world: World) -> None:
    client_id, email = world.client("Ada Lane"), staff_member(world, Role.RECEPTION)
    tab, path = signed_in(world, email), f"/clients/{client_id}/stop"
    tab.get(path)
    old = tab.csrf
    tab.post("/logout")
    tab.sign_in(staff_member(world, Role.OWNER))
    before = everything(world)
    page = tab.post(path, {"csrf": old, "reason": "asked on the phone"})
    assert (page.status_code, "Somebody else typed here" in page.text) == (403, True)
    assert "asked on the phone" not in page.text
    assert everything(world) == before
    # Whoever typed it signs in again, goes back, and sends it once more.
    tab.sign_in(email)
    assert unescaped(tab.post(path, {"csrf": old, "reason": "asked on the phone"}))["reason"] == "asked on the phone"


@pytest.mark.parametrize(
    "around",
    [
        {},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "https://testserver"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("who", ["nobody", "half", "staff"])
def test_nobody_else_can_put_words_into_a_form_of_ours(world: World, who: str, around: dict[str, str]) -> None:
    email, tab = staff_member(world, Role.RECEPTION), Tab(world)
    if who == "half":
        with_code(world, email)
    if who != "nobody":
        tab.sign_in(email)
    page = tab.post("/clients/new", {**TYPED, "csrf": "0" * 64}, headers=around)
    assert page.status_code == (403 if who == "staff" else 303)
    assert TYPED["email"] not in page.text


def test_a_form_of_secrets_alone_does_not_come_back(world: World) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    secrets = {"csrf": "0" * 64, "sealed": "hunter2", "code": "123456", "password": PASSWORD}
    for path in ("/account/code", "/account/password"):
        page = tab.post(path, secrets)
        assert (page.status_code, "hunter2" in page.text, PASSWORD in page.text) == (403, False, False)
        assert "Go on with it" not in page.text


@pytest.mark.parametrize("how", ["ended", "signed in anew"])
def test_what_a_part_of_the_editor_sent_by_itself_leads_back_to_the_whole_editor(world: World, how: str) -> None:
    world.treat(world.client(), "2026-11-20")
    email = staff_member(world, Role.OWNER)
    tab = signed_in(world, email)
    listed = tab.get("/texts").text
    found = re.search(r'href="(/texts/\d+)"', listed)
    assert found is not None
    editor, typed = found[1], {"source": "My <own> words,\nhalf done", "over": "7", "client": ""}
    if how == "ended":
        page = tab.later(minutes=45).post(f"{editor}/findings", typed, headers=PART)
        assert (page.status_code, page.headers["hx-retarget"]) == (200, "body")
        page = tab.sign_in(email, **unescaped(page))
    else:
        old = tab.csrf
        tab.sign_in(email)
        page = tab.post(f"{editor}/findings", {**typed, "csrf": old}, headers=PART)
        assert (page.status_code, page.headers["hx-retarget"]) == (200, "body")
    assert f'action="{editor}"' in page.text
    before = everything(world)
    again = tab.post(editor, {key: value for key, value in unescaped(page).items() if key != "csrf"})
    assert again.status_code == 200
    assert "My &lt;own&gt; words,\nhalf done</textarea>" in again.text
    assert 'name="over" value="7"' in again.text  # saving still finds out what was saved meanwhile
    assert everything(world) == before


def test_a_form_that_held_nothing_leads_to_the_sign_in_page(world: World) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    answer = tab.later(minutes=45).post("/clients/7/resume")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_part_of_a_page_is_not_replaced_by_the_sign_in_page(world: World) -> None:
    tab = Tab(world)
    answer = tab.get("/calls", headers={"hx-request": "true", "hx-current-url": "https://testserver/outbox?x=1"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login?then=%2Foutbox")
    assert not answer.text


def test_a_strangers_upload_is_not_even_read(world: World) -> None:
    with web(world) as http:
        answer = http.post(
            "/import", content=b"x" * 20_000_000, headers={"content-type": "multipart/form-data; boundary=x"}
        )
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_sign_in_sent_by_another_site_is_refused(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    for around in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        with web(world) as http:
            data = {"email": email, "password": PASSWORD}
            for path in ("/login", "/login/code", link(world, email)):
                assert http.post(path, data=data, headers=around).status_code == 403
            assert not http.cookies


# The second factor.


def test_a_code_opens_once_and_only_for_who_gave_the_password(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    phone = with_code(world, email)
    tab = Tab(world)
    assert tab.get("/login/code").headers["location"] == "/login"
    page = tab.sign_in(email, then="/calls")
    assert (page.status_code, "Your code" in page.text) == (200, True)
    assert tab.get("/calls").headers["location"] == "/login/code?then=%2Fcalls"
    half = dict(tab.cookies)
    code = phone.at(tab.now)
    answer = tab.post("/login/code", {"code": f" {code[:3]} {code[3:]} ", "then": "/calls"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/calls")
    assert tab.is_in
    thief = Tab(world)
    thief.cookies = half
    assert not thief.is_in  # the whole session has a token of its own
    other = Tab(world)
    other.sign_in(email)
    assert other.post("/login/code", {"code": code}).status_code == 401
    assert not other.is_in
    assert other.later(seconds=30).post("/login/code", {"code": phone.at(other.now)}).status_code == 303


def test_half_a_session_lasts_ten_minutes_and_says_so(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    phone, tab = with_code(world, email), Tab(world)
    tab.sign_in(email)
    tab.later(minutes=10, seconds=1)
    page = tab.post(
        "/login/code", {"code": phone.at(tab.now), "kept:note": "typed before", "typist": "x", "then": "/calls"}
    )
    assert page.status_code == 401
    assert "Please sign in again" in page.text
    assert hidden(page) == {"then": "/calls", "kept:note": "typed before", "typist": "x"}


def test_codes_are_throttled_like_passwords_even_over_many_sign_ins(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    phone = with_code(world, email)
    for _ in range(10):
        tab = Tab(world)
        assert tab.sign_in(email).status_code == 200
        assert tab.post("/login/code", {"code": "000000"}).status_code == 401
    refused = tab.post("/login/code", {"code": phone.at(tab.now)})
    assert (refused.status_code, "too many tries" in refused.text) == (429, True)
    tab.later(minutes=5, seconds=1)
    assert tab.post("/login/code", {"code": phone.at(tab.now)}).status_code == 303


def test_where_the_clinic_asks_for_it_everybody_sets_it_up_before_anything_else(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    tab = signed_in(world, email)
    with world.store.write() as connection:
        clinic_setup.change_clinic(connection, world.clinic, {"asks_code": "on"}, world.who(NOON))
    for path in ("/calls", "/account", "/", "/keys"):
        assert tab.get(path).headers["location"] == "/account/code"
    answer = tab.get("/calls", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/account/code")
    page = tab.get("/account/code")
    assert "Your clinic asks everybody" in page.text
    assert "<svg" in page.text
    secret = re.sub(r"\s", "", re.search(r'class="key"[^>]*>([^<]*)<', page.text)[1])  # type: ignore[index]
    sent = {"sealed": hidden(page)["sealed"], "code": pyotp.TOTP(secret).at(tab.now), "password": PASSWORD}
    for harm, said in (({"code": "000000"}, "This code is not right"), ({"password": ""}, "This is not your password")):
        refused = tab.post("/account/code", {**sent, **harm})
        assert (refused.status_code, said in refused.text) == (400, True)
        assert page.text.split('class="key"')[1][:60] in refused.text  # the app need not be set up again
        assert f'id="{next(iter(harm))}-error"' in refused.text
    assert tab.post("/account/code", sent).headers["location"] == "/account?done=code"
    assert tab.is_in
    assert tab.post("/logout").status_code == 303


def test_the_database_alone_does_not_give_away_the_secret_of_a_code(world: World) -> None:
    email = staff_member(world, Role.OWNER)
    phone = with_code(world, email)
    assert phone.secret not in str(everything(world))


# One's own account.


def test_another_password_needs_the_old_one_and_ends_the_other_sessions(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    mine, other, open_link = signed_in(world, email), signed_in(world, email), link(world, email)
    mine.get("/account")
    new = {"password": ANOTHER, "password_again": ANOTHER}
    for typed, beside in (
        ({**new, "password_old": "wrong"}, "password_old"),
        ({"password_old": PASSWORD, "password": ANOTHER, "password_again": "x"}, "password_again"),
        ({"password_old": PASSWORD, "password": "short", "password_again": "short"}, "password"),
        ({"password_old": PASSWORD, "password": PASSWORD, "password_again": PASSWORD}, "password"),
    ):
        answer = mine.post("/account/password", typed)
        assert answer.status_code == 400
        assert f'id="{beside}-error"' in answer.text
    assert other.is_in
    assert (
        mine.post("/account/password", {**new, "password_old": PASSWORD}).headers["location"]
        == "/account?done=password"
    )
    assert (mine.is_in, other.is_in) == (True, False)
    assert Tab(world).get(open_link).status_code == 404
    assert Tab(world).sign_in(email).status_code == 401
    assert Tab(world).sign_in(email, ANOTHER).status_code == 303


def test_who_found_an_open_desk_cannot_guess_the_password_there(world: World) -> None:
    tab = signed_in(world, staff_member(world, Role.RECEPTION))
    tab.get("/account")
    new = {"password": ANOTHER, "password_again": ANOTHER}
    said = [tab.post("/account/password", {**new, "password_old": f"guess {number}"}).text for number in range(11)]
    assert "this is not your password" in said[0].lower()
    assert "too many tries" in said[10]
    assert "too many tries" in tab.post("/account/password", {**new, "password_old": PASSWORD}).text


def test_one_sees_and_ends_ones_own_sessions_and_nobody_elses(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    mine, other, stranger = (signed_in(world, who) for who in (email, email, staff_member(world, Role.OWNER)))
    page = mine.get("/account")
    assert page.text.count("this one") == 1
    others = re.findall(r'name="session" value="([0-9a-f]{16})"', page.text)
    assert len(others) == 2  # the other one, and the one that began when the password was chosen
    with world.store.read() as connection:
        owner = staff.active_with(connection, "owner1@northgate-clinic.org")[0]
        theirs = staff.sessions_of(connection, world.clinic.id, owner["id"], at(NOON))
    assert {mine.post("/account/sessions/end", {"session": one["id"][:16]}).status_code for one in theirs} == {409}
    assert mine.post("/account/sessions/end", {"session": ""}).status_code == 409
    for short in others:
        assert mine.post("/account/sessions/end", {"session": short}).headers["location"] == "/account?done=ended"
    assert (mine.is_in, other.is_in, stranger.is_in) == (True, False, True)


def test_removing_ones_second_factor_needs_the_password(world: World) -> None:
    email = staff_member(world, Role.RECEPTION)
    phone, tab = with_code(world, email), Tab(world)
    tab.sign_in(email)
    tab.post("/login/code", {"code": phone.at(tab.now)})
    tab.get("/account/code")
    wrong = tab.post("/account/code/remove", {"password": "wrong"})
    assert (wrong.status_code, "This is not your password" in wrong.text) == (400, True)
    assert tab.post("/account/code/remove", {"password": PASSWORD}).headers["location"] == "/account?done=removed"
    assert tab.is_in
    assert Tab(world).sign_in(email).status_code == 303
