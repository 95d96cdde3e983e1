from __future__ import annotations

import pytest

from service.actions.uncertain import Log, read_log

ONE, OTHER = "0123456789abcdef0123456789abcd", "fedcba9876543210fedcba98765432"


def cleanup(queue: str, mark: str = ONE, instance: str = "postfix") -> str:
    return f"Nov 21 10:00:01 mx {instance}/cleanup[815]: {queue}: message-id=<{mark}@clinic.example>"


def active(queue: str, instance: str = "postfix") -> str:
    return f"Nov 21 10:00:01 mx {instance}/qmgr[640]: {queue}: from=<desk@clinic.example>, size=7290, nrcpt=1 (queue active)"


def log(taken: set[str], begun: set[str] | None = None) -> Log:
    return Log(frozenset(taken), frozenset(begun or set()))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], log(set())),
        ([cleanup("A1"), active("A1")], log({ONE})),
        ([active("A1"), cleanup("A1")], log({ONE})),
        ([cleanup("A1", instance="postfix-out/submission"), active("A1", "postfix-out")], log({ONE})),
        ([cleanup("A1"), active("A2")], log(set(), {ONE})),
        ([cleanup("A1"), "postfix/cleanup[815]: A1: milter-reject: END-OF-MESSAGE", active("A2")], log(set(), {ONE})),
        ([cleanup("A1"), cleanup("A2"), active("A2")], log({ONE})),
        ([cleanup("A1"), cleanup("A2", OTHER), active("A2")], log({OTHER}, {ONE})),
        ([f"opendkim[1]: <{ONE}@clinic.example> signed", active("A2")], log(set(), {ONE})),
        ([cleanup("A1")], log({ONE})),
        ([f"{ONE}@clinic.example {OTHER.upper()}@CLINIC.EXAMPLE"], log({ONE, OTHER})),
        ([f"x{ONE}@clinic.example", f"{ONE}", f"{ONE}0@clinic.example"], log(set())),
    ],
)
def test_what_a_log_proves(lines: list[str], says: Log) -> None:
    assert read_log(lines) == says
