"""What is happening now, on standard error: a live table on a terminal, one line a finished machine elsewhere."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolkit.report.harmless import harmless
from toolkit.report.text import NAME_WIDTH, seconds, short
from toolkit.result import counted

if TYPE_CHECKING:
    from rich.text import Text

    from toolkit.engine.events import Event

WAITING, RUNNING, CONNECTED = "waiting", "running", "connected"
TROUBLED = ("failed", "unreachable")
SHOWN = 12
# Finished machines from which the time of the others is told.
ENOUGH = 3


@dataclass
class Line:
    """Where one machine is."""

    state: str = WAITING
    step: str = ""
    planned: int = 0
    done: int = 0
    since: float = field(default_factory=time.monotonic)


class Progress:
    """Follows the events of one run; `clock` is for tests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.title = ""
        self.last = False
        self.kept = 0
        # What a machine's phases changed and took together: planning changes nothing and is not counted.
        self.changed: Counter[str] = Counter()
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.lines: dict[str, Line] = {}
        self.started = clock()

    def phase(self, title: str, machines: Sequence[str], *, last: bool = False) -> None:
        """Begin again with these machines; those in trouble stay as they are."""
        self.last = last
        kept = {name: line for name, line in self.lines.items() if line.state in TROUBLED}
        self.title, self.started = title, self.clock()
        self.kept = len(kept)
        self.lines = kept | {name: Line(since=self.clock()) for name in machines if name not in kept}

    def follow(self, event: Event) -> str | None:
        """Take an event in; the sentence to print when it finishes a machine."""
        from toolkit.engine import events

        line = self.lines.setdefault(event.machine, Line(since=self.clock()))
        match harmless(event):
            case events.Connected():
                line.state, line.step = CONNECTED, ""
            case events.Unreachable(reason=reason):
                line.state, line.step = "unreachable", reason
                return f"unreachable: {reason}"
            case events.StageStarted(stage=stage, operations=operations):
                line.state, line.step, line.planned, line.done = RUNNING, stage, operations, 0
            case events.OperationDone(name=name, changed=changed):
                line.state, line.done, line.step = RUNNING, line.done + 1, short(name)
                self.changed[event.machine] += changed
            case events.OperationFailed(name=name):
                line.state, line.step = "failed", name
            case events.MachineDone():
                return self._finished(line, event)
        return None

    def _finished(self, line: Line, done: Event) -> str | None:
        from toolkit.engine import events

        assert isinstance(done, events.MachineDone)
        line.state = str(done.outcome)
        self.spent[done.machine] += done.seconds if line.planned else 0.0
        if line.state in TROUBLED:
            said = f"{line.state}: {line.step}" if line.step else line.state
        elif self.last:
            changed = self.changed[done.machine]
            said = counted(changed, "change") if changed else line.state
        else:
            return None
        return f"{said} in {seconds(self.spent[done.machine] or done.seconds)}"

    def headline(self) -> str:
        """Counts by state, and how long the rest should take."""
        counts = Counter(line.state for line in self.lines.values())
        left = counts[WAITING] + counts[RUNNING]
        parts = [f"{count} {state}" for state, count in counts.items() if count]
        return f"{self.title}: {len(self.lines) - left} of {len(self.lines)} done ({', '.join(parts)}){self._remaining(left)}"

    def _remaining(self, left: int) -> str:
        finished = len(self.lines) - left - self.kept
        if finished < ENOUGH or not left:
            return ""
        return f", about {seconds((self.clock() - self.started) * left / finished)} left"

    def urgent(self) -> list[tuple[str, Line]]:
        """Machines in trouble first, then those at work, the longest first."""
        trouble = [(name, line) for name, line in self.lines.items() if line.state in TROUBLED]
        working = sorted(((n, m) for n, m in self.lines.items() if m.state == RUNNING), key=lambda item: item[1].since)
        return trouble + working

    def __rich__(self) -> Text:
        from rich.text import Text

        text = Text(self.headline(), style="bold", no_wrap=True, overflow="ellipsis")
        urgent = self.urgent()
        for name, line in urgent[:SHOWN]:
            steps = f" {line.done}/{line.planned}" if line.planned and line.state == RUNNING else ""
            text.append(f"\n  {name:<{NAME_WIDTH}}", style="not bold")
            text.append(f"{line.state}", style="bold red" if line.state in TROUBLED else "not bold cyan")
            text.append(f"  {line.step}{steps}", style="not bold")
        if len(urgent) > SHOWN:
            text.append(f"\n  … and {len(urgent) - SHOWN} more", style="not bold")
        return text
