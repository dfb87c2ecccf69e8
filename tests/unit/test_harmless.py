"""A machine that somebody else controls says what it likes: nothing of it is obeyed by the operator's terminal."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.engine.events import Unreachable
from toolkit.errors import Problem, TelekitError
from toolkit.report import Report
from toolkit.report.document import to_json
from toolkit.report.harmless import harmless, in_json
from toolkit.report.progress import Progress
from toolkit.report.text import lines
from toolkit.result import Change, Check, MachineReport, Result, State

# Clears the screen and sets the window's title, in seven bits and in eight; then text that reads from right to left.
EVIL = "\x1b[2J\x1b]0;owned\x07 \x9b2J \u202etfel\u202c \r\ngone\rthere"
OBEYED = ("\x1b", "\x07", "\x9b", "\u202e", "\r")


def everywhere(said: str) -> Result:
    """A result in which a machine's words stand wherever they can."""
    machine = MachineReport(
        "portable-1", "laptop", State.FAILED, said, (Change(said, "change", said, f"-{said}\n+{said}"),),
        (Check(said, "failed", said),), (said,),
    )  # fmt: skip
    pending = MachineReport("portable-2", "laptop", State.PENDING, changes=(Change(said, "change", said, f"-{said}"),))
    return Result("plan", "lab", (machine, pending), {"said": said}, (Problem(said, said, said),), closing=said, next=said)


def test_no_terminal_obeys_what_a_machine_says() -> None:
    shown = "\n".join(lines(everywhere(EVIL)))
    assert not [mark for mark in OBEYED if mark in shown]
    assert "\\x1b[2J" in shown, "what was said is still told"


def test_ordinary_french_is_shown_as_it_is() -> None:
    said = "Œuvre\u00a0: « déjà\u202f» — 3 €\n\tà l'année"
    assert harmless(said) == said


@given(st.text())
def test_json_says_the_same_and_holds_nothing_that_a_terminal_obeys(said: str) -> None:
    plain = json.dumps({"said": said}, ensure_ascii=False)
    written = in_json(plain)
    assert json.loads(written) == json.loads(plain)
    assert harmless(written) == written


def test_json_results_are_safe_to_look_at() -> None:
    written = to_json(everywhere(EVIL))
    assert not [mark for mark in OBEYED if mark in written]
    assert json.loads(written)["machines"][0]["reason"] == EVIL


def test_progress_and_errors_are_harmless_too(capsys: pytest.CaptureFixture[str]) -> None:
    said = Progress().follow(Unreachable("portable-1", EVIL))
    Report("plan").error(TelekitError(EVIL, where="portable-1"))
    for shown in (said or "", capsys.readouterr().err):
        assert shown and not [mark for mark in OBEYED if mark in shown]


def test_our_own_colours_stay() -> None:
    report = Report("check")
    report.stderr = io.StringIO()
    report.err.colour = True
    report.failure(Problem(EVIL), 1)
    assert report.stderr.getvalue().count("\x1b") == 2
