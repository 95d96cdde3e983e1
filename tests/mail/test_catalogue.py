"""Adding a treatment, a day or a language is a folder or a file; every mistake names the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.domain.letter import facts
from service.domain.sample import sample_letter
from service.errors import BadConfiguration, BadProtocol, BadText
from service.mail.catalogue import Catalogue, templates_root
from service.mail.lint import lint
from service.mail.safeguard import check_safety

ARABIC = """
[words]
date = "EEEE d MMMM"
nameless = "عميلنا"
urgent = "عاجل"
emergency = "طوارئ"
call = "اتصل {phone}"
contact = "{name} على {number}"
next_line = "سنكتب إليك يوم {date}."
closed_line = "{date}: cerrado."
wash_line = "اتبع نصيحة الغسل."
more = "بعد القراءة"
check_in = "أجب عن 6 أسئلة"
today = "انظر ما هو طبيعي"
why = "تصلك هذه الرسائل لأنك وافقت."
stop = "أوقف هذه الرسائل"

[safety]
over = ["انته"]
"""
PROTOCOL = """
title = "Brows"
area = "brows"
steps = [{ key = "day-02", day = 2, useful_until_day = 3, useful_until_at = "12:00" }]
bands = [{ through_day = 9, like = "day-02" }]

[limits.redness]
ok_through_day = 3
words.ar = ["احمرار"]
source = ["seed"]

[[red_flags]]
row = "1"
says = "Hard to breathe"
levels = { day-02 = "E" }
words.ar = ["التنفس"]
source = ["S6"]

[[red_flags]]
row = "12"
says = "Pus"
levels = { day-02 = "D" }
words.ar = ["قيح"]
source = ["S4"]
"""
TEXT = """---
subject: ملاحظة من {{ sender_name }}
preheader: ملاحظة قصيرة.
---

عزيزي {{ greeting_name }}،

هذه الملاحظة ليوم {{ for_date }}. اتصل بنا على {{ phone }}.

- {{ wash_line }}

::: urgent
## اتصل بنا إذا:
- ظهر قيح

{{ phone }}
:::

::: emergency
## اتصل على {{ emergency_number }} إذا:
- صعب عليك التنفس
:::
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the shipped words, to be changed."""
    return Path(shutil.copytree(templates_root(), tmp_path / "email"))


def test_the_shipped_words_are_complete() -> None:
    catalogue = Catalogue.load()
    assert sorted(catalogue.protocols) == ["scalp-micropigmentation", "scalp-tattoo"]
    for key, protocol in catalogue.protocols.items():
        for name in protocol.letters:
            assert catalogue.compile(key, name, "en").bands == (((2, 2), (3, 7), (8, 14)) if name == "catch-up" else ())
        assert [(one.from_day, one.through_day) for one in protocol.today] == [(0, 2), (3, 7), (8, 14), (15, 60)]
        for one in protocol.today:
            assert catalogue.compile(key, one.text, "en").kind == "today"
    assert set(catalogue.notices) == {("hello", "en")}
    assert {protocol.area for protocol in catalogue.protocols.values()} == {"scalp"}


def test_a_new_treatment_in_a_new_language_needs_no_code(root: Path) -> None:
    (root / "brows").mkdir()
    (root / "brows" / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    (root / "brows" / "day-02.ar.md").write_text(TEXT, encoding="utf-8")
    (root / "languages" / "ar.toml").write_text(ARABIC, encoding="utf-8")
    catalogue = Catalogue.load(root)
    protocol = catalogue.protocols["brows"]
    text = catalogue.compile("brows", "day-02", "ar")
    check_safety(text, protocol)
    assert lint(text, protocol) == []
    rendered = text.render(facts(sample_letter("reminder", protocol, 2, "ar"), protocol))
    assert rendered.html.count('lang="ar" dir="rtl"') == 2
    assert 'align="right"' in rendered.html
    assert "padding:0 24px 0 0" in rendered.html
    assert '<span dir="ltr">01632\u00a0960\u00a0001</span>' in rendered.html
    assert "هذه الملاحظة ليوم الأحد 22 نوفمبر" in rendered.text
    assert "عاجل: اتصل بنا إذا:" in rendered.text
    assert "- اتبع نصيحة الغسل." in rendered.text


def test_a_new_day_is_a_step_and_a_file(root: Path) -> None:
    folder = root / "scalp-tattoo"
    protocol = folder / "protocol.toml"
    step = '[[steps]]\nkey = "day-20"\nday = 20\ntext = "day-20"\nuseful_until_day = 21\nuseful_until_at = "20:00"\n\n[catch_up]'
    source = (
        protocol.read_text(encoding="utf-8")
        .replace("[catch_up]", step)
        .replace('through_day = 366\nlike = "day-10"', 'through_day = 366\nlike = "day-20"')
    )
    protocol.write_text(
        source.replace('day-10 = "E" }', 'day-10 = "E", day-20 = "E" }')
        .replace('day-10 = "D" }', 'day-10 = "D", day-20 = "D" }')
        .replace('day-10 = "T" }', 'day-10 = "T", day-20 = "T" }'),
        encoding="utf-8",
    )
    shutil.copy(folder / "day-10.en.md", folder / "day-20.en.md")
    catalogue = Catalogue.load(root)
    assert catalogue.compile("scalp-tattoo", "day-20", "en").kind == "reminder"
    assert catalogue.protocols["scalp-tattoo"].texts[3] == "day-20"


def write(root: Path, name: str, content: str | bytes) -> None:
    file = root / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scalp-tattoo/day_01.en.md", "", "scalp-tattoo/day_01.en.md: is not the name of a text"),
        ("scalp-tattoo/day-01.md", "", "is not the name of a text"),
        ("scalp-tattoo/day-02.en.md", "", "scalp-tattoo/day-02.en.md: no step uses this text"),
        ("scalp-tattoo/day-01.de.md", b"\xff", "scalp-tattoo/day-01.de.md: is not UTF-8 text"),
        ("notices/Hello.en.md", "", "notices/Hello.en.md: is not the name"),
        ("brows/day-01.en.md", "", "brows: there is no protocol.toml"),
    ],
)
def test_a_file_that_nobody_would_read_is_a_mistake(root: Path, name: str, content: str | bytes, words: str) -> None:
    write(root, name, content)
    with pytest.raises(BadText) as caught:
        Catalogue.load(root)
    assert words in caught.value.message
    assert caught.value.next_step


@pytest.mark.parametrize("name", ["scalp-tattoo/protocol.toml", "languages/en.toml"])
def test_a_broken_data_file_is_named(root: Path, name: str) -> None:
    write(root, name, "x = ")
    with pytest.raises(BadProtocol, match=f"^{name}: "):
        Catalogue.load(root)


def test_a_missing_frame_is_named(root: Path) -> None:
    (root / "frame.txt.j2").unlink()
    with pytest.raises(BadText, match=r"frame\.txt\.j2: is missing"):
        Catalogue.load(root)


def test_an_installed_package_reads_its_own_copy_first(tmp_path: Path, root: Path) -> None:
    service = tmp_path / "service"
    with pytest.raises(BadConfiguration):
        templates_root(service)
    shutil.copytree(root, tmp_path / "templates" / "email")
    assert templates_root(service) == tmp_path / "templates" / "email"
    shutil.copytree(root, service / "_templates" / "email")
    assert templates_root(service) == service / "_templates" / "email"


def test_a_text_that_was_not_shipped_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Catalogue.load().compile("scalp-tattoo", "day-01", "de")
