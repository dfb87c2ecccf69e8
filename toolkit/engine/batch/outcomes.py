"""What operations came to, so that `_if` can be decided: assumed while a script is put together, recorded when it has run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyinfra.api.operation import OperationMeta
from pyinfra.connectors.util import CommandOutput

from toolkit.engine.batch.machine import Operation


class UndecidedError(Exception):
    """A condition reads the output of an operation that has not run yet."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        super().__init__(operation.name)


class _NotYet:
    """The output of an operation that is assumed to succeed."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    def __getattr__(self, name: str) -> Any:
        raise UndecidedError(self.operation)


def assume(operation: Operation, commands: Sequence[Any]) -> None:
    """Let conditions see the operation as done: a script stops at its first failure, so whoever comes later saw success."""
    meta = operation.meta
    meta._success, meta._commands, meta._combined_output = True, list(commands), _NotYet(operation)


def forget(operation: Operation) -> None:
    """Take an assumption back."""
    meta = operation.meta
    meta._success = meta._commands = meta._combined_output = None


def record(operation: Operation, *, succeeded: bool, commands: Sequence[Any] = ()) -> None:
    """Note what really happened."""
    forget(operation)
    operation.meta.set_complete(succeeded, list(commands), CommandOutput([]))


def reason(operation: Operation, operations: Sequence[Operation]) -> str:
    """The condition in words where it is a plain one, such as "if Write wg0.conf changes"; else nothing."""
    verbs = {"did_change": "changes", "did_not_change": "does not change", "did_succeed": "succeeds", "did_error": "fails"}
    names = {id(other.meta): other.name.rpartition(" | ")[2] for other in operations}
    told = []
    for condition in operation.conditions:
        owner, verb = getattr(condition, "__self__", None), verbs.get(getattr(condition, "__name__", ""))
        if not isinstance(owner, OperationMeta) or verb is None or id(owner) not in names:
            return ""
        told.append(f"{names[id(owner)]} {verb}")
    return "if " + " and ".join(told) if told else ""
