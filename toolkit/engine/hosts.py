"""testinfra over the engine's open connections: no second login, no second opinion about host keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

if TYPE_CHECKING:
    from toolkit.engine.session import Session
    from toolkit.engine.target import Target

SECONDS = 120.0


class EngineBackend(BaseBackend):  # type: ignore[misc] # testinfra ships no types
    """Runs a check's commands as root on standard input of a shell there."""

    NAME = "telekit"
    encoding = "utf-8"

    def __init__(self, session: Session, target: Target) -> None:
        super().__init__(target.name)
        self.session = session
        self.target = target

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        script = self.quote(command, *args)
        done = self.session.run(self.target, script, seconds=SECONDS, reads_only=True)
        return self.result(done.code, script.encode(), done.stdout.encode(), done.stderr.encode())


def host_over(session: Session, target: Target) -> Host:
    """A testinfra host whose commands go to the target."""
    return Host(EngineBackend(session, target))
