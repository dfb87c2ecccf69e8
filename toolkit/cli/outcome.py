"""A result's exit code, where an option changes it."""

from __future__ import annotations

from dataclasses import replace

from toolkit.result import Result, State

PENDING = 3


def pending(result: Result) -> Result:
    """3 when changes are pending and nothing went wrong."""
    if result.exit_code == 0 and result.count(State.PENDING):
        return replace(result, exit_code=PENDING)
    return result
