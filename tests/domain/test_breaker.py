from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from service.domain.breaker import Breaker
from service.domain.replies import TIMED_OUT, Heard, Stage, classify

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCEPTED = Heard(Stage.MESSAGE, 250, "2.0.0 OK")
WRONG_PASSWORD = Heard(Stage.AUTH, 535, "5.7.8 bad credentials")
NOT_THERE = Heard(Stage.CONNECT, failure="timed out")
SENDER_REFUSED = Heard(Stage.MAIL, 550, "5.7.1 not you")
LOST = Heard(Stage.RCPT, failure="connection lost")
REPLY_LOST = Heard(Stage.MESSAGE, failure="connection lost")
CONTENT_REFUSED = Heard(Stage.MESSAGE, 554, "5.7.1 spam")
UNKNOWN_USER = Heard(Stage.RCPT, 550, "5.1.1 user unknown")
GREYLISTED = Heard(Stage.RCPT, 451, "4.7.1 later")
NOT_MARKED = Heard(Stage.MARK)


def after(breaker: Breaker, *heard: Heard, now: datetime = NOON) -> Breaker:
    for one in heard:
        breaker = breaker.after(classify(one), one.stage, now, f"{one.stage}: trouble")
    return breaker


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def test_a_closed_line_lets_everything_pass() -> None:
    assert not Breaker().is_open
    assert Breaker().lets_pass(NOON)


@pytest.mark.parametrize("trouble", [WRONG_PASSWORD, NOT_THERE, SENDER_REFUSED])
def test_trouble_of_the_relay_stops_the_line_at_once_and_probes_after_a_minute(trouble: Heard) -> None:
    stopped = after(Breaker(), trouble)
    assert stopped.is_open
    assert stopped.cause == f"{trouble.stage}: trouble"
    assert not stopped.lets_pass(minutes(0.99))
    assert stopped.lets_pass(minutes(1))


def test_probes_come_after_1_2_4_5_and_5_minutes_and_the_line_stays_open_since_its_first_trouble() -> None:
    breaker, now, waits = Breaker(), NOON, []
    for _ in range(6):
        breaker = after(breaker, NOT_THERE, now=now)
        assert breaker.retry_at is not None
        waits.append((breaker.retry_at - now) / timedelta(minutes=1))
        now = breaker.retry_at
    assert waits == [1, 2, 4, 5, 5, 5]
    assert breaker.opened_at == NOON


def test_conversations_begun_before_the_line_stopped_do_not_lengthen_the_wait() -> None:
    stopped = after(Breaker(), NOT_THERE)
    assert after(stopped, NOT_THERE, now=minutes(0.5)) == stopped


@pytest.mark.parametrize("works", [ACCEPTED, UNKNOWN_USER, GREYLISTED, CONTENT_REFUSED])
def test_a_probe_that_the_relay_answers_about_one_email_closes_the_line(works: Heard) -> None:
    stopped = after(Breaker(), NOT_THERE)
    assert not after(stopped, works, now=minutes(1)).is_open


def test_after_a_good_answer_the_next_trouble_waits_one_minute_again() -> None:
    breaker = after(Breaker(), NOT_THERE)
    breaker = after(breaker, NOT_THERE, now=minutes(1))
    breaker = after(breaker, ACCEPTED, NOT_THERE, now=minutes(3))
    assert breaker.retry_at == minutes(4)


def test_ten_wrong_passwords_stop_the_line_until_somebody_changes_the_settings() -> None:
    breaker, now = Breaker(), NOON
    for _ in range(9):
        breaker = after(breaker, WRONG_PASSWORD, now=now)
        assert breaker.retry_at is not None
        now = breaker.retry_at
    breaker = after(breaker, WRONG_PASSWORD, now=now)
    assert breaker.retry_at is None
    assert not breaker.lets_pass(now + timedelta(days=365))


@pytest.mark.parametrize(
    "heard", [Heard(Stage.AUTH, 454, "4.7.0 try later"), Heard(Stage.AUTH, failure=TIMED_OUT), Heard(Stage.AUTH, 421)]
)
def test_a_relay_whose_sign_in_is_out_of_order_is_probed_for_ever(heard: Heard) -> None:
    breaker, now = Breaker(), NOON
    for _ in range(30):
        breaker = after(breaker, heard, now=now)
        assert breaker.retry_at is not None
        now = breaker.retry_at
    assert breaker.auth_failures == 0


def test_who_mends_it_is_told_when_no_more_passwords_are_tried() -> None:
    breaker, now = Breaker(), NOON
    for _ in range(10):
        breaker = after(breaker, WRONG_PASSWORD, now=now)
        now = breaker.retry_at or now
    assert "test-email" in breaker.cause


def test_five_policy_refusals_in_a_row_stop_the_line_and_unknown_users_never_do() -> None:
    refused = Heard(Stage.RCPT, 554, "5.7.1 blocked for bad reputation")
    assert not after(Breaker(), *[refused] * 4, ACCEPTED, refused).is_open
    assert after(Breaker(), *[refused] * 5).is_open
    assert not after(Breaker(), *[UNKNOWN_USER] * 50).is_open


def test_passwords_are_tried_at_most_once_a_minute() -> None:
    breaker, now, tried = Breaker(), NOON, []
    for second in range(600):
        now = NOON + timedelta(seconds=second)
        if breaker.lets_pass(now):
            tried.append(second)
            breaker = after(breaker, WRONG_PASSWORD, now=now)
    assert min(later - sooner for sooner, later in pairwise(tried)) >= 60


@pytest.mark.parametrize("lost", [LOST, REPLY_LOST])
def test_three_lost_connections_in_a_row_stop_the_line_two_do_not(lost: Heard) -> None:
    assert not after(Breaker(), lost, lost).is_open
    assert after(Breaker(), lost, lost, lost).is_open


@pytest.mark.parametrize("between", [ACCEPTED, UNKNOWN_USER, GREYLISTED, CONTENT_REFUSED])
def test_lost_connections_with_an_answer_between_them_are_not_in_a_row(between: Heard) -> None:
    assert not after(Breaker(), LOST, LOST, between, LOST, LOST).is_open


def test_a_probe_that_is_lost_again_waits_longer() -> None:
    stopped = after(Breaker(), LOST, LOST, LOST)
    assert after(stopped, LOST, now=minutes(1)).retry_at == minutes(3)


def test_five_refused_contents_in_a_row_stop_the_line_four_do_not() -> None:
    assert not after(Breaker(), *[CONTENT_REFUSED] * 4).is_open
    stopped = after(Breaker(), *[CONTENT_REFUSED] * 5)
    assert stopped.is_open
    assert after(stopped, CONTENT_REFUSED, now=minutes(1)).retry_at == minutes(3)


def test_an_accepted_email_ends_the_row_of_refused_contents_a_refused_recipient_does_not() -> None:
    four = after(Breaker(), *[CONTENT_REFUSED] * 4)
    assert not after(four, ACCEPTED, *[CONTENT_REFUSED] * 4).is_open
    assert after(four, UNKNOWN_USER, CONTENT_REFUSED).is_open


def test_our_own_last_check_says_nothing_about_the_relay() -> None:
    stopped = after(Breaker(), NOT_THERE)
    assert after(stopped, NOT_MARKED, now=minutes(1)) == stopped
    assert after(Breaker(), LOST, LOST, NOT_MARKED, LOST).is_open
