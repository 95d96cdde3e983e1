"""What is kept of the words of a reply."""

from dataclasses import replace

import pytest

from service.domain.replies import classify
from tests.support.relay_talk import PARCEL, address_of, run, talk
from tests.support.scripted_relay import Reply, ScriptedRelay, at


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("5.1.1 <jane.doe@client.test>: unknown", "5.1.1 <address>: unknown"),
        ("5.1.1 Jane.Doe: user unknown", "5.1.1 <address>: user unknown"),
        ("see why?id=jane.doe%40client.test;ip=1", "see <address>;ip=1"),
        ('"jane doe"@client.test unknown', "<address> unknown"),
        ("other@[192.0.2.1] too", "<address> too"),
        ("tab\tbell\x07 null\x00 high\x9b end", "tab bell null high end"),
        ("x" * 499 + "é" + "y" * 10, "x" * 499 + "é"),
        (" ".join(["word"] * 300), (" ".join(["word"] * 300))[:500]),
        (("5.1.1 two", "5.1.1 lines"), "5.1.1 two lines"),
        (("two", "other lines"), "two other lines"),
        ("", ""),
    ],
    ids=str,
)
def test_the_words_are_one_clean_line_without_an_address(words: str | tuple[str, ...], kept: str) -> None:
    with ScriptedRelay(at("rcpt", Reply(550, words))) as relay:
        assert run(talk(address_of(relay), PARCEL))[0].text == kept


def test_a_local_part_that_is_a_word_of_replies_does_not_hide_their_meaning() -> None:
    with ScriptedRelay(at("rcpt", Reply(550, "user unknown"))) as relay:
        heard = run(talk(address_of(relay), replace(PARCEL, rcpt_to="user@client.test")))
    assert heard[0].text == "user unknown"
    assert classify(heard[0]).suppress
