"""What a person reads: results as text, and what is happening now."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from toolkit.engine.events import (
    Connected,
    MachineDone,
    OperationDone,
    OperationFailed,
    Outcome,
    StageStarted,
    Unreachable,
)  # fmt: skip
from toolkit.errors import InventoryError, Problem, UsageError
from toolkit.report import Report
from toolkit.report.progress import Progress
from toolkit.report.style import PLAIN, Style
from toolkit.report.text import lines, seconds
from toolkit.result import Change, Check, MachineReport, Result, State

PLAN = Result(
    "plan", "alfortville",
    (
        MachineReport("gw-mairie", "gateway", State.PENDING, changes=(
            Change("gateway | Write wg0.conf", "change", "+ peer portable-042, − peer portable-007", "@@ -1 +1 @@\n-old\n+new"),
            Change("gateway | Apply peers", "conditional", "if wg0.conf changes"),
        )),
        MachineReport("bureau-finances-03", "desktop", State.UNCHANGED),
        MachineReport("portable-042", "laptop", State.UNREACHABLE, "no answer from 10.94.3.42:22 in 10 s"),
    ),
    closing="1 machine would change, 1 unchanged, 1 unreachable. Nothing was touched.",
    next="telekit provision --commune alfortville",
)  # fmt: skip


def text(result: Result, style: Style = PLAIN, *, diff: bool = True) -> str:
    return "\n".join(lines(result, style, diff=diff))


def test_a_plan_reads_as_the_design_shows_it() -> None:
    assert text(PLAN, diff=False) == (
        "gw-mairie           gateway\n"
        "  ~ Write wg0.conf              + peer portable-042, − peer portable-007\n"
        "  ? Apply peers                 if wg0.conf changes\n"
        "bureau-finances-03  desktop   no change\n"
        "portable-042        laptop    unreachable: no answer from 10.94.3.42:22 in 10 s\n"
        "\n"
        "1 machine would change, 1 unchanged, 1 unreachable. Nothing was touched.\n"
        "Next: telekit provision --commune alfortville"
    )


def test_a_plan_shows_diffs_under_their_operation() -> None:
    shown = text(PLAN).splitlines()
    assert shown[2:5] == ["      @@ -1 +1 @@", "      -old", "      +new"]


def test_a_long_diff_says_how_much_of_it_is_left_out() -> None:
    change = Change("Write it", diff="\n".join(f"+{number}" for number in range(100)))
    shown = text(Result("plan", "", (MachineReport("m", "gateway", State.PENDING, changes=(change,)),)))
    assert "      +59" in shown
    assert "+60" not in shown
    assert "… 40 more lines" in shown


def test_colour_repeats_what_the_words_say() -> None:
    coloured = text(PLAN, Style(colour=True))
    assert "\x1b[31;1munreachable: no answer" in coloured
    assert "\x1b[32mno change" in coloured
    for code in ("\x1b[31;1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == text(PLAN)


def test_a_failure_shows_where_and_what_the_machine_said() -> None:
    failed = MachineReport("gw", "gateway", State.FAILED, "Install packages\nE: no space left", seconds=72.4)
    assert text(Result("provision", "", (failed,))) == (
        "gw                  gateway   failed: Install packages in 1 min 12 s\n  E: no space left"
    )


def test_a_check_that_was_not_made_is_shown_like_one_that_failed() -> None:
    checks = (
        Check("It answers", "passed"),
        Check("It is refused", "failed", "it was let in"),
        Check("RDP", "not checked", "no key"),
    )
    shown = text(Result("verify", "", (MachineReport("m", "laptop", State.FAILED, "1 of 3 checks", checks=checks),)))
    assert "failed  It is refused\n      it was let in" in shown
    assert "not checked  RDP\n      no key" in shown
    assert "It answers" not in shown


@pytest.mark.parametrize(("value", "said"), [(0.42, "0.4 s"), (12.3, "12 s"), (185, "3 min 05 s")])
def test_durations_are_said_as_people_do(value: float, said: str) -> None:
    assert seconds(value) == said


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_counts_states_and_tells_the_time_that_is_left() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.phase("Provisioning", ["a", "b", "c", "d", "e"], last=True)
    clock.now = 30
    for name in "abc":
        progress.follow(MachineDone(name, Outcome.CHANGED, 3, 30))
    progress.follow(StageStarted("d", "", 10))
    assert progress.headline() == "Provisioning: 3 of 5 done (3 changed, 1 running, 1 waiting), about 20 s left"


def test_machines_in_trouble_come_first_and_stay_in_the_next_phase() -> None:
    progress = Progress()
    progress.phase("Connecting", ["a", "b", "c"])
    progress.follow(Connected("a"))
    progress.follow(Unreachable("b", "no answer"))
    progress.follow(Connected("c"))
    assert progress.headline() == "Connecting: 3 of 3 done (2 connected, 1 unreachable)"
    progress.phase("Provisioning", ["a", "c"], last=True)
    progress.follow(StageStarted("a", "", 40))
    progress.follow(OperationDone("a", "baseline | Install packages", changed=True, seconds=1))
    progress.follow(OperationFailed("c", "gateway | Run unbound", "exit 1"))
    assert [name for name, _ in progress.urgent()] == ["b", "c", "a"]
    shown = _drawn(progress)
    assert "b                   unreachable  no answer" in shown
    assert "a                   running  Install packages 1/40" in shown


def test_a_thousand_machines_do_not_fill_more_than_a_screen() -> None:
    progress = Progress()
    names = [f"portable-{number:04}" for number in range(1000)]
    progress.phase("Provisioning", names)
    for name in names:
        progress.follow(StageStarted(name, "", 1))
    shown = _drawn(progress).splitlines()
    assert len(shown) == 14
    assert shown[-1].strip() == "… and 988 more"


def _drawn(progress: Progress) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100).print(progress)
    return stream.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_finished_machine(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("provision")
    report.phase("Enrolling", ["a", "b"])
    report.emit(StageStarted("a", "", 2))
    report.emit(OperationDone("a", "Make the key", changed=True, seconds=1))
    report.emit(MachineDone("a", Outcome.CHANGED, 1, 1.0))
    report.phase("Provisioning", ["a", "b"], last=True)
    report.emit(StageStarted("a", "", 2))
    report.emit(OperationDone("a", "Install", changed=True, seconds=1))
    report.emit(OperationDone("a", "Configure", changed=False, seconds=1))
    report.emit(MachineDone("a", Outcome.CHANGED, 1, 12.0))
    report.emit(OperationFailed("b", "Run unbound", "no"))
    report.emit(MachineDone("b", Outcome.FAILED, 0, 3.0))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "Enrolling: 2",
        "Provisioning: 2",
        "  a                   2 changes in 13 s",
        "  b                   failed: Run unbound in 3.0 s",
    ]


def test_an_error_says_what_where_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    Report("plan").error(UsageError("it is damaged", where="ledger.json", hint="restore it"))
    assert capsys.readouterr().err == "telekit: ledger.json: it is damaged (restore it)\n"


def test_a_refused_inventory_lists_problems_and_warnings_apart(capsys: pytest.CaptureFixture[str]) -> None:
    problems = (Problem("unknown key", "commune.toml:3", "did you mean `lan`?"), Problem("old", "agents.csv:2", warning=True))
    Report("check").error(InventoryError(problems))
    assert capsys.readouterr().err == (
        "problem: commune.toml:3: unknown key (did you mean `lan`?)\n"
        "warning: agents.csv:2: old\n"
        "\n"
        "Refused: the inventory has 1 problem.\n"
    )
