"""From what the batch engine tells about one machine to events."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.engine import events, sentences
from toolkit.engine.events import Event


class Emitting:
    """Turns what the batch engine tells about one machine into events, and keeps the sums."""

    def __init__(self, machine: str, emit: Callable[[Event], None]) -> None:
        self.machine = machine
        self.emit = emit
        self.changed: list[str] = []
        self.unchanged = 0

    def stage_started(self, name: str, operations: int) -> None:
        self.emit(events.StageStarted(self.machine, name, operations))

    def operation_done(self, name: str, *, changed: bool, seconds: float) -> None:
        if changed:
            self.changed.append(sentences.short(name))
        else:
            self.unchanged += 1
        self.emit(events.OperationDone(self.machine, sentences.short(name), changed, seconds))
