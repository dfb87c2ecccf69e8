"""The engine's front: connections to a commune's machines, and everything that is done over them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from pyinfra.api.config import Config

from toolkit.engine import batch, events, sentences
from toolkit.engine.batch import Connector, Machine, Memory, Together
from toolkit.engine.batch.link import CommandTimeoutError, LinkLostError, within
from toolkit.engine.batch.reach import UnreachableError
from toolkit.engine.events import Event, OperationFailed, Outcome
from toolkit.engine.observer import Emitting
from toolkit.engine.process import allow_files, interruptible, route_logs, side_by_side
from toolkit.engine.target import Completed, MachinePlan, MachineResult, Options, PlannedOperation, Target, without_secrets
from toolkit.errors import TelekitError

if TYPE_CHECKING:
    from testinfra.host import Host

    from toolkit.engine.batch.questions import Question

Deploy = Callable[[], None]
Deploys = Callable[[Target], Sequence[Deploy]]
T = TypeVar("T")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: `machines` were in the middle of something, each at the operation given."""

    def __init__(self, machines: Mapping[str, str]) -> None:
        self.machines = machines
        super().__init__("interrupted in the middle of " + ", ".join(machines) if machines else "interrupted")


class Session:
    """Open connections to machines, for as long as the `with` block lasts; one that fails never stops the others.

    emit: gets an Event for whatever happens, while it happens.
    """

    _interruptible = staticmethod(interruptible)

    def __new__(cls, targets: Iterable[Target], options: Options, emit: Callable[[Event], None]) -> Session:
        """More machines than one processor keeps up with are shared out among processes."""
        from toolkit.engine import spread

        machines = len(targets) if isinstance(targets, Sized) else 0
        if cls is Session and (options.processes or spread.processes_for(machines)) > 1:
            return super().__new__(spread.SpreadSession)
        return super().__new__(cls)

    def __init__(self, targets: Iterable[Target], options: Options, emit: Callable[[Event], None]) -> None:
        self.targets = tuple(targets)
        self.options = options
        self.emit = emit
        self.unreachable: dict[str, str] = {}
        self._machines: dict[str, Machine] = {}
        self._hosts: dict[str, Host] = {}
        self._together = Together()
        self._memory = Memory(options.memory) if options.memory is not None else None
        route_logs(debug=options.debug)
        self._make_room()

    def _make_room(self) -> None:
        allow_files(len(self.targets))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every machine."""
        if self._memory is not None:
            self._memory.keep(self.asked())
        self._let_go()

    def _let_go(self) -> None:
        for machine in self._machines.values():
            machine.close()
        self._machines.clear()

    @property
    def executions(self) -> dict[str, int]:
        """How many commands went to each machine so far."""
        return {name: machine.link.executions for name, machine in self._machines.items()}

    def asked(self) -> dict[str, list[Question]]:
        """What each machine was asked; questions in which a secret of its recipe stands are left out."""
        return {
            target.name: without_secrets(self._machines[target.name].facts.all_asked(), target.data)
            for target in self.targets
            if target.name in self._machines
        }

    # -- connections -------------------------------------------------------------------------------------------------

    @property
    def reachable(self) -> tuple[Target, ...]:
        """The targets with a connection that works, as far as is known."""
        return tuple(t for t in self.targets if t.name in self._machines and t.name not in self.unreachable)

    def connect(self) -> None:
        """Try every target that has no connection, side by side; `unreachable` then says why which has none."""
        connector = Connector(
            self.options.known_hosts,
            self.options.identities,
            connect_seconds=self.options.connect_seconds,
            ssh_config=Path.home() / ".ssh" / "config",
        )
        missing = [target for target in self.targets if target.name not in self._machines]
        self._side_by_side(missing, lambda target: self._connect(connector, target))

    def _connect(self, connector: Connector, target: Target) -> None:
        try:
            link = connector.open(target.ssh.host, target.ssh.port, target.user)
        except UnreachableError as error:
            reason = sentences.unreachable(error)
            self.unreachable[target.name] = reason
            self.emit(events.Unreachable(target.name, reason))
            return
        sudo = target.user != "root"
        self._machines[target.name] = Machine(
            target.name, link, data=target.data, config=lambda: Config(SUDO=sudo), together=self._together,
            expected=self._memory.questions(target.name) if self._memory is not None else (),
        )  # fmt: skip
        self.unreachable.pop(target.name, None)
        self.emit(events.Connected(target.name))

    def _machine(self, target: Target) -> Machine:
        if target.name in self.unreachable or target.name not in self._machines:
            raise TelekitError(self.unreachable.get(target.name, "not connected"), where=target.name)
        return self._machines[target.name]

    def _lost(self, target: Target, error: OSError) -> str:
        """Count a machine whose connection broke as unreachable from here on."""
        self._machines[target.name].close()
        self.unreachable[target.name] = str(error)
        return str(error)

    # -- scripts -----------------------------------------------------------------------------------------------------

    def run(
        self, target: Target, script: str, *, sudo: bool = True, seconds: float = 60.0, reads_only: bool = False
    ) -> Completed:
        """Run a shell script on a machine; it travels on standard input, so that no argument list shows it.

        One that takes longer ends with code 124. reads_only: facts that are known of the machine stay known; it costs a round
        trip and no `sudo`.
        """
        root = sudo and target.user != "root"
        return self._completed(target, seconds, lambda m: m.script(script, sudo=root, seconds=seconds, reads_only=reads_only))

    def run_all(
        self, script_of: Callable[[Target], str], *, sudo: bool = True, seconds: float = 60.0, reads_only: bool = False
    ) -> dict[str, Completed]:
        """Run a script on every reachable machine, side by side; one that falls silent is not in the answer."""
        return self._all(lambda target: self.run(target, script_of(target), sudo=sudo, seconds=seconds, reads_only=reads_only))

    def read_all(self, script: str, *, seconds: float = 60.0, apart: bool = False) -> dict[str, Completed]:
        """What a script that only reads says on every reachable machine: as root, or without where sudo is refused.

        It saves round trips: what the recipes will ask goes along, and an answer stands until something changes.
        apart: it waits more than it works; the rest is read meanwhile, and the answer counts once. No secret may stand
        in the script.
        """
        return self._all(lambda target: self._read(target, script, seconds, apart=apart))

    def _read(self, target: Target, script: str, seconds: float, *, apart: bool) -> Completed:
        root = target.user != "root"
        return self._completed(target, seconds, lambda m: m.read(script, sudo=root, seconds=seconds, apart=apart))

    def _all(self, run: Callable[[Target], Completed]) -> dict[str, Completed]:
        def one(target: Target) -> Completed | None:
            try:
                return run(target)
            except TelekitError as error:
                self.emit(events.Unreachable(target.name, error.problem.what))
                return None

        done = self._side_by_side(self.reachable, one)
        return {name: completed for name, completed in done.items() if completed is not None}

    def _completed(self, target: Target, seconds: float, run: Callable[[Machine], batch.Completed]) -> Completed:
        machine = self._machine(target)
        try:
            done = run(machine)
        except CommandTimeoutError as error:
            return Completed(124, "", str(error))
        except LinkLostError as error:
            raise TelekitError(self._lost(target, error), where=target.name) from error
        errors = done.stderr.decode(errors="replace") or (f"no end after {seconds:g} s" if done.code == 124 else "")
        return Completed(done.code, done.stdout.decode(errors="replace"), errors)

    def host(self, target: Target) -> Host:
        """The machine as testinfra sees it, with root's eyes, over the open connection."""
        if target.name not in self._hosts:
            from toolkit.engine.hosts import host_over

            self._hosts[target.name] = host_over(self, target)
        return self._hosts[target.name]

    # -- recipes -----------------------------------------------------------------------------------------------------

    def plan(self, deploys_of: Deploys) -> dict[str, MachinePlan]:
        """What the recipes would change on every reachable machine; nothing is touched. MachineDone counts what would change."""
        return self._side_by_side(self.reachable, lambda target: self._plan(target, deploys_of(target)))

    def _plan(self, target: Target, deploys: Sequence[Deploy]) -> MachinePlan:
        began = time.monotonic()
        operations: tuple[PlannedOperation, ...] = ()
        error = ""
        try:
            with within(self.options.deadline_seconds):
                planned = self._machine(target).plan(deploys) if deploys else []
        except Exception as failure:  # noqa: BLE001 - whatever a recipe raises must not stop the other machines
            error = self._told(target, failure)
        else:
            operations = tuple(
                PlannedOperation(sentences.short(p.name), "conditional" if p.conditional else "change", p.diff, p.detail)
                for p in planned
            )
        if deploys:
            changes = sum(operation.kind == "change" for operation in operations)
            outcome = Outcome.FAILED if error else Outcome.CHANGED if changes else Outcome.UNCHANGED
            self.emit(events.MachineDone(target.name, outcome, changes, time.monotonic() - began))
        return MachinePlan(target.name, operations, error)

    def apply(self, deploys_of: Deploys) -> dict[str, MachineResult]:
        """Apply the recipes to every reachable machine; each stops at its own first failure."""
        return self._side_by_side(self.reachable, lambda target: self._apply(target, deploys_of(target)))

    def _apply(self, target: Target, deploys: Sequence[Deploy]) -> MachineResult:
        began = time.monotonic()
        if not deploys:
            return MachineResult(target.name, (), 0, None, 0.0)
        observer = Emitting(target.name, self.emit)
        failed: OperationFailed | None = None
        try:
            with within(self.options.deadline_seconds):
                applied = self._machine(target).apply(deploys, observer)
            if applied.failure is not None:
                failed = OperationFailed(target.name, sentences.short(applied.failure.name), applied.failure.output)
        except Exception as failure:  # noqa: BLE001 - whatever a recipe raises must not stop the other machines
            failed = OperationFailed(target.name, self._at(target), self._told(target, failure))
        seconds = time.monotonic() - began
        outcome = Outcome.FAILED if failed else Outcome.CHANGED if observer.changed else Outcome.UNCHANGED
        if failed:
            self.emit(failed)
        self.emit(events.MachineDone(target.name, outcome, len(observer.changed), seconds))
        return MachineResult(target.name, tuple(observer.changed), observer.unchanged, failed, seconds)

    def _at(self, target: Target) -> str:
        machine = self._machines.get(target.name)
        return sentences.short(machine.current if machine else "") or sentences.NOWHERE

    def _told(self, target: Target, failure: Exception) -> str:
        """An exception in words; a connection that broke is counted."""
        if isinstance(failure, CommandTimeoutError):
            late = OSError(f"not finished after {self.options.deadline_seconds:.0f} s: given up")
            return self._lost(target, late)
        if isinstance(failure, LinkLostError):
            return self._lost(target, failure)
        return sentences.failed(failure)

    # -- side by side ------------------------------------------------------------------------------------------------

    def _side_by_side(self, targets: Iterable[Target], work: Callable[[Target], T]) -> dict[str, T]:
        """Do something with every target, `parallel` at a time; Ctrl-C ends all of it."""
        at_work: set[str] = set()

        def one(target: Target) -> T:
            at_work.add(target.name)
            found = work(target)
            at_work.discard(target.name)
            return found

        with self._interruptible() as interrupted:
            jobs = {target.name: partial(one, target) for target in targets}
            done = side_by_side(jobs, self.options.parallel, interrupted)
        if done is not None:
            return done
        raise Interrupted(self._leave(at_work))

    def _leave(self, at_work: set[str]) -> dict[str, str]:
        """Let go of the machines that were in the middle of something; each with the operation it was at."""
        middle = {name: sentences.short(self._machines[name].current) for name in sorted(at_work) if name in self._machines}
        for target in self.targets:
            if target.name in middle:
                self._lost(target, OSError("interrupted"))
        return middle
