"""The machine that a check looks at, and what else a check may use: other machines, passwords, somewhere outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from gevent.lock import RLock

from toolkit.checks.declare import NotCheckedError
from toolkit.errors import TelekitError
from toolkit.model import Agent, Commune, Desktop, Gateway, Laptop, Machine, Secret

Found = TypeVar("Found")


class Completed(Protocol):
    """What a script that ran on a machine left."""

    @property
    def code(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


class Connections(Protocol):
    """The engine's open connections, as far as checks use them."""

    @property
    def unreachable(self) -> Mapping[str, str]: ...
    @property
    def reachable(self) -> Sequence[Any]: ...
    def run(
        self, target: Any, script: str, *, sudo: bool = True, seconds: float = 60.0, reads_only: bool = False
    ) -> Completed: ...
    def host(self, target: Any) -> Any: ...


class Outside(Protocol):
    """Somewhere on the Internet from which commands can be run."""

    def run(self, argv: Sequence[str], timeout: float = 60.0, *, stdin: str | None = None) -> Any: ...
    def popen(self, argv: Sequence[str]) -> Any: ...


@dataclass(eq=False, repr=False)
class Evidence:
    """What all checks of a run share.

    passwords: agent identifier → the first password of the remote desktop. seeds: agent identifier → the seed of their codes.
    screenshots: where pictures are kept, if anywhere. closing: what is called when the run is over, whatever came of it.
    patience: how many times as long as usual everything may take.
    """

    commune: Commune
    connections: Connections
    internet: Outside | None = None
    passwords: Mapping[str, Secret] = field(default_factory=dict)
    seeds: Mapping[str, Secret] = field(default_factory=dict)
    screenshots: Path | None = None
    patience: float = 1.0
    pictures: list[Path] = field(default_factory=list)
    closing: list[Callable[[], None]] = field(default_factory=list)
    _known: dict[object, object] = field(default_factory=dict)
    _locks: dict[object, RLock] = field(default_factory=dict)

    def once(self, key: object, find: Callable[[], Found]) -> Found:
        """What `find` found the first time; others who ask meanwhile wait for it."""
        with self._locks.setdefault(key, RLock()):
            if key not in self._known:
                self._known[key] = _attempt(find)
        known = self._known[key]
        if isinstance(known, NotCheckedError | AssertionError):
            raise known
        return cast("Found", known)

    def close(self) -> None:
        """Take away what checks left for one another."""
        while self.closing:
            with suppress(NotCheckedError, AssertionError, OSError, EOFError, TelekitError):
                self.closing.pop()()


def _attempt(find: Callable[[], object]) -> object:
    try:
        return find()
    except (NotCheckedError, AssertionError) as error:
        return error


@dataclass(frozen=True, eq=False, repr=False)
class Subject:
    """One machine under examination."""

    machine: Machine
    evidence: Evidence

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def commune(self) -> Commune:
        return self.evidence.commune

    @property
    def unreachable(self) -> str | None:
        """Why the machine cannot be examined, or None."""
        reason = self.evidence.connections.unreachable.get(self.name)
        if reason is None and self._target is None:
            return "not part of this run"
        return reason

    @property
    def _target(self) -> Any:
        return next((t for t in self.evidence.connections.reachable if t.name == self.name), None)

    @property
    def host(self) -> Any:
        """The machine as testinfra sees it, as root."""
        return self.evidence.once(("host", self.name), lambda: self.evidence.connections.host(self._target))

    def run(self, script: str, seconds: float = 30.0) -> Completed:
        """Run a script of ours there, as root; it never appears in a list of processes."""
        seconds *= self.evidence.patience
        return self.evidence.connections.run(self._target, script, sudo=True, seconds=seconds, reads_only=True)

    def output(self, script: str, seconds: float = 30.0) -> str:
        """What a script of ours printed; the check fails if the script does."""
        done = self.run(script, seconds)
        assert done.code == 0, f"the machine said: {(done.stderr or done.stdout).strip()[-400:] or f'exit code {done.code}'}"
        return done.stdout

    def once(self, key: object, find: Callable[[], Found]) -> Found:
        """What `find` found on this machine the first time it was asked."""
        return self.evidence.once((self.name, key), find)

    def other(self, machine: Machine) -> Subject:
        """Another machine; a check that needs one which cannot be reached is not checked."""
        found = Subject(machine, self.evidence)
        if found.unreachable is not None:
            raise NotCheckedError(f"it takes {machine.name} too: {found.unreachable}")
        return found

    def needs(self, *commands: str) -> None:
        """The check is not checked where one of these commands is missing."""
        done = self.run("".join(f"command -v {c} >/dev/null 2>&1 || echo {c}\n" for c in commands))
        if missing := done.stdout.split():
            raise NotCheckedError(f"needs {', '.join(missing)} on {self.name}")

    @property
    def gateway(self) -> Gateway:
        assert isinstance(self.machine, Gateway)
        return self.machine

    @property
    def desktop(self) -> Desktop:
        assert isinstance(self.machine, Desktop)
        return self.machine

    @property
    def laptop(self) -> Laptop:
        assert isinstance(self.machine, Laptop)
        return self.machine

    @property
    def agent(self) -> Agent:
        """The agent who carries this laptop; without one there is nothing to check."""
        found = self.commune.agent_of.get(self.name)
        if found is None:
            raise NotCheckedError("no agent carries this laptop now")
        return found
