"""The check-in's rules against the table of signs, row by row and day by day, for both shipped protocols."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.protocol import FollowUpProtocol, Level
from service.domain.triage import advice, check_in_of, filled, read_answers, rules_version, triage, words_for
from service.errors import BadInput
from service.mail.catalogue import Catalogue

PROTOCOLS = Catalogue.load().protocols
SMP, TATTOO = PROTOCOLS["scalp-micropigmentation"], PROTOCOLS["scalp-tattoo"]
BOTH = pytest.mark.parametrize("protocol", [SMP, TATTOO], ids=lambda one: one.key)
CLEAR = {"q1": ["none"], "q2": ["no"], "q3": ["none"], "q4": ["none"], "q5": ["none"], "q6": ["none"]}
GRAVITY = {letter: number for number, letter in enumerate("NVSTDE")}


def bands(day_1: str, day_3: str, day_10: str) -> str:
    """A letter a day, 0 to 14: days 0-2 read like day 1, 3-7 like day 3, 8-14 like day 10."""
    return day_1 * 3 + day_3 * 5 + day_10 * 7


#: Answer -> its row, and its level on days 0 to 14 with nothing else ticked.
TABLE = {
    "q1.breathing": ("1", bands("E", "E", "E")),
    "q1.mouth_swelling": ("2", bands("E", "E", "E")),
    "q1.confused": ("3", bands("E", "E", "E")),
    "q1.blue_skin": ("4", bands("E", "E", "E")),
    "q1.very_ill_spreading": ("5", bands("E", "E", "E")),
    "q1.heavy_bleeding": ("6", bands("E", "E", "E")),
    "q2.hot_cold_shivery": ("9", bands("D", "D", "D")),
    "q2.unwell": ("10", bands("D", "D", "D")),
    "q3.fading": ("13", bands("N", "T", "T")),
    "q3.sore_easing": ("18", bands("N", "N", "T")),
    "q3.wider": ("14", bands("T", "T", "T")),
    "q3.hot_spreading": ("11", bands("D", "D", "D")),
    "q3.pain_same": ("19", bands("T", "T", "T")),
    "q3.came_back": ("15", bands("T", "T", "T")),
    "q3.streaks": ("8", bands("D", "D", "D")),
    "q4.slight": ("17", bands("N", "T", "T")),
    "q4.face": ("17b", bands("T", "T", "T")),
    "q4.glands": ("16", bands("T", "T", "T")),
    "q4.new_bumps": ("15", bands("T", "T", "T")),
    "q5.clear_fluid": ("20", bands("N", "T", "T")),
    "q5.pus": ("12", bands("D", "D", "D")),
    "q5.bleeding": ("7", bands("D", "D", "D")),
    "q5.blisters": ("21", bands("T", "T", "T")),
    "q5.rash": ("22", bands("T", "T", "T")),
    "q6.small_scabs": ("24", "NNNNNNNNNNNNSSS"),
    "q6.most_scabs": ("24b", bands("N", "N", "S")),
    "q6.dots_big": ("25", bands("N", "N", "S")),
    "q6.dots_blue": ("26", bands("S", "S", "S")),
    "q6.patchy": ("27", bands("V", "V", "V")),
    "q6.itchy": ("23", "NNNNNVVVSSSSSSS"),
}
#: A tattoo has no dots, and its scabs may take two weeks.
TATTOO_TABLE = {answer: row for answer, row in TABLE.items() if not answer.startswith("q6.dots_")} | {
    "q6.small_scabs": ("24", bands("N", "N", "N")),
    "q6.most_scabs": ("24b", bands("N", "N", "N")),
}
TABLES = {SMP.key: TABLE, TATTOO.key: TATTOO_TABLE}
CASES = [
    pytest.param(protocol, answer, row, days, id=f"{protocol.key}-{row}-{answer}")
    for protocol in (SMP, TATTOO)
    for answer, (row, days) in TABLES[protocol.key].items()
]


def answered(*ticked: str) -> dict[str, list[str]]:
    """Nothing of anything, but these ("q3.fading")."""
    given = {key: list(options) for key, options in CLEAR.items()}
    for answer in ticked:
        question, _, option = answer.partition(".")
        given[question] = [one for one in given[question] if [one] != CLEAR[question]] + [option]
    return given


def level(protocol: FollowUpProtocol, day: int, *ticked: str) -> str:
    return triage(protocol, day, answered(*ticked)).level.value


@pytest.mark.parametrize(("protocol", "answer", "row", "days"), CASES)
def test_every_row_has_its_level_on_every_day(protocol: FollowUpProtocol, answer: str, row: str, days: str) -> None:
    assert "".join(level(protocol, day, answer) for day in range(15)) == days
    late = max(days[14], "S", key=GRAVITY.__getitem__)
    assert {level(protocol, day, answer) for day in range(15, 61)} == {late}
    assert all(row in triage(protocol, day, answered(answer)).rules for day in range(61))


@BOTH
def test_the_options_are_those_of_the_table_and_nothing_else(protocol: FollowUpProtocol) -> None:
    check_in = check_in_of(protocol)
    asked = {f"{question.key}.{answer.key}" for question in check_in.questions for answer in question.answers}
    assert asked == set(TABLES[protocol.key])
    assert {question.key: [question.clear] for question in check_in.questions} == CLEAR
    assert all(question.options[-1] == "not_sure" for question in check_in.questions)


@BOTH
def test_every_red_flag_but_the_one_that_is_only_said_is_asked_with_the_level_of_the_e_mails(
    protocol: FollowUpProtocol,
) -> None:
    answers = {answer.row: answer for question in check_in_of(protocol).questions for answer in question.answers}
    assert {flag.row for flag in protocol.red_flags} - set(answers) == {"29"}
    for flag in protocol.red_flags:
        if flag.row in answers:
            assert (answers[flag.row].levels, answers[flag.row].says) == (flag.levels, flag.says)
    assert all(answer.source for answer in answers.values())


@BOTH
def test_nothing_ticked_is_normal_for_two_weeks_and_then_no_longer(protocol: FollowUpProtocol) -> None:
    assert {level(protocol, day) for day in range(15)} == {"N"}
    assert triage(protocol, 14, CLEAR).rules == ()
    assert {level(protocol, day) for day in range(15, 367)} == {"S"}
    assert triage(protocol, 15, CLEAR).rules == ("late",)
    assert "late" not in triage(protocol, 15, answered("q4.glands")).rules


@pytest.mark.parametrize("day", [0, 1, 2, 3, 7, 8, 14, 15, 60, 366])
@BOTH
def test_silence_and_doubt_are_never_normal(protocol: FollowUpProtocol, day: int) -> None:
    for question in CLEAR:
        silent = {key: options for key, options in CLEAR.items() if key != question}
        for answers in (silent, silent | {question: []}):
            outcome = triage(protocol, day, answers)
            assert (outcome.level.value, outcome.rules) == ("T", (f"{question}.unanswered",))
        unsure = triage(protocol, day, CLEAR | {question: ["not_sure"]})
        assert unsure.level.value == ("D" if question == "q1" else "T")
        assert f"{question}.not_sure" in unsure.rules
    assert triage(protocol, day, {}).level is Level.TODAY


def test_the_gravest_answer_wins_and_is_named_first() -> None:
    outcome = triage(SMP, 3, answered("q3.fading", "q5.pus", "q6.patchy", "q4.glands"))
    assert outcome.level is Level.DOCTOR
    assert outcome.rules == ("12", "13", "16", "27")
    assert triage(SMP, 3, answered("q3.came_back", "q4.new_bumps")).rules == ("15",)


@BOTH
def test_an_emergency_beats_everything_and_ends_the_form(protocol: FollowUpProtocol) -> None:
    everything = {question.key: list(question.options) for question in check_in_of(protocol).questions}
    for day in range(61):
        assert triage(protocol, day, everything).level is Level.EMERGENCY
    assert triage(protocol, 1, {"q1": ["breathing"]}).rules == ("1",)
    assert triage(protocol, 1, {"q1": ["not_sure"]}).rules == ("q1.not_sure",)
    assert triage(protocol, 1, {"q1": ["none"]}).rules == tuple(f"q{n}.unanswered" for n in range(2, 7))


def test_a_form_that_ends_early_cannot_hide_what_silence_would_say() -> None:
    """If silence is graver than what ended the form, it still counts."""
    strict = replace(check_in_of(SMP), unanswered=Level.EMERGENCY)
    assert triage(replace(SMP, check_in=strict), 1, {"q1": ["not_sure"]}).level is Level.EMERGENCY


@BOTH
def test_nothing_beside_something_counts_as_something(protocol: FollowUpProtocol) -> None:
    for answer in TABLES[protocol.key]:
        question, _, option = answer.partition(".")
        for day in (1, 5, 10, 20):
            alone = triage(protocol, day, CLEAR | {question: [option]})
            for both in ([option, *CLEAR[question]], [*CLEAR[question], option]):
                assert triage(protocol, day, CLEAR | {question: both}) == alone
    assert triage(protocol, 1, CLEAR | {"q3": ["none", "not_sure"]}).level is Level.TODAY


@pytest.mark.parametrize(
    "beside", ["q3.fading", "q3.sore_easing", "q3.wider", "q3.pain_same", "q3.came_back", "q4.slight", "q4.face"]
)
def test_blue_dots_in_hot_sore_or_swollen_skin_are_a_call_today(beside: str) -> None:
    assert [level(SMP, day, "q6.dots_blue", beside) for day in (0, 1, 2, 3, 10, 60)] == ["T"] * 6


def test_blue_dots_are_not_blue_skin() -> None:
    assert level(SMP, 1, "q6.dots_blue") == "S"
    assert level(SMP, 1, "q1.blue_skin") == "E"


@BOTH
def test_red_lines_with_a_high_temperature_are_an_emergency(protocol: FollowUpProtocol) -> None:
    for day in range(61):
        assert level(protocol, day, "q3.streaks", "q2.hot_cold_shivery") == "E"
        assert level(protocol, day, "q3.streaks", "q2.unwell") == "D"


@BOTH
@pytest.mark.parametrize("sign", ["q2.hot_cold_shivery", "q2.unwell", "q3.hot_spreading", "q3.streaks", "q5.pus"])
def test_swollen_glands_with_a_graver_sign_are_for_a_doctor(protocol: FollowUpProtocol, sign: str) -> None:
    assert level(protocol, 1, "q4.glands", sign) == "D"


def test_dots_that_look_big_count_only_once_the_scabs_are_gone() -> None:
    assert level(SMP, 10, "q6.dots_big") == "S"
    assert level(SMP, 10, "q6.dots_big", "q6.small_scabs") == "N"
    assert level(SMP, 10, "q6.dots_big", "q6.most_scabs") == "S"
    assert level(SMP, 12, "q6.dots_big", "q6.small_scabs") == "S"


def test_most_scabs_still_there_is_offered_from_day_8() -> None:
    for protocol in (SMP, TATTOO):
        answers = {answer.key: answer for answer in check_in_of(protocol).questions[5].answers}
        assert {key: one.from_day for key, one in answers.items() if one.from_day} == {"most_scabs": 8}


def test_a_limit_that_a_clinician_shortens_holds_from_its_day() -> None:
    limits = SMP.limits | {"redness": replace(SMP.limits["redness"], ok_through_day=1)}
    assert [level(replace(SMP, limits=limits), day, "q3.fading") for day in range(4)] == ["N", "N", "T", "T"]


def falls(protocol: FollowUpProtocol, answers: object) -> list[str]:
    """The days 0 to 60 as letters, if the level ever falls from one day to the next."""
    letters = [triage(protocol, day, answers).level.value for day in range(61)]
    return letters if any(GRAVITY[a] > GRAVITY[b] for a, b in pairwise(letters)) else []


@BOTH
def test_no_set_of_answers_to_one_question_gets_less_urgent_by_waiting(protocol: FollowUpProtocol) -> None:
    for question in check_in_of(protocol).questions:
        signs = [answer.key for answer in question.answers]
        for ticked in chain.from_iterable(combinations(signs, size) for size in range(len(signs) + 1)):
            assert falls(protocol, CLEAR | {question.key: list(ticked)}) == []


@BOTH
def test_no_pair_of_answers_gets_less_urgent_by_waiting(protocol: FollowUpProtocol) -> None:
    for pair in combinations(TABLES[protocol.key], 2):
        assert falls(protocol, answered(*pair)) == []


def some_answers(protocol: FollowUpProtocol) -> st.SearchStrategy[dict[str, list[str]]]:
    """Any answers there can be, with questions left out and left empty."""
    options = {question.key: question.options for question in check_in_of(protocol).questions}
    lists = {key: st.lists(st.sampled_from(those), unique=True) for key, those in options.items()}
    return st.fixed_dictionaries({}, optional=lists)


ANY_CHECK_IN = st.sampled_from(sorted(PROTOCOLS)).flatmap(
    lambda key: st.tuples(st.just(key), some_answers(PROTOCOLS[key]))
)


@given(ANY_CHECK_IN)
def test_no_set_of_answers_gets_less_urgent_by_waiting(check_in: tuple[str, dict[str, list[str]]]) -> None:
    protocol, answers = PROTOCOLS[check_in[0]], check_in[1]
    assert falls(protocol, answers) == []


@given(ANY_CHECK_IN, st.integers(0, 366), st.data())
def test_one_more_sign_never_makes_it_less_urgent(
    check_in: tuple[str, dict[str, list[str]]], day: int, data: st.DataObject
) -> None:
    """Scabs are no sign: they explain dots that look big."""
    protocol, answers = PROTOCOLS[check_in[0]], check_in[1]
    asked = {key: options for key, options in CLEAR.items() if key not in answers} | answers
    more = data.draw(st.sampled_from([one for one in TABLES[protocol.key] if not one.endswith("_scabs")]))
    question, _, option = more.partition(".")
    worse = asked | {question: list(dict.fromkeys([*asked[question], option]))}
    if asked[question]:
        before, after = triage(protocol, day, asked), triage(protocol, day, worse)
        assert GRAVITY[after.level] >= GRAVITY[before.level]
        rows = {row for row, _ in TABLE.values()}
        assert set(before.rules) & rows <= set(after.rules)


@given(ANY_CHECK_IN, st.integers(0, 366))
def test_the_order_of_answers_changes_nothing(check_in: tuple[str, dict[str, list[str]]], day: int) -> None:
    protocol, answers = PROTOCOLS[check_in[0]], check_in[1]
    turned = {key: tuple(reversed(options)) for key, options in reversed(answers.items())}
    assert triage(protocol, day, turned) == triage(protocol, day, answers)


@pytest.mark.parametrize(
    ("answers", "field", "says"),
    [
        (None, "answers", "None is not a set of answers"),
        ([], "answers", "is not a set of answers"),
        (7, "answers", "is not a set of answers"),
        ("q1", "answers", "is not a set of answers"),
        ({"q7": ["none"]}, "answers", "there is no question 'q7'"),
        ({"Q1": ["none"]}, "answers", "there is no question 'Q1'"),
        ({7: ["none"]}, "answers", "there is no question 7"),
        ({"q1": "none"}, "answers.q1", "'none' is not a list"),
        ({"q1": None}, "answers.q1", "None is not a list"),
        ({"q1": {"none": True}}, "answers.q1", "is not a list"),
        ({"q1": [["none"]]}, "answers.q1", "there is no answer ['none'] to q1"),
        ({"q1": [None]}, "answers.q1", "there is no answer None to q1"),
        ({"q1": [1]}, "answers.q1", "there is no answer 1 to q1"),
        ({"q1": ["fading"]}, "answers.q1", "there is no answer 'fading' to q1"),
        ({"q1": ["NONE"]}, "answers.q1", "there is no answer 'NONE' to q1"),
        ({"q1": [""]}, "answers.q1", "there is no answer '' to q1"),
        ({"q2": ["none"]}, "answers.q2", "there is no answer 'none' to q2"),
        ({"q1": ["none", "none"]}, "answers.q1", "'none' stands there twice"),
        ({"q3": ["x" * 10_000_000]}, "answers.q3", "there is no answer 'xxx"),
        ({"q3": ["fading"] * 1_000_000}, "answers.q3", "'fading' stands there twice"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_naming_what_there_is(answers: object, field: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        triage(SMP, 1, answers)
    assert caught.value.field == field
    assert says in caught.value.message
    assert len(caught.value.message) < 200
    fix = caught.value.next_step or ""
    assert any(word in fix for word in ("q1, q2, q3", "not_sure", "Name each answer once", '{"q1": ["none"]}'))


def test_a_tattoo_is_not_asked_about_dots() -> None:
    with pytest.raises(BadInput, match="no answer 'dots_blue' to q6"):
        read_answers(check_in_of(TATTOO), {"q6": ["dots_blue"]})


@pytest.mark.parametrize("day", [-1, 367, 10**30, True, 3.0, "3", None, [3]])
def test_an_impossible_day_is_refused(day: object) -> None:
    with pytest.raises(BadInput, match="is not a day") as caught:
        triage(SMP, day, CLEAR)  # type: ignore[arg-type]
    assert caught.value.field == "day"
    assert "0 to 366" in (caught.value.next_step or "")


def test_a_protocol_without_a_check_in_says_so() -> None:
    with pytest.raises(BadInput, match="has no check-in") as caught:
        triage(replace(SMP, check_in=None), 1, CLEAR)
    assert caught.value.field == "protocol"


def test_the_version_follows_what_decides_a_level_and_not_the_words() -> None:
    check_in = check_in_of(SMP)
    same = replace(SMP, title="Other", check_in=replace(check_in, words={}))
    assert rules_version(same) == rules_version(SMP)
    limits = SMP.limits | {"itch": replace(SMP.limits["itch"], ok_through_day=3)}
    for other in (
        replace(SMP, limits=limits),
        replace(SMP, bands=SMP.bands[:-1]),
        replace(SMP, check_in=replace(check_in, unanswered=Level.DOCTOR)),
        replace(SMP, check_in=replace(check_in, questions=check_in.questions[:-1])),
        TATTOO,
    ):
        assert rules_version(other) != rules_version(SMP)


FACTS = {
    "phone": "01632 960 001",
    "hours_line": "We are open Monday to Friday 9 am to 6 pm.",
    "emergency_number": "999",
    "urgent_line": "NHS 111 on 111",
    "treated_date": "Friday 20 November",
    "day": "3",
}


@BOTH
def test_the_advice_says_what_to_do_with_the_clinics_own_numbers(protocol: FollowUpProtocol) -> None:
    words = words_for(check_in_of(protocol), "en")
    told = {level.value: " ".join(advice(words, level, FACTS)) for level in Level}
    assert told["E"] == (
        "Call 999 now. Say that you had a skin treatment on Friday 20 November, and what you feel. "
        "Do not drive yourself. Do not wait for us."
    )
    assert "Call your doctor or NHS 111 on 111 now." in told["D"]
    assert told["T"].startswith("Call us today on 01632 960 001. We are open Monday to Friday 9 am to 6 pm. If we are")
    assert "diabetes or a weak immune system" in told["T"]
    assert "next 2 working days on 01632 960 001" in told["S"]
    assert "at your next visit" in told["V"]
    assert "what we expect on day 3." in told["N"]
    assert "We have not seen your skin." in told["N"]


@BOTH
def test_the_advice_reads_well_without_a_clinic_and_never_guesses_a_number(protocol: FollowUpProtocol) -> None:
    words = words_for(check_in_of(protocol), "en")
    for one in Level:
        told = advice(words, one, {"day": "3", "phone": ""})
        assert all(sentence[0].isupper() and sentence[-1] == "." and "  " not in sentence for sentence in told)
        assert not set("{}0145678") & set("".join(told))
    assert advice(words, Level.EMERGENCY, {})[0] == "Call your local emergency number now."
    assert filled(words.intro, words, {})[-1].startswith("If you feel very unwell, call your local emergency number")


@BOTH
def test_no_outcome_reassures_or_names_a_relative_day(protocol: FollowUpProtocol) -> None:
    words = words_for(check_in_of(protocol), "en")
    said = " ".join(" ".join(sentences) for sentences in words.outcomes.values()).casefold()
    for never in ("tomorrow", "yesterday", "you are fine", "infect", "nothing to worry", "scalp", "tattoo", "probably"):
        assert never not in said


def test_a_fact_with_braces_is_shown_as_it_is() -> None:
    words = words_for(check_in_of(SMP), "en")
    assert advice(words, Level.SOON, {"phone": "{day}"})[0].endswith("on {day}.")


def test_a_language_is_found_by_its_first_part_and_an_unknown_one_is_refused() -> None:
    check_in = check_in_of(SMP)
    assert words_for(check_in, "en-GB") is words_for(check_in, "en")
    for tag in ("es", "", "e", "x" * 10_000):
        with pytest.raises(BadInput) as caught:
            words_for(check_in, tag)
        assert (caught.value.field, caught.value.next_step) == ("language", "Use one of en.")
        assert len(caught.value.message) < 200


def test_both_protocols_say_the_same_outcomes() -> None:
    ours, theirs = (words_for(check_in_of(one), "en") for one in (SMP, TATTOO))
    assert ours.outcomes == theirs.outcomes
    assert (ours.intro, ours.if_unknown) == (theirs.intro, theirs.if_unknown)
