"""The code that a check types: one that the desktop takes now and has not taken before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from toolkit.checks import prompt
from toolkit.checks.declare import NotCheckedError
from toolkit.checks.prompt import typed
from toolkit.model import Agent, SecondFactor, Secret
from toolkit.second_factor import STEP, code

SEED = Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
ANNE = Agent("a.un", "Un", "Anne", "rh", desktop="bureau-1")
NOW = 59853040 * STEP


@dataclass
class Evidence:
    seeds: dict[str, Secret]


@dataclass
class Commune:
    policy: SecondFactor

    def second_factor_of(self, _: Agent) -> SecondFactor:
        return self.policy


class Machine:
    """A desktop whose clock and whose used codes are these, one answer a question."""

    def __init__(self, policy: SecondFactor, *answers: tuple[int, str], enrolled: bool = True) -> None:
        self.commune, self.evidence = Commune(policy), Evidence({"a.un": SEED} if enrolled else {})
        self.answers = list(answers)

    def output(self, _: str) -> str:
        now, used = self.answers.pop(0)
        return f"{now}\n{used}\n"


def entered(machine: Any) -> str:
    return typed(machine, ANNE, Secret("motdepasse")).reveal()


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(prompt.time, "sleep", found.append)
    return found


@pytest.mark.parametrize(("used", "step"), [("", 0), ("59853040", 1), ("59853040 59853041", -1)])
def test_the_code_follows_the_password_and_is_one_that_was_not_used(used: str, step: int) -> None:
    expected = code(SEED, NOW + step * STEP).reveal()
    assert entered(Machine(SecondFactor.REQUIRED, (NOW, used))) == f"motdepasse{expected}"


def test_it_waits_for_the_next_one_when_all_are_used_or_time_is_short(slept: list[float]) -> None:
    all_used = "59853039 59853040 59853041"
    expected = code(SEED, NOW + STEP).reveal()
    answers = ((NOW, all_used), (NOW + STEP - 3, ""), (NOW + STEP, ""))
    assert entered(Machine(SecondFactor.REQUIRED, *answers)) == f"motdepasse{expected}"
    assert slept == [31, 4]


@pytest.mark.parametrize(("policy", "enrolled"), [(SecondFactor.OFF, True), (SecondFactor.OPTIONAL, False)])
def test_where_no_code_is_asked_for_the_password_is_all(policy: SecondFactor, enrolled: bool) -> None:
    assert entered(Machine(policy, enrolled=enrolled)) == "motdepasse"


def test_without_the_seed_nothing_is_tried() -> None:
    with pytest.raises(NotCheckedError, match=r"second factor of a\.un is not at hand"):
        entered(Machine(SecondFactor.REQUIRED, enrolled=False))
