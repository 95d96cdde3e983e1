"""What real servers answered, of many makes: none that may be alive is taken for dead, and the dead are seen."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from service.domain.replies import Heard, Stage, classify
from service.mail.reports import read_report
from service.mail.signing import Signer
from tests.support.reports import delivery_report

SIGNER = Signer([b"k" * 40])
_LINES = (Path(__file__).parent / "public_replies.tsv").read_text("utf-8").splitlines()
#: Class, status, where it is recorded, words.
RECORDED = list(csv.reader((line for line in _LINES if line[0] != "#"), delimiter="\t", quoting=csv.QUOTE_NONE))
#: Made up after those: a status that says "no such address" beside words that speak of something else.
CONTRARY = (
    "Mailbox is over the allowed size",
    "You are not allowed to send to this group",
    "service currently unavailable, sender ip listed",
    "message looks like unsolicited bulk",
    "Postfach ist voll",
    "Sie sind nicht berechtigt, an diese Gruppe zu schreiben",
    "La boite est pleine",
    "El buzon esta lleno",
)


def class_of(status: str, words: str) -> str:
    report = read_report(delivery_report(SIGNER.bounce_local_part("17"), status=status, words=words), SIGNER)
    (recipient,) = report.recipients
    return str(recipient.bounce_class)


@pytest.mark.parametrize(("expected", "status", "source", "words"), RECORDED, ids=[row[2] for row in RECORDED])
def test_a_recorded_answer_has_its_class(expected: str, status: str, source: str, words: str) -> None:
    assert class_of(status, words) == expected, source


@pytest.mark.parametrize(("expected", "status", "source", "words"), RECORDED, ids=[row[2] for row in RECORDED])
def test_heard_by_ourselves_it_suppresses_nobody_who_may_be_alive(
    expected: str, status: str, source: str, words: str
) -> None:
    text = words.partition(";")[2].strip()
    code = int(text[:3]) if text[:3].isdigit() else 550
    heard = classify(Heard(Stage.RCPT, code, f"{status} {text[3:].strip(' -')}"))
    assert expected == "hard" or not heard.suppress, source


@pytest.mark.parametrize("words", CONTRARY)
@pytest.mark.parametrize("status", ["5.1.1", "5.2.1"])
def test_words_of_another_trouble_outweigh_the_status(status: str, words: str) -> None:
    assert class_of(status, f"smtp; 550 {status} {words}") == "soft"
    assert not classify(Heard(Stage.RCPT, 550, f"{status} {words}")).suppress


def test_the_records_are_of_many_makes() -> None:
    makes = {source.rpartition("-")[0] for _, _, source, _ in RECORDED}
    assert len(makes) >= 40
    assert sum(row[0] == "hard" for row in RECORDED) >= 30
