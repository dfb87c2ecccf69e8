"""What a run has done so far, so that it can be told even when it ends early."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.result import Change, Observer

if TYPE_CHECKING:
    from toolkit.engine.events import Event


class Watch:
    """Hands everything on to the observer and remembers what changed where."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.changed: defaultdict[str, list[str]] = defaultdict(list)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.begun: set[str] = set()
        self.done: set[str] = set()

    def phase(self, title: str, machines: Sequence[str], *, last: bool = False) -> None:
        self.done.clear()
        self.observer.phase(title, machines, last=last)

    def emit(self, event: Event) -> None:
        from toolkit.engine import events

        match event:
            case events.OperationDone(machine=machine, name=name, changed=True):
                self.changed[machine].append(name)
            case events.StageStarted(machine=machine):
                self.begun.add(machine)
            case events.MachineDone(machine=machine, seconds=seconds):
                self.done.add(machine)
                self.seconds[machine] += seconds
            case _:
                pass
        self.observer.emit(event)

    def changes(self, machine: str) -> tuple[Change, ...]:
        return tuple(Change(name) for name in self.changed[machine])
