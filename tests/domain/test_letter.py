"""The facts of a letter are plain strings, one for each slot its text may use."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from service.domain.letter import LetterKind, SlotKind, facts, slot_kinds
from service.domain.protocol import FollowUpProtocol
from service.domain.sample import sample_letter
from service.mail.catalogue import Catalogue

KINDS: list[LetterKind] = ["reminder", "catch_up", "hello", "today"]


@pytest.fixture(scope="module")
def protocol() -> FollowUpProtocol:
    return Catalogue.load().protocols["scalp-micropigmentation"]


def facts_of(slot: str, kind: SlotKind) -> set[str]:
    if kind is SlotKind.CONTACT:
        return {f"{slot}_name", f"{slot}_number"}
    return {slot.replace("_line", "_date")} if kind is SlotKind.DATED_LINE else {slot}


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_exactly_what_the_slots_need_with_the_day_and_the_reply_address(
    protocol: FollowUpProtocol, kind: LetterKind
) -> None:
    found = facts(sample_letter(kind, protocol, 5, "en"), protocol)
    needed = set().union(*(facts_of(slot, slot_kind) for slot, slot_kind in slot_kinds(protocol, kind).items()))
    assert set(found) == needed | {"day", "reply_to"}


@pytest.mark.parametrize("kind", KINDS)
def test_facts_survive_being_frozen_as_json(protocol: FollowUpProtocol, kind: LetterKind) -> None:
    found = facts(sample_letter(kind, protocol, 3, "en"), protocol)
    assert json.loads(json.dumps(found)) == found
    assert all(type(value) is str for value in found.values())


def test_the_dates_of_the_protocol_count_from_the_treatment(protocol: FollowUpProtocol) -> None:
    found = facts(sample_letter("reminder", protocol, 1, "en"), protocol)
    assert found["treated_date"] == "2026-11-20"
    assert found["redness_ok_until"] == "2026-11-22"
    assert found["redness_over_from"] == "2026-11-23"
    assert found["few_scabs_ok_until"] == "2026-12-01"
    assert found["day_10_date"] == "2026-11-30"
    assert found["next_date"] == "2026-11-23"
    assert found["day"] == "1"


def test_the_last_letter_names_no_next_one(protocol: FollowUpProtocol) -> None:
    assert facts(sample_letter("reminder", protocol, 10, "en"), protocol)["next_date"] == ""


def test_only_a_catch_up_has_a_missed_date(protocol: FollowUpProtocol) -> None:
    assert facts(sample_letter("catch_up", protocol, 5, "en"), protocol)["missed_date"] == "2026-11-23"
    assert "missed_date" not in slot_kinds(protocol, "reminder")


def test_a_page_greets_nobody_and_promises_no_e_mail(protocol: FollowUpProtocol) -> None:
    found = facts(sample_letter("today", protocol, 1, "en"), protocol)
    assert "Sam" not in found.values()
    assert not {"greeting_name", "next_date", "stop_url", "today_url"} & found.keys()
    assert not {"greeting_name", "next_line", "stop_url", "today_url"} & slot_kinds(protocol, "today").keys()


def test_a_hello_needs_no_treatment_and_knows_nothing_of_one(protocol: FollowUpProtocol) -> None:
    letter = replace(sample_letter("hello", None, 0, "en"), treated_on=None)
    found = facts(letter, None)
    assert not {"treated_date", "for_date", "emergency_number", "redness_ok_until"} & found.keys()
    assert facts(replace(letter, protocol=protocol.key), protocol) == found


def test_a_letter_without_a_treatment_date_has_no_dates_to_show(protocol: FollowUpProtocol) -> None:
    found = facts(replace(sample_letter("reminder", protocol, 1, "en"), treated_on=None), protocol)
    assert found["treated_date"] == ""
    assert "redness_ok_until" not in found
