"""One machine in one pyinfra State: recipes are registered on it, their operations evaluated side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import getclosurevars
from logging import DEBUG
from typing import Any

from pyinfra import logger
from pyinfra.api.config import Config
from pyinfra.api.exceptions import FactProcessError, PyinfraError
from pyinfra.api.host import Host, HostData
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State, StateStage
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_config, ctx_host
from typing_extensions import override

from toolkit.engine.batch import context, quick
from toolkit.engine.batch.connector import BatchConnector
from toolkit.engine.batch.facts import Facts
from toolkit.engine.batch.interleaving import is_untouched
from toolkit.engine.batch.link import Link
from toolkit.engine.batch.questions import Question, lines_of
from toolkit.engine.batch.shortcut import asked
from toolkit.engine.batch.together import Together
from toolkit.engine.batch.wave import Wave

Deploy = Callable[[], None]
STAGE = "Stage: "


class FactFailedError(PyinfraError):
    """A fact could not be read, and not for a reason that pyinfra counts as normal."""


class OneHostState(State):
    """A State of a single machine, where a failed fact is the failure of whoever asked."""

    @override
    def fail_hosts(self, hosts_to_fail: Iterable[Host], activated_count: int | None = None) -> None:
        for host in hosts_to_fail:
            raise FactFailedError(getattr(host, "last_answer", "") or "the machine's answer makes no sense")


class HostView(Host):
    """A host as one operation sees it: what is in operation is its own, everything else is the host's."""

    original: Host
    asker: str
    commands: list[Any]
    last_answer = ""
    interleaved = False

    @classmethod
    def of(cls, host: Host, asker: str = "", commands: list[Any] | None = None) -> HostView:
        """asker: who will ask for facts through it; commands: what that operation has issued so far."""
        view = cls.__new__(cls)
        view.__dict__.update(host.__dict__)
        view.original, view.asker = host, asker
        view.commands = commands if commands is not None else []
        # The data of the deploy that an operation stands in are looked up through the host they were made for.
        data = HostData(view, *host.data.datas[1:-1], view.get_deploy_data)
        data.__dict__["override_datas"] = host.data.override_datas
        data.__dict__["datas"] = (host.data.override_datas, *data.datas[1:])
        view.data = data
        return view

    @override
    def __eq__(self, other: object) -> bool:
        return self.original is getattr(other, "original", other)

    @override
    def __hash__(self) -> int:
        return hash(self.original)

    @override
    def run_shell_command(self, *args: Any, **kwargs: Any) -> Any:
        ok, output = super().run_shell_command(*args, **kwargs)
        self.last_answer = "" if ok else "\n".join(output.output_lines[-10:])
        return ok, output

    @override
    def get_fact(self, name_or_cls: Any, *args: Any, **kwargs: Any) -> Any:
        if self.commands and not is_untouched(name_or_cls, args, kwargs, self.commands):
            self.interleaved = True
        if not args and (found := self._shortly(name_or_cls, kwargs)) is not None:
            return found[0]
        try:
            return super().get_fact(name_or_cls, *args, **kwargs)
        except FactFailedError as error:
            given = ", ".join([*map(str, args), *(f"{key}={value}" for key, value in kwargs.items())])
            raise FactFailedError(f"the fact {name_or_cls.name}({given}) cannot be read: {error}") from error

    @override
    def noop(self, description: str) -> None:
        # pyinfra puts the line together before it asks whether anybody wants it.
        if self.state.print_noop_info or logger.isEnabledFor(DEBUG):
            super().noop(description)

    def _shortly(self, fact: Any, kwargs: Mapping[str, Any]) -> tuple[Any] | None:
        """A fact the short way; None where pyinfra has something to say of it."""
        connector, operation, state = self.connector, self.current_op_global_arguments, self.state
        if not isinstance(connector, BatchConnector) or connector.closed or connector.wave is None or operation is None:
            return None
        if state.print_fact_info or state.print_fact_output or logger.isEnabledFor(DEBUG):
            return None
        if (known := asked(fact, kwargs, operation)) is None:
            return None
        own, question = known
        status, stdout, _ = connector.ask(question)
        if status not in question.codes:
            return None
        try:
            return (own.process(lines_of(stdout)) if stdout else own.default(),)
        except FactProcessError:
            return None


@dataclass(eq=False)
class Operation:
    """A registered operation and what its evaluation gave. interleaved: it read what its commands may have changed."""

    hash: str
    name: str
    data: Any
    stage: int
    commands: list[Any] = field(default_factory=list)
    error: Exception | None = None
    interleaved: bool = False

    @property
    def meta(self) -> Any:
        return self.data.operation_meta

    @property
    def arguments(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data.global_arguments
        return found

    @property
    def conditions(self) -> list[Callable[[], bool]]:
        given = self.arguments.get("_if")
        return [given] if callable(given) else list(given or ())

    @property
    def is_barrier(self) -> bool:
        return self.name.rpartition(" | ")[2].startswith(STAGE)

    @property
    def function(self) -> str:
        """The operation's Python name, such as "pyinfra.operations.files.put"."""
        func = getclosurevars(self.data.command_generator).nonlocals["func"]
        return f"{func.__module__}.{func.__name__}"


class Run:
    """A State for one machine and one set of recipes; it can be planned and applied once."""

    def __init__(
        self,
        name: str,
        data: Mapping[str, Any],
        link: Link,
        facts: Facts,
        config: Config | None = None,
        together: Together | None = None,
    ) -> None:
        context.install()
        quick.install()
        self.together = together or Together()
        inventory = Inventory(([(name, dict(data))], {}))
        self.host: Host = inventory.get_host(name)
        # pyinfra only calls it.
        self.host.connector_cls = lambda state, host: BatchConnector(state, host, link, facts)  # type: ignore[assignment]
        self.state = OneHostState(inventory, config or Config(), check_for_changes=False)
        self.state.cwd = None
        self.state.current_stage = StateStage.Prepare
        self.state.activate_host(self.host)
        self.host.connected = True
        self.link = link
        self.facts = facts
        self.operations: list[Operation] = []

    def close(self) -> None:
        """Take apart what pyinfra ties in circles: over a thousand machines it would add up until it is collected."""
        ctx_host.reset()
        ctx_config.reset()
        for part in (self.host, self.state.inventory, self.state):
            vars(part).clear()

    @property
    def connector(self) -> BatchConnector:
        assert isinstance(self.host.connector, BatchConnector)
        return self.host.connector

    def register(self, deploys: Sequence[Deploy]) -> None:
        """Let recipes name their operations; what a recipe itself asks the machine is answered as well."""
        # All operations will be evaluated next, so whatever they ask may come along.
        (error,) = self.side_by_side([lambda: self._register(deploys)], self.facts.ahead())
        if error is not None:
            raise error
        stage = 0
        for hash_ in self.host.op_hash_order:
            if hash_ not in self.state.ops[self.host]:
                continue
            name = ", ".join(sorted(self.state.op_meta[hash_].names))
            operation = Operation(hash_, name, self.state.ops[self.host][hash_], stage)
            if self.shared(operation).get("_run_once") and not self.together.owns(self.host.name, name):
                operation.meta.set_complete(True, [], CommandOutput([]))
                continue
            if operation.is_barrier:
                stage += 1
                operation.stage = stage
            self.operations.append(operation)

    def shared(self, operation: Operation) -> Mapping[str, Any]:
        """The arguments that pyinfra keeps for all hosts alike: _serial, _run_once, _parallel."""
        found: Mapping[str, Any] = self.state.op_meta[operation.hash].global_arguments
        return found

    def _register(self, deploys: Sequence[Deploy]) -> Exception | None:
        # A copy would do for the facts; what recipes set on a host stays only on the host itself.
        self.enter(self.host)
        try:
            for deploy in deploys:
                deploy()
        except Exception as error:  # noqa: BLE001 - a recipe is anybody's code
            return error
        return None

    def enter(self, host: Host) -> None:
        ctx_config.set(self.state.config)
        ctx_host.set(host)

    def side_by_side(self, jobs: Sequence[Callable[[], Any]], ahead: Sequence[Question] = ()) -> list[Any]:
        """Run jobs that may ask the machine for facts; what they ask goes out together."""
        wave: Wave[Any] = Wave(self.facts, ahead)
        self.connector.wave = wave
        try:
            return wave.run(jobs)
        finally:
            self.connector.wave = None

    def evaluate(self, operations: Sequence[Operation]) -> None:
        """Find out what commands each operation would issue now."""
        jobs = [partial(self._evaluate, operation) for operation in operations]
        whole = len(operations) == len(self.operations)
        ahead = self.facts.ahead() if whole else self.facts.asked_by(operation.name for operation in operations)
        self.side_by_side(jobs, ahead)

    def _evaluate(self, operation: Operation) -> None:
        operation.commands, operation.error = [], None
        view = HostView.of(self.host, operation.name, operation.commands)
        self.enter(view)
        try:
            for command in operation.data.command_generator():
                operation.commands.append(command)
        except Exception as error:  # noqa: BLE001 - an operation is anybody's code
            operation.error = error
        operation.interleaved = view.interleaved

    def holds(self, operation: Operation) -> bool:
        """Whether every condition of the operation is met."""
        conditions = operation.conditions
        if not conditions:
            return True
        self.enter(HostView.of(self.host))
        return all(condition() for condition in conditions)
