"""A failure that somebody answers for, until a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tests.unit.verify.conftest import town
from toolkit.model import Commune, Derogation
from toolkit.verify.derogation import judged, told
from toolkit.verify.junit import junit_xml
from toolkit.verify.result import CheckResult, VerifyResult

TODAY = date(2026, 6, 1)


def accepted(until: date, **more: str) -> Derogation:
    return Derogation("clock", "le maire", "en cours", until, **more)


def result(outcome: str, machine: str = "gw", check: str = "clock") -> CheckResult:
    return CheckResult(machine, check, "baseline", "The clock is right", outcome, "3 s late", 0.1, seen="3 s late")


def commune_with(*derogations: Derogation) -> Commune:
    return replace(town(), today=TODAY, derogations=derogations)


def test_a_failure_under_derogation_is_no_failure_and_says_who_and_until_when() -> None:
    found = judged(result("failed"), commune_with(accepted(TODAY)))
    assert found.outcome == "derogation"
    assert found.detail == "accepted by le maire until 2026-06-01: en cours. Seen: 3 s late"
    run = VerifyResult((found, result("passed", "poste-1")), ("gw", "poste-1"))
    assert run.exit_code == 0
    assert run.failed == () and run.derogations == (found,)


def test_a_derogation_that_ended_makes_the_check_fail_again_and_says_so() -> None:
    found = judged(result("failed"), commune_with(accepted(date(2026, 5, 31))))
    assert found.outcome == "failed"
    assert "the derogation that le maire accepted ended on 2026-05-31" in found.seen


def test_the_derogation_that_lasts_longest_counts() -> None:
    both = commune_with(accepted(date(2026, 5, 31)), accepted(date(2026, 7, 1), machine="gw"))
    assert judged(result("failed"), both).outcome == "derogation"
    assert judged(result("failed", "poste-1"), both).outcome == "failed"


@pytest.mark.parametrize("outcome", ["passed", "not checked"])
def test_a_derogation_changes_nothing_but_failures(outcome: str) -> None:
    assert judged(result(outcome), commune_with(accepted(TODAY))) == result(outcome)


def test_a_derogation_that_is_not_needed_any_more_is_mentioned() -> None:
    (problem,) = told(commune_with(accepted(TODAY)), [result("passed")], everything=True)
    assert "not needed any more" in problem.what and problem.warning
    assert list(told(commune_with(accepted(TODAY)), [result("derogation")], everything=True)) == []


def test_a_derogation_about_nothing_is_mentioned_by_a_run_of_everything() -> None:
    odd = commune_with(accepted(TODAY, machine="portable-1"))
    assert [p.what for p in told(odd, [result("passed")], everything=True)] == ["no machine has this check"]
    assert list(told(odd, [result("passed")], everything=False)) == []


def test_junit_shows_a_derogation_as_skipped_with_the_reason() -> None:
    commune = commune_with(accepted(TODAY))
    text = junit_xml(commune, VerifyResult((judged(result("failed"), commune),), ("gw",)))
    assert 'skipped="1"' in text and "derogation: The clock is right: accepted by le maire" in text
