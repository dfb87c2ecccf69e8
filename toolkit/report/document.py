"""Result → the one JSON document that every command writes with --json (docs/json.md)."""

from __future__ import annotations

import json

from toolkit.errors import Problem
from toolkit.report.harmless import in_json
from toolkit.result import Change, Check, MachineReport, Result

VERSION = 1


def document(result: Result) -> dict[str, object]:
    """The versioned envelope."""
    return {
        "telekit": VERSION,
        "command": result.command,
        "commune": result.commune or None,
        "exit_code": result.exit_code,
        "machines": [_machine(machine) for machine in result.machines],
        "summary": {"states": {str(state): count for state, count in result.counts.items()}, **result.summary},
        "problems": [_problem(problem) for problem in result.problems],
        "next": result.next or None,
    }


def to_json(result: Result) -> str:
    return in_json(json.dumps(document(result), ensure_ascii=False, indent=2))


def _machine(machine: MachineReport) -> dict[str, object]:
    return {
        "name": machine.name,
        "role": machine.role,
        "state": str(machine.state),
        "reason": machine.reason or None,
        "changes": [_change(change) for change in machine.changes],
        "checks": [_check(check) for check in machine.checks],
        "warnings": list(machine.warnings),
        "seconds": None if machine.seconds is None else round(machine.seconds, 3),
        "details": dict(machine.details),
    }


def _change(change: Change) -> dict[str, object]:
    return {"name": change.name, "kind": change.kind, "detail": change.detail or None, "diff": change.diff or None}


def _check(check: Check) -> dict[str, object]:
    return {
        "check": check.check,
        "name": check.name,
        "outcome": check.outcome,
        "detail": check.detail or None,
        "seconds": round(check.seconds, 3),
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "what": problem.what,
        "where": problem.where or None,
        "hint": problem.hint or None,
        "warning": problem.warning,
    }
