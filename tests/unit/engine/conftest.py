"""This computer as the machine: recipes are applied by the real scripts, in a temporary folder."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from toolkit.engine.batch import LocalLink, Machine


@dataclass
class Told:
    """What an apply told its observer, in order."""

    stages: list[tuple[str, int]] = field(default_factory=list)
    done: list[tuple[str, bool]] = field(default_factory=list)

    def stage_started(self, name: str, operations: int) -> None:
        self.stages.append((name, operations))

    def operation_done(self, name: str, *, changed: bool, seconds: float) -> None:
        assert seconds >= 0
        self.done.append((name, changed))


@pytest.fixture
def link() -> LocalLink:
    return LocalLink()


@pytest.fixture
def machine(link: LocalLink) -> Machine:
    return Machine("here", link)


@pytest.fixture
def told() -> Told:
    return Told()
