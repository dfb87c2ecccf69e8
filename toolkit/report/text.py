"""Result → lines for a person."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.errors import Problem
from toolkit.report.harmless import harmless
from toolkit.report.style import PLAIN, Style
from toolkit.result import Change, Check, MachineReport, Result, State, counted

ROLE_WIDTH = 9
NAME_WIDTH = 20
OPERATION_WIDTH, OPERATION_WIDEST = 28, 44
DETAIL_WIDTH = 80
DIFF_LINES = 60
MARKS = {"change": "~", "conditional": "?"}


def lines(result: Result, style: Style = PLAIN, *, diff: bool = True) -> Iterator[str]:
    """Everything that a person reads of a result, in the order in which they need it; nothing in it moves the terminal."""
    result = harmless(result)
    width = max([NAME_WIDTH, *(len(machine.name) + 2 for machine in result.machines)])
    for machine in result.machines:
        yield from _machine(machine, width, style, diff=diff)
    for problem in result.problems:
        yield problem_line(problem, style)
    if result.closing:
        if result.machines or result.problems:
            yield ""
        yield from result.closing.splitlines()
    if result.next:
        yield f"Next: {result.next}"


def problem_line(problem: Problem, style: Style = PLAIN) -> str:
    word = style.paint("warning", "yellow") if problem.warning else style.paint("problem", "red", "bold")
    return f"{word}: {harmless(problem)}"


def sentence(machine: MachineReport) -> str:
    """One machine's state in words, as it stands behind its name."""
    match machine.state:
        case State.PENDING | State.CHANGED if not machine.reason:
            text = counted(len(machine.changes), "change")
            return f"would make {text}" if machine.state is State.PENDING else text
        case State.UNCHANGED:
            return "no change"
        case _:
            return f"{machine.state}: {machine.reason}" if machine.reason else str(machine.state)


def _machine(machine: MachineReport, width: int, style: Style, *, diff: bool) -> Iterator[str]:
    head = f"{machine.name:<{width}}{machine.role:<{ROLE_WIDTH}} "
    planned, listed = machine.state is State.PENDING, machine.state in (State.PENDING, State.DRIFTED)
    first, *more = ("" if planned else sentence(machine)).split("\n")
    took = f" in {seconds(machine.seconds)}" if machine.seconds is not None and not planned else ""
    yield (head + style.state(first, machine.state) + took).rstrip()
    if not listed:
        yield from (f"  {line}" for line in more)
    yield from (f"  {style.paint('!', 'yellow')} {warning}" for warning in machine.warnings)
    if listed:
        wide = max(OPERATION_WIDTH, *(len(short(change.name)) + 2 for change in machine.changes))
        for change in machine.changes:
            yield from _change(change, min(wide, OPERATION_WIDEST), style, diff=diff)
        yield from (f"  {line}" for line in more)
    yield from (line for check in machine.checks if check.outcome != "passed" for line in _check(check, style))


def short(operation: str) -> str:
    """An operation without the recipe that it is in."""
    return operation.rpartition(" | ")[2]


def _change(change: Change, width: int, style: Style, *, diff: bool) -> Iterator[str]:
    mark = style.paint(MARKS.get(change.kind, "~"), "yellow")
    detail = change.detail if len(change.detail) <= DETAIL_WIDTH else change.detail[: DETAIL_WIDTH - 1] + "…"
    yield f"  {mark} {short(change.name):<{width - 1}} {detail}".rstrip()
    if diff and change.diff:
        shown = change.diff.splitlines()
        yield from (f"      {style.diff(line)}" for line in shown[:DIFF_LINES])
        if len(shown) > DIFF_LINES:
            yield f"      … {len(shown) - DIFF_LINES} more lines (--json has them all)"


def _check(check: Check, style: Style) -> Iterator[str]:
    state = {"failed": State.FAILED, "derogation": State.PENDING}.get(check.outcome, State.UNCHECKED)
    yield f"  {style.state(check.outcome, state)}  {check.name}"
    yield from (f"      {line}" for line in check.detail.splitlines())


def seconds(value: float) -> str:
    """A duration as people say it: 0.4 s, 12 s, 3 min 05 s."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"
