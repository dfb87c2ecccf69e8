"""What the engine is told and what it answers: plain values, importable without pyinfra."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toolkit.engine.events import OperationFailed
from toolkit.model import Secret, SshAddress

if TYPE_CHECKING:
    from toolkit.engine.batch.questions import Question


@dataclass(frozen=True)
class Target:
    """A machine to work on; `data` is what its recipe reads as host.data."""

    name: str
    role: str
    ssh: SshAddress
    user: str
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach machines. known_hosts: the only host keys that are accepted, for jump hosts too.

    deadline_seconds: how long one machine's plan or apply may take. parallel: machines worked on at the same time.
    processes: among how many processes the machines are shared out; None: as many as they are worth on this computer.
    debug: let pyinfra's log through, with secrets masked. memory: a file in which the questions that machines were asked are
    kept for the next time.
    """

    known_hosts: Path
    identities: tuple[Path, ...]
    connect_seconds: float = 10
    deadline_seconds: float = 1800
    parallel: int = 50
    processes: int | None = None
    debug: bool = False
    memory: Path | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """A script that ended on a machine."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """What an operation would do. kind: "change", or "conditional" when it hangs on another operation's outcome."""

    name: str
    kind: Literal["change", "conditional"]
    diff: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """What would change on a machine; `error`: why that could not be found out."""

    machine: str
    operations: tuple[PlannedOperation, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class MachineResult:
    """What an apply did on a machine: the names of the operations that changed it, and the one that failed."""

    machine: str
    changed: tuple[str, ...]
    unchanged: int
    failed: OperationFailed | None
    seconds: float


def without_secrets(questions: Iterable[Question], data: Mapping[str, object]) -> list[Question]:
    """The questions in which none of the secrets among a recipe's data stands."""
    values = [value for given in data.values() for value in (given.values() if isinstance(given, Mapping) else (given,))]
    secrets = [value.reveal() for value in values if isinstance(value, Secret) and value.reveal()]
    return [question for question in questions if not any(secret in question.command for secret in secrets)]
