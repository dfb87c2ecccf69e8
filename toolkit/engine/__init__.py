"""The engine: reach machines, plan and apply recipes on them, run scripts and checks over the same connections.

pyinfra and gevent are imported when a Session is first asked for, not before: `telekit --help` does not wait for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.engine.target import Completed, MachinePlan, MachineResult, Options, PlannedOperation, Target

if TYPE_CHECKING:
    from toolkit.engine.session import Interrupted, Session

__all__ = [
    "Completed",
    "Interrupted",
    "MachinePlan",
    "MachineResult",
    "Options",
    "PlannedOperation",
    "Session",
    "Target",
]


def __getattr__(name: str) -> object:
    if name in ("Session", "Interrupted"):
        from toolkit.engine.start import prepare

        prepare()
        from toolkit.engine import session

        return getattr(session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
