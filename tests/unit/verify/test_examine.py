"""How checks are found, run and judged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.checks.subject import Evidence
from toolkit.model import Commune
from toolkit.roles import ROLES
from toolkit.verify.examine import CHECKS, CheckError
from toolkit.verify.result import CheckResult

Run = Callable[..., list[CheckResult]]

PASSES = """
@check(Theme.TUNNEL, "It holds", **SAYS)
def test_it_holds(subject):
    return subject.host.check_output("echo seen")
"""
FAILS = """
@check(Theme.TUNNEL, "It holds", **SAYS)
def test_it_holds(subject):
    found = "black"
    assert found == "white", f"it is {found}"
"""


def test_a_check_that_holds_passes_and_says_what_it_saw(run_checks: Run) -> None:
    (result,) = run_checks("gw", test_gateway=PASSES)
    assert (result.machine, result.check, result.theme, result.outcome) == ("gw", "it-holds", "tunnel", "passed")
    assert result.detail == "seen"


def test_a_check_that_fails_says_what_was_tried_expected_seen_and_how_to_mend_it(run_checks: Run) -> None:
    (result,) = run_checks("gw", test_gateway=FAILS)
    assert result.outcome == "failed"
    assert result.detail == "tried: tried it on gw; expected: good; seen: it is black. To mend it: mend it"


def test_a_check_that_cannot_find_out_is_not_checked(run_checks: Run) -> None:
    (result,) = run_checks("gw", test_gateway=PASSES.replace("return subject", "raise NotCheckedError('no eyes')\n    subject"))
    assert (result.outcome, result.detail) == ("not checked", "no eyes")


def test_a_fault_in_a_check_is_a_failure_and_does_not_end_the_run(run_checks: Run) -> None:
    faulty = "@check(Theme.TUNNEL, 'x', **SAYS)\ndef test_a(subject):\n    return {}['missing']\n"
    first, second = run_checks("gw", test_gateway=faulty + PASSES)
    assert first.outcome == "failed"
    assert "KeyError" in first.seen
    assert second.outcome == "passed"


def test_a_connection_that_breaks_proves_nothing(run_checks: Run) -> None:
    broken = "@check(Theme.TUNNEL, 'x', **SAYS)\ndef test_a(subject):\n    raise ConnectionResetError('reset by peer')\n"
    (result,) = run_checks("gw", test_gateway=broken)
    assert (result.outcome, result.detail) == ("not checked", "the connection broke: reset by peer")


def test_an_unreachable_machine_is_not_checked_and_never_passed(run_checks: Run, connections: Any) -> None:
    connections.unreachable = {"gw": "no answer from 10.1.0.1:22 in 10 s"}
    (result,) = run_checks("gw", test_gateway=PASSES)
    assert (result.outcome, result.detail) == ("not checked", "gw: no answer from 10.1.0.1:22 in 10 s")


def test_a_check_that_takes_another_machine_is_not_checked_without_it(run_checks: Run, connections: Any) -> None:
    connections.unreachable = {"gw": "it sleeps"}
    both = PASSES.replace("return subject", "return subject.other(subject.commune.gateway)")
    (result,) = run_checks("portable-1", test_tunnel=both)
    assert (result.outcome, result.detail) == ("not checked", "it takes gw too: it sleeps")


def test_a_check_that_hangs_ends_and_has_failed(run_checks: Run) -> None:
    hangs = "import gevent\n@check(Theme.TUNNEL, 'x', seconds=0.2, **SAYS)\ndef test_a(subject):\n    gevent.sleep(30)\n"
    (result,) = run_checks("gw", test_gateway=hangs)
    assert (result.outcome, result.seen) == ("failed", "no result within 0 s")


def test_checks_concern_the_machines_of_their_role_alone(run_checks: Run) -> None:
    found = run_checks("gw", "poste-1", "portable-1", test_gateway=PASSES, test_baseline=PASSES, test_tunnel=PASSES)
    assert sorted((r.machine, r.check) for r in found) == [
        ("gw", "it-holds"), ("gw", "it-holds"), ("portable-1", "it-holds"), ("portable-1", "it-holds"), ("poste-1", "it-holds"),
    ]  # fmt: skip


def test_a_check_is_repeated_for_its_cases(run_checks: Run) -> None:
    cases = """
@check(Theme.ACCESS, "Reaches {case}", cases=lambda s: [Case(a.key, a.title, a) for a in s.commune.applications], **SAYS)
def test_reaches(subject, case):
    return case.value.title
"""
    found = run_checks("portable-1", test_access=cases)
    assert [(r.check, r.title, r.titre, r.detail) for r in found] == [
        ("reaches:paie", "Reaches Paie", "Titre de Paie", "Paie"),
        ("reaches:mail", "Reaches Messagerie", "Titre de Messagerie", "Messagerie"),
    ]


def test_machines_are_examined_side_by_side(run_checks: Run) -> None:
    slow = "import gevent\n@check(Theme.TUNNEL, 'x', **SAYS)\ndef test_a(subject):\n    gevent.sleep(2)\n"
    started = time.monotonic()
    assert len(run_checks("gw", "poste-1", "portable-1", "portable-2", test_baseline=slow)) == 4
    assert time.monotonic() - started < 6


def test_nobodys_settings_interfere(run_checks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\npython_functions = nothing\n")
    (tmp_path / "conftest.py").write_text("raise SystemExit('a conftest of somebody else was read')\n")
    (tmp_path / "test_gateway.py").write_text("raise SystemExit('a test of somebody else was read')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--another-missing-option")
    (result,) = run_checks("gw", test_gateway=PASSES)
    assert result.outcome == "passed"
    assert os.environ["PYTEST_ADDOPTS"] == "--another-missing-option"


def test_nothing_is_printed(run_checks: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run_checks("gw", test_gateway=FAILS)
    assert capfd.readouterr() == ("", "")


def test_checks_that_cannot_be_loaded_are_an_error_and_not_an_empty_pass(run_checks: Run) -> None:
    with pytest.raises(CheckError, match="could not be loaded"):
        run_checks("gw", test_gateway="raise ImportError('gone')\n")


def test_what_was_found_once_is_not_looked_for_again(commune: Commune, connections: Any) -> None:
    evidence, looked = Evidence(commune, connections), []

    def look() -> str:
        looked.append(1)
        raise AssertionError("nothing there")

    for _ in range(2):
        with pytest.raises(AssertionError, match="nothing there"):
            evidence.once("key", look)
    assert looked == [1]


def test_every_packaged_file_of_checks_belongs_to_a_role() -> None:
    packaged = {path.name for path in CHECKS.glob("test_*.py")}
    assert packaged == {file for recipe in ROLES.values() for file in recipe.checks}


TURNS = """
import time
import gevent
def stay():
    started = time.monotonic()
    gevent.sleep(0.1)
    return f"{started} {time.monotonic()}"
@check(Theme.TUNNEL, "x", beside=True, **SAYS)
def test_waits(subject):
    return stay()
@check(Theme.TUNNEL, "x", beside=True, **SAYS)
def test_waits_too(subject):
    return stay()
@check(Theme.TUNNEL, "x", **SAYS)
def test_looks(subject):
    return stay()
@check(Theme.TUNNEL, "x", alone=True, **SAYS)
def test_changes(subject):
    return stay()
@check(Theme.TUNNEL, "x", **SAYS)
def test_looks_after(subject):
    return stay()
"""


def test_what_waits_runs_beside_the_others_and_what_changes_something_runs_alone(run_checks: Run) -> None:
    found = {r.check: tuple(map(float, r.seen.split())) for r in run_checks("portable-1", test_tunnel=TURNS)}
    waits, waits_too, looks, changes, after = (found[c] for c in ("waits", "waits-too", "looks", "changes", "looks-after"))
    assert looks[0] < waits[1]  # side by side
    assert waits[1] <= waits_too[0]  # of one kind, one after the other
    assert max(waits_too[1], looks[1]) <= changes[0]
    assert changes[1] <= after[0]
