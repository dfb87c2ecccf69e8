"""What a machine's recipes would change, without changing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.engine.batch import outcomes
from toolkit.engine.batch.diff import detail_of, diff_of, read_remote
from toolkit.engine.batch.machine import Operation, Run


@dataclass(frozen=True)
class Planned:
    """An operation that would change something; `conditional`: if another operation's outcome lets it."""

    name: str
    conditional: bool
    diff: str = ""
    detail: str = ""


class PlanFailedError(RuntimeError):
    """What an operation would do cannot be told."""


def plan(run: Run) -> list[Planned]:
    """Evaluate every operation against the machine as it is now."""
    run.evaluate(run.operations)
    (shown,) = run.side_by_side([lambda: _showing(run)])
    for operation in run.operations:
        outcomes.forget(operation)
    if isinstance(shown, Exception):
        raise shown
    remote = read_remote(run, [operation for operation in shown if operation.error is None])
    return [_planned(operation, run.operations, remote) for operation in shown]


def _showing(run: Run) -> list[Operation] | Exception:
    """The operations that would do something if all before them went well; or why that cannot be told."""
    shown: list[Operation] = []
    for operation in run.operations:
        try:
            holds = _might_hold(run, operation)
        except Exception as error:  # noqa: BLE001 - a condition is anybody's code
            return PlanFailedError(f"{operation.name}: its condition cannot be told: {error}")
        if holds and operation.error is not None and not any(other.stage < operation.stage for other in shown):
            return PlanFailedError(f"{operation.name}: {operation.error or repr(operation.error)}")
        # Whether it changes anything shows once the stages before are done: for whoever depends on it, it may.
        commands = operation.commands or ([operation.error] if operation.error else [])
        if holds and commands:
            shown.append(operation)
        outcomes.assume(operation, commands if holds else [])
    return shown


def _might_hold(run: Run, operation: Operation) -> bool:
    try:
        return run.holds(operation)
    except outcomes.UndecidedError:
        return True


def _planned(operation: Operation, operations: Sequence[Operation], remote: dict[str, str | None]) -> Planned:
    name = operation.name
    if operation.error is not None:
        return Planned(name, conditional=True, detail="known once the stages before are done")
    condition = outcomes.reason(operation, operations)
    details = [condition, detail_of(operation, remote)]
    return Planned(name, bool(operation.conditions), diff_of(operation, remote), "; ".join(filter(None, details)))
