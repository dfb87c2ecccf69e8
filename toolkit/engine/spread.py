"""A Session whose machines are shared out among processes, for more machines than one processor keeps up with."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gevent

from toolkit.engine import events, sentences
from toolkit.engine.batch.questions import Question
from toolkit.engine.crew import FAREWELL_SECONDS, Crew, FarCrew
from toolkit.engine.events import OperationFailed, Outcome
from toolkit.engine.session import Deploys, Interrupted, Session
from toolkit.engine.target import Completed, MachinePlan, MachineResult, Target
from toolkit.engine.worker import Answer, Share
from toolkit.errors import TelekitError

# A process takes as long to start as some dozen machines to look at.
MACHINES_A_PROCESS = 50
GONE = "the process that worked on it ended: run it again"
Lost = Callable[[str], Any]


def processes_for(machines: int) -> int:
    """How many processes so many machines are worth on this computer."""
    return max(1, min(len(os.sched_getaffinity(0)), machines // MACHINES_A_PROCESS))


class SpreadSession(Session):
    """Does what a Session does, with the same events and results.

    Recipes and what they receive travel to the processes over sockets, recipes by name: they are functions of a module.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._crews: list[Crew] = []
        self._connected: dict[str, Crew] = {}
        self._has_turn: set[int] = set()

    def _make_room(self) -> None:
        """Each process makes its own."""

    @property
    def reachable(self) -> tuple[Target, ...]:
        return tuple(t for t in self.targets if t.name in self._connected and t.name not in self.unreachable)

    @property
    def executions(self) -> dict[str, int]:
        return self._everywhere("executions", dict.fromkeys(self._crews, ()), lambda _: 0)

    def connect(self) -> None:
        if not self._crews:
            self._start()
        self._everywhere("connect", dict.fromkeys(self._crews, ()), self._unreached)

    def _start(self) -> None:
        number = self.options.processes or processes_for(len(self.targets))
        options = replace(self.options, parallel=-(-self.options.parallel // number), processes=1)
        *others, own = (self.targets[place::number] for place in range(number))
        far = [FarCrew(targets, partial(self._serve, place)) for place, targets in enumerate(others)]
        self._crews.extend(far)
        share = Share(own, replace(options, memory=None), self.emit, self._together)
        share.session._memory = self._memory
        self._crews.append(share)
        for crew in far:
            crew.begin(options)

    # -- what the processes ask and tell -----------------------------------------------------------------------------

    def _serve(self, place: int, method: str, arguments: tuple[Any, ...]) -> Any:
        match method:
            case "events":
                for event in arguments[0]:
                    self.emit(event)
            case "owns":
                return self._together.owns(*arguments)
            case "take turn":
                self._together.in_turn.acquire()
                self._has_turn.add(place)
            case "end turn":
                self._end_turn(place)
        return None

    def _end_turn(self, place: int) -> None:
        if place in self._has_turn:
            self._has_turn.discard(place)
            self._together.in_turn.release()

    # -- scripts -----------------------------------------------------------------------------------------------------

    def run(
        self, target: Target, script: str, *, sudo: bool = True, seconds: float = 60.0, reads_only: bool = False
    ) -> Completed:
        crew = self._connected.get(target.name)
        if target.name in self.unreachable or crew is None:
            raise TelekitError(self.unreachable.get(target.name, "not connected"), where=target.name)
        options = {"sudo": sudo, "seconds": seconds, "reads_only": reads_only}
        answer = crew.ask("run", target.name, script, options)
        if answer is None:
            self._unreached(target.name)
            raise TelekitError(GONE, where=target.name)
        self.unreachable.update(answer.unreachable)
        if isinstance(answer.result, TelekitError):
            raise answer.result
        completed: Completed = answer.result
        return completed

    def run_all(
        self, script_of: Callable[[Target], str], *, sudo: bool = True, seconds: float = 60.0, reads_only: bool = False
    ) -> dict[str, Completed]:
        options = {"sudo": sudo, "seconds": seconds, "reads_only": reads_only}
        reachable = {target.name for target in self.reachable}
        scripts = {crew: ({t.name: script_of(t) for t in crew.targets if t.name in reachable}, options) for crew in self._crews}
        return self._everywhere("run_all", scripts, self._unreached)

    def read_all(self, script: str, *, seconds: float = 60.0, apart: bool = False) -> dict[str, Completed]:
        arguments = (script, {"seconds": seconds, "apart": apart})
        return self._everywhere("read_all", dict.fromkeys(self._crews, arguments), self._unreached)

    # -- recipes -----------------------------------------------------------------------------------------------------

    def plan(self, deploys_of: Deploys) -> dict[str, MachinePlan]:
        return self._everywhere("plan", self._work(deploys_of), self._unplanned)

    def apply(self, deploys_of: Deploys) -> dict[str, MachineResult]:
        return self._everywhere("apply", self._work(deploys_of), self._unapplied)

    def _work(self, deploys_of: Deploys) -> dict[Crew, tuple[Any, ...]]:
        reachable = {target.name for target in self.reachable}
        work = {
            crew: ({t.name: (dict(t.data), tuple(deploys_of(t))) for t in crew.targets if t.name in reachable},)
            for crew in self._crews
        }
        try:
            pickle.dumps(tuple(deploys for (share,) in work.values() for _, deploys in share.values()))
        except Exception as error:
            raise TypeError(f"recipes that go to other processes must be functions of a module: {error}") from error
        return work

    # -- everywhere --------------------------------------------------------------------------------------------------

    def _everywhere(self, method: str, calls: Mapping[Crew, tuple[Any, ...]], lost: Lost) -> dict[str, Any]:
        """Have every process do it; machine → what came of it, or what `lost` says where a process is gone."""
        with self._interruptible() as interrupted:
            asking = {crew: gevent.spawn(crew.ask, method, *arguments) for crew, arguments in calls.items()}
            everybody = gevent.spawn(gevent.joinall, list(asking.values()))
            gevent.wait([everybody, interrupted], count=1)
            if not everybody.ready():
                self._stop(asking)
        middle: dict[str, str] = {}
        found: dict[str, Any] = {}
        for crew, asked in asking.items():
            found.update(self._taken(crew, asked.get(), lost, middle))
        if interrupted.is_set():
            raise Interrupted({name: middle[name] for name in sorted(middle)})
        return {target.name: found[target.name] for target in self.targets if target.name in found}

    def _stop(self, asking: Mapping[Crew, gevent.Greenlet]) -> None:
        for crew in asking:
            crew.stop()
        gevent.joinall(list(asking.values()), timeout=FAREWELL_SECONDS)
        for crew, asked in asking.items():
            if not asked.ready():
                crew.close()
        gevent.joinall(list(asking.values()))

    def _taken(self, crew: Crew, answer: Answer | None, lost: Lost, middle: dict[str, str]) -> Mapping[str, Any]:
        """Enter a process's answer into what is known here."""
        if answer is None:
            self._end_turn(self._crews.index(crew))
            hit = [t.name for t in crew.targets if t.name not in self.unreachable]
            return {name: lost(name) for name in hit}
        for target in crew.targets:
            self.unreachable.pop(target.name, None)
            self._connected.pop(target.name, None)
        self.unreachable.update(answer.unreachable)
        self._connected.update(dict.fromkeys(answer.connected, crew))
        middle.update(answer.interrupted or {})
        return answer.result or {}

    def _unreached(self, name: str) -> None:
        self.unreachable[name] = GONE
        self.emit(events.Unreachable(name, GONE))

    def _unplanned(self, name: str) -> MachinePlan:
        self.unreachable[name] = GONE
        self.emit(events.MachineDone(name, Outcome.FAILED, 0, 0.0))
        return MachinePlan(name, (), GONE)

    def _unapplied(self, name: str) -> MachineResult:
        self.unreachable[name] = GONE
        failed = OperationFailed(name, sentences.NOWHERE, GONE)
        self.emit(failed)
        self.emit(events.MachineDone(name, Outcome.FAILED, 0, 0.0))
        return MachineResult(name, (), 0, failed, 0.0)

    # -- the end -----------------------------------------------------------------------------------------------------

    def asked(self) -> dict[str, list[Question]]:
        found: dict[str, list[Question]] = {}
        for crew in self._crews:
            answer = crew.ask("asked")
            found.update(answer.result if answer is not None else {})
        return found

    def _let_go(self) -> None:
        for crew in self._crews:
            crew.close()
        self._crews.clear()
        self._connected.clear()
