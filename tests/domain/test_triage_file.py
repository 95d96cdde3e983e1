"""A [check_in] is read strictly: every mistake names the file, the key and the fix."""

from __future__ import annotations

import pytest

from service.domain.protocol import CheckIn, Level
from service.domain.protocol_file import read_protocol
from service.errors import BadProtocol

GOOD = """
title = "Brows"
area = "brows"
steps = [
  { key = "day-01", day = 1, useful_until_day = 2, useful_until_at = "12:00" },
  { key = "day-03", day = 3, useful_until_day = 4, useful_until_at = "12:00" },
  { key = "day-05", day = 5, useful_until_day = 6, useful_until_at = "12:00" },
]
bands = [
  { through_day = 2, like = "day-01" },
  { through_day = 4, like = "day-03" },
  { through_day = 9, like = "day-05" },
  { through_day = 99, like = "day-05", floor = "S" },
]

[limits.itch]
ok_through_day = 2
words.en = ["itch"]
source = ["seed"]

[[red_flags]]
row = "1"
says = "Hard to breathe"
levels = { day-01 = "D", day-03 = "E", day-05 = "E" }
words.en = ["breathe"]
source = ["S6"]

[check_in]
unanswered = "T"
stops_at = "q1"

[[check_in.questions]]
key = "q1"
ticks = "many"
clear = "none"
not_sure = "D"
answers = [{ key = "breathing", row = "1" }]

[[check_in.questions]]
key = "q2"
ticks = "one"
clear = "no"
not_sure = "T"

[[check_in.questions.answers]]
key = "itchy"
row = "23"
says = "Itchy"
from_day = 2
levels = { day-01 = "N", day-05 = "S" }
past_limit = { limit = "itch", level = "V" }
raise = { to = "T", if_any = ["q1.breathing"] }
source = ["seed"]

[[check_in.questions.answers]]
key = "big"
row = "25"
says = "Too big"
levels = { day-01 = "S" }
normal_if_any = ["q2.itchy"]
source = ["editor"]

[check_in.words.en]
intro = ["Nobody watches.", "Call {emergency_number}."]
not_sure = "I am not sure"
q1 = { asks = "Now?", why = "Because.", options = { breathing = "hard to breathe", none = "none of these" } }
q2 = { asks = "Itch?", hint = "Feel.", why = "So.", options = { itchy = "itchy", big = "big", no = "no" } }

[check_in.words.en.outcomes]
E = ["Call {emergency_number} now."]
D = ["Call {urgent_line}.", "Then {phone}.", "Worse? {emergency_number}."]
T = ["Call {phone}.", "{hours_line}", "Or {urgent_line}.", "Worse? {emergency_number}."]
S = ["Call soon: {phone}."]
V = ["Tell us."]
N = ["As expected on day {day}.", "Worried? {phone}."]

[check_in.words.en.if_unknown]
phone = "us"
emergency_number = "the emergency number"
urgent_line = "an advice line"
treated_date = "that day"
"""


def read(source: str = GOOD) -> CheckIn:
    check_in = read_protocol(source.encode(), "brows", "brows/protocol.toml").check_in
    assert check_in is not None
    return check_in


def test_a_good_check_in_is_read_as_it_says() -> None:
    check_in = read()
    assert (check_in.unanswered, check_in.stops_at) == (Level.TODAY, "q1")
    first, second = check_in.questions
    assert (first.ticks, first.not_sure, first.options) == ("many", Level.DOCTOR, ("breathing", "none", "not_sure"))
    assert (second.ticks, second.clear) == ("one", "no")
    breathing, itchy, big = first.answers[0], *second.answers
    assert (breathing.says, breathing.source) == ("Hard to breathe", ("S6",))
    assert breathing.levels["day-01"] is Level.DOCTOR
    assert itchy.levels == {"day-01": Level.NORMAL, "day-03": Level.NORMAL, "day-05": Level.SOON}
    assert (itchy.from_day, big.from_day) == (2, 0)
    assert itchy.past_limit is not None
    assert (itchy.past_limit.limit, itchy.past_limit.level) == ("itch", Level.VISIT)
    assert itchy.raised is not None
    assert (itchy.raised.to, itchy.raised.if_any) == (Level.TODAY, ("q1.breathing",))
    assert big.normal_if_any == ("q2.itchy",)
    words = check_in.words["en"]
    assert words.questions["q1"].options == {
        "breathing": "hard to breathe",
        "none": "none of these",
        "not_sure": "I am not sure",
    }
    assert [words.questions[key].hint for key in ("q1", "q2")] == ["", "Feel."]
    assert words.outcomes[Level.VISIT] == ("Tell us.",)


def test_a_protocol_need_not_have_one() -> None:
    source = GOOD[: GOOD.index("[check_in]")]
    assert read_protocol(source.encode(), "brows", "f").check_in is None


def test_another_language_is_another_table() -> None:
    words = GOOD[GOOD.index("[check_in.words.en]") :]
    assert list(read(GOOD + words.replace("words.en", "words.pt-BR")).words) == ["en", "pt-BR"]


Q1, Q2 = "check_in.questions[1]", "check_in.questions[2]"
EN = "check_in.words.en"


@pytest.mark.parametrize(
    ("old", "new", "field", "fix"),
    [
        ('unanswered = "T"\n', "", "check_in.unanswered", "Add unanswered"),
        ('unanswered = "T"', 'unanswered = "N"', "check_in.unanswered", "Choose one"),
        ('unanswered = "T"', 'unanswered = "S"', "check_in.unanswered", "Choose one"),
        ('unanswered = "T"', 'unanswered = "T"\nunanwsered = "N"', "check_in.unanwsered", "Did you mean unanswered?"),
        ('stops_at = "q1"', 'stops_at = "q3"', "check_in.stops_at", "Name one of q1, q2"),
        ('stops_at = "q1"', "stops_at = 1", "check_in.stops_at", "Write stops_at"),
        ('not_sure = "D"', 'not_sure = "V"', f"{Q1}.not_sure", "Choose one"),
        ('ticks = "many"', 'ticks = "all"', f"{Q1}.ticks", "Choose one"),
        ('clear = "none"\n', "", f"{Q1}.clear", "Add clear"),
        ('clear = "none"', 'clear = "None!"', f"{Q1}.clear", "small letters"),
        ('clear = "none"', 'clear = "breathing"', f"{Q1}.answers", "its own key"),
        ('clear = "none"', 'clear = "not_sure"', f"{Q1}.answers", "its own key"),
        ('key = "q2"', 'key = "q1"', "check_in.questions", "its own key"),
        ('key = "q2"', 'key = "q.2"', f"{Q2}.key", "small letters"),
        ('key = "q2"', 'key = "q2"\ntick = "one"', f"{Q2}.tick", "Did you mean ticks?"),
        ('answers = [{ key = "breathing", row = "1" }]', "answers = []", f"{Q1}.answers", "Add rows"),
        ('key = "big"', 'key = "itchy"', f"{Q2}.answers", "its own key"),
        ('row = "1" }]', "row = 1 }]", f"{Q1}.answers[1].row", "Write row"),
        ('row = "1" }]', 'row = "2" }]', f"{Q1}.answers[1].says", "Add says"),
        ('row = "1" }]', 'row = "1", levels = { day-01 = "N" } }]', f"{Q1}.answers[1].levels", "Leave levels out"),
        ('row = "1" }]', 'row = "1", says = "x" }]', f"{Q1}.answers[1].says", "Known here"),
        ('levels = { day-01 = "N", day-05 = "S" }', "", f"{Q2}.answers[1].levels", "Add a [levels] table"),
        ('day-01 = "N", day-05 = "S"', 'day-05 = "S"', f"{Q2}.answers[1].levels.day-01", "Add day-01"),
        ('day-01 = "N", day-05 = "S"', 'day-01 = "N", day-06 = "S"', f"{Q2}.answers[1].levels.day-06", "Did you mean"),
        ('day-01 = "N", day-05 = "S"', 'day-01 = "X"', f"{Q2}.answers[1].levels.day-01", "Choose one"),
        ('day-01 = "N", day-05 = "S"', 'day-01 = "S", day-05 = "N"', f"{Q2}.answers[1].levels", "raise the later level"),
        ('day-03 = "E", day-05 = "E"', 'day-03 = "E", day-05 = "D"', f"{Q1}.answers[1].levels", "raise the later level"),
        ('limit = "itch"', 'limit = "itches"', f"{Q2}.answers[1].past_limit.limit", "Choose one"),
        ('limit = "itch", ', "", f"{Q2}.answers[1].past_limit.limit", "Add limit"),
        ('level = "V" }', 'level = "V", to = "x" }', f"{Q2}.answers[1].past_limit.to", "Known here"),
        ('{ to = "T", ', '{ to = "t", ', f"{Q2}.answers[1].raise.to", "Choose one"),
        ('if_any = ["q1.breathing"]', "if_any = []", f"{Q2}.answers[1].raise.if_any", "Write if_any"),
        ('if_any = ["q1.breathing"]', 'if_any = ["q1.none"]', "check_in.questions", "question.answer"),
        ('normal_if_any = ["q2.itchy"]', 'normal_if_any = ["itchy"]', "check_in.questions", "question.answer"),
        ("from_day = 2", "from_day = -1", f"{Q2}.answers[1].from_day", "0 to 366"),
        ('source = ["editor"]\n', "", f"{Q2}.answers[2].source", "Write source"),
        ('floor = "S"', 'floor = "s"', "bands[4].floor", "Choose one"),
        ('like = "day-01" }', 'like = "day-01", floor = "T" }', "bands", "raise it"),
        ('not_sure = "I am not sure"\n', "", f"{EN}.not_sure", "Add not_sure"),
        ('q1 = { asks = "Now?"', 'q9 = { asks = "Now?"', f"{EN}.q1", "Add a [q1] table"),
        ('asks = "Now?", ', "", f"{EN}.q1.asks", "Add asks"),
        ('why = "Because.", ', "", f"{EN}.q1.why", "Add why"),
        ('breathing = "hard to breathe", ', "", f"{EN}.q1.options.breathing", "Add breathing"),
        ('none = "none of these"', 'none = "none", no = "no"', f"{EN}.q1.options.no", "Did you mean none?"),
        ('hint = "Feel."', 'hints = "Feel."', f"{EN}.q2.hints", "Did you mean hint?"),
        ('V = ["Tell us."]\n', "", f"{EN}.outcomes.V", "Write V"),
        ('V = ["Tell us."]', 'V = ["Tell us."]\nX = ["x"]', f"{EN}.outcomes.X", "Known here"),
        ('V = ["Tell us."]', 'V = ["Tell {doctor}."]', f"{EN}.outcomes.V", "Use only {"),
        ('V = ["Tell us."]', 'V = ["Tell {phone."]', f"{EN}.outcomes.V", "Use only {"),
        ('E = ["Call {emergency_number} now."]', 'E = ["Call 999 now."]', f"{EN}.outcomes.E", "Say whom to call"),
        ('S = ["Call soon: {phone}."]', 'S = ["Call soon."]', f"{EN}.outcomes.S", "Say whom to call"),
        ('"Or {urgent_line}.", ', "", f"{EN}.outcomes.T", "Say whom to call"),
        ('"Call {emergency_number}."]', '"Call."]', f"{EN}.intro", "Say whom to call"),
        ('phone = "us"\n', "", f"{EN}.if_unknown.phone", "Add phone"),
        ('phone = "us"', 'phone = "us"\nfax = "x"', f"{EN}.if_unknown.fax", "Known here"),
        ("[check_in.words.en", "[check_in.words.English", "check_in.words.English", "language tag"),
        ("[check_in]\n", '[check_in]\nquestion = "x"\n', "check_in.question", "Did you mean questions?"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_the_key_and_the_fix(old: str, new: str, field: str, fix: str) -> None:
    assert old in GOOD
    source = GOOD.replace(old, new) if old.startswith("[check_in.words") else GOOD.replace(old, new, 1)
    with pytest.raises(BadProtocol) as caught:
        read(source)
    assert caught.value.message.startswith("brows/protocol.toml: ")
    assert caught.value.field == field
    assert fix in (caught.value.next_step or "")


def test_a_check_in_without_questions_or_words_is_refused() -> None:
    start = GOOD[: GOOD.index("[[check_in.questions]]")]
    words = GOOD[GOOD.index("[check_in.words.en]") :]
    with pytest.raises(BadProtocol) as caught:
        read(start + words)
    assert caught.value.field == "check_in.questions"
    with pytest.raises(BadProtocol) as caught:
        read(GOOD.replace(words, "[check_in.words]"))
    assert (caught.value.field, caught.value.next_step) == ("check_in.words", "Add a [check_in.words.en] table.")


@pytest.mark.parametrize("value", ['"q1"', "[1]", "{ q1 = 3 }"])
def test_a_check_in_of_another_shape_is_refused(value: str) -> None:
    source = GOOD[: GOOD.index("[limits.itch]")] + f"check_in = {value}\n"
    with pytest.raises(BadProtocol):
        read(source)
