"""A verification as JUnit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as Xml

from toolkit.model import Commune
from toolkit.verify.junit import junit_xml
from toolkit.verify.result import CheckResult, VerifyResult

STARTED = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)


def result(check: str, outcome: str, seen: str = "", machine: str = "gw", theme: str = "tunnel") -> CheckResult:
    return CheckResult(machine, check, theme, f"{check} is true", outcome, seen, 0.01, f"{check} est vrai", "t", "e", seen, "f")


def found(*results: CheckResult, **more: Any) -> VerifyResult:
    return VerifyResult(results, ("gw", "poste-1"), started=STARTED, seconds=1.5, **more)


MIXED = found(
    result("a", "passed", "seen"), result("b", "failed", "<b>\x00 & more"), result("c", "not checked", "no eyes", "poste-1")
)  # fmt: skip


def test_only_a_run_that_reached_and_passed_everything_is_good(commune: Commune) -> None:
    assert found(result("a", "passed")).exit_code == 0
    assert found(result("a", "passed"), result("c", "not checked")).exit_code == 0
    assert found(result("a", "passed"), result("b", "failed")).exit_code == 1
    assert found(result("a", "passed"), unreachable={"poste-1": "asleep"}).exit_code == 1
    assert found().exit_code == 1


def test_junit_counts_every_outcome_of_every_machine(commune: Commune) -> None:
    root = Xml.fromstring(junit_xml(commune, MIXED).encode())
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("skipped")) == ("testsuites", "3", "1", "1")
    assert [(s.get("name"), s.get("tests"), s.get("failures"), s.get("skipped")) for s in root] == [
        ("gw", "2", "1", "0"), ("poste-1", "1", "0", "1"),
    ]  # fmt: skip
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases["b"].findtext("failure") == "b is true: <b>\ufffd & more"
    assert [skipped.get("message") for skipped in cases["c"].iter("skipped")] == ["c is true: no eyes"]
    assert all(case.get("classname") and case.get("time") for case in cases.values())
