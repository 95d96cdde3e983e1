from __future__ import annotations

from datetime import date

import pytest

from service.domain.finding import WORD_LIMIT, Sought, fold_word, found_by, read_day, read_sought

TODAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Sam Reed", ["sam", "reed"]),
        ("Zoë  O'Neill", ["zoe", "oneill", "neill"]),
        ("Anne-Marie D’Angelo", ["anne", "marie", "dangelo", "angelo"]),
        ("Łukasz Øster Æsir Þór", ["lukasz", "oster", "aesir", "thor"]),
        ("İSMET Işık", ["ismet", "isik"]),
        ("Groß GROSS", ["gross"]),
        ("Андрей Ёлкин", ["андреи", "елкин"]),
        ("Γιώργος Παπαδόπουλος", ["γιωργοσ", "παπαδοπουλοσ"]),
        ("مُحَمَّد أحمد", ["محمد", "احمد"]),
        ("שָׁרָה כהן", ["שרה", "כהן"]),
        ("सुनील कुमार", ["सुनील", "कुमार"]),
        ("สมชาย ใจดี", ["สมชาย", "ใจดี"]),
        ("王小明", ["王小明", "小明", "明"]),
        ("김민수", ["김민수", "민수", "수"]),
        ("たがわ がく", ["たがわ", "がわ", "わ", "がく", "く"]),
        ("---", []),
        ("x" * 150, ["x" * WORD_LIMIT]),
    ],
)
def test_a_name_is_found_by_its_words_in_every_script(name: str, words: list[str]) -> None:
    assert found_by(name, "") == words


def test_a_phone_number_is_found_from_both_ends_without_its_extension() -> None:
    assert found_by("", "+44 (1632) 960-001 ext 12") == ["441632960001", "~100069236144"]
    assert found_by("", "12") == []


def test_folding_ascii_is_the_same_as_folding_anything() -> None:
    assert fold_word("SAM") == "sam"
    assert fold_word("ＳＡＭ") == "sam"


@pytest.mark.parametrize(
    ("typed", "sought"),
    [
        ("", Sought()),
        ("ree sa", Sought(words=("ree", "sa"))),
        ("sam sam", Sought(words=("sam",))),
        ("O'Ne", Sought(words=("one",), address="o'ne")),
        ("SAM", Sought(words=("sam",), address="sam")),
        ("Sam@Example", Sought(address="sam@example")),
        ("01632 960", Sought(digits="01632960")),
        ("+44 (1632) 960-001", Sought(digits="441632960001")),
        ("001", Sought(digits="001")),
        ("01", Sought(words=("01",), address="01")),
        ("2026-11-20", Sought(on=date(2026, 11, 20))),
        ("20 nov", Sought(on=date(2026, 11, 20))),
        ("a\x00b\ud800", Sought(words=("ab",), address="ab")),
    ],
)
def test_what_is_typed_is_understood(typed: str, sought: Sought) -> None:
    assert read_sought(typed, TODAY) == sought


@pytest.mark.parametrize(
    ("typed", "day"),
    [
        ("2026-11-20", date(2026, 11, 20)),
        ("20.11.", date(2026, 11, 20)),
        ("20.11", date(2026, 11, 20)),
        ("20. 11. 2025", date(2025, 11, 20)),
        ("21.11.", date(2025, 11, 21)),
        ("29.2.", date(2024, 2, 29)),
        ("20 nov", date(2026, 11, 20)),
        ("Fri 20 November 2026", date(2026, 11, 20)),
        ("20nov", date(2026, 11, 20)),
        ("21 nov 2026", date(2026, 11, 21)),
        ("31.2.", None),
        ("03/04", None),
        ("20 sam", None),
        ("2026-13-01", None),
    ],
)
def test_a_day_is_read_as_people_write_it_the_last_such_one_without_a_year(typed: str, day: date | None) -> None:
    assert read_day(typed, TODAY) == day
