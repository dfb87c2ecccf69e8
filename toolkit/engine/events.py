"""What happens to machines while the engine works, as values: the engine prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a machine's run ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one machine."""

    machine: str


@dataclass(frozen=True, slots=True)
class Connected(Event):
    """Its host key was the pinned one and it let us in."""


@dataclass(frozen=True, slots=True)
class Unreachable(Event):
    """Nothing was done on it; `reason` is a sentence for the operator."""

    reason: str


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    """Work on a stage begins; the stage before the recipe's first barrier has no name."""

    stage: str
    operations: int


@dataclass(frozen=True, slots=True)
class OperationDone(Event):
    """An operation is as it should be; `changed`: it was not before."""

    name: str
    changed: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class OperationFailed(Event):
    """An operation failed and nothing after it was tried; `output`: the last lines it wrote, and its exit status."""

    name: str
    output: str


@dataclass(frozen=True, slots=True)
class MachineDone(Event):
    """Nothing more will happen to this machine in this run; `changed` counts operations."""

    outcome: Outcome
    changed: int
    seconds: float
