"""What a command found or did, machine by machine: made by the commands, shown by `toolkit.report`, kept by the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from toolkit.errors import Problem

if TYPE_CHECKING:
    from toolkit.engine.events import Event


class State(StrEnum):
    """What became of one machine; docs/json.md says which command uses which word."""

    PENDING = "pending"
    CHANGED = "changed"
    DRIFTED = "drifted"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNFINISHED = "unfinished"
    PASSED = "passed"
    UNCHECKED = "not checked"
    REACHABLE = "reachable"
    TRUSTED = "trusted"
    PINNED = "pinned"
    UNTRUSTED = "not trusted"
    KEY_CHANGED = "key changed"
    ABSENT = "absent"
    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    REVOKED = "revoked"


# Never good news, whatever the command: not checked is not passed, unreachable is not unchanged.
TROUBLE = frozenset(
    {State.FAILED, State.UNREACHABLE, State.UNFINISHED, State.UNCHECKED, State.UNTRUSTED, State.KEY_CHANGED}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One operation that changed something or would; kind: change, or conditional on an earlier one."""

    name: str
    kind: str = "change"
    detail: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of `verify`; outcome: passed, failed, not checked, derogation. check: its stable name."""

    name: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    check: str = ""


@dataclass(frozen=True, slots=True)
class MachineReport:
    """One machine; `details` holds what only this command knows, JSON values alone, never a secret."""

    name: str
    role: str
    state: State
    reason: str = ""
    changes: tuple[Change, ...] = ()
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What a whole command came to. closing: sentences for a person; next: the command that follows."""

    command: str
    commune: str = ""
    machines: tuple[MachineReport, ...] = ()
    summary: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    closing: str = ""
    next: str = ""
    exit_code: int = 0

    def count(self, state: State) -> int:
        return self.counts[state]

    @property
    def counts(self) -> Counter[State]:
        return Counter(machine.state for machine in self.machines)

    @property
    def troubled(self) -> bool:
        return any(machine.state in TROUBLE for machine in self.machines)


class Observer(Protocol):
    """Someone who watches a run."""

    def phase(self, title: str, machines: Sequence[str], *, last: bool = False) -> None:
        """These machines now go through this phase together; last: whoever finishes it is finished."""

    def emit(self, event: Event) -> None:
        """Something happened on a machine."""


def both(first: Sequence[MachineReport], second: Sequence[MachineReport]) -> tuple[MachineReport, ...]:
    """What two runs, one after the other, did to each machine."""
    before = {report.name: report for report in first}
    return tuple(_together(before[report.name], report) for report in second)


def _together(first: MachineReport, second: MachineReport) -> MachineReport:
    state = first.state if second.state is State.UNCHANGED else second.state
    seconds = None if first.seconds is None and second.seconds is None else (first.seconds or 0) + (second.seconds or 0)
    return replace(second, state=state, changes=(*first.changes, *second.changes), seconds=seconds)


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 machine`, `2 machines`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
