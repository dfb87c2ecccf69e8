"""What a verification found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

PASSED = "passed"
FAILED = "failed"
NOT_CHECKED = "not checked"
DEROGATION = "derogation"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check on one machine.

    check: its stable name. outcome: passed, failed, not checked, or derogation: a failure that somebody answers for.
    detail: what was seen; for a failure also what was expected and how to mend it; for a check that could not be made, why.
    titre: the title in French. The rest are the parts of `detail`.
    """

    machine: str
    check: str
    theme: str
    title: str
    outcome: str
    detail: str
    seconds: float
    titre: str = ""
    tried: str = ""
    expected: str = ""
    seen: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Everything a run of `verify` found: the results in the order of machines and checks, and the pictures it took."""

    results: tuple[CheckResult, ...]
    machines: tuple[str, ...]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    screenshots: tuple[Path, ...] = ()
    started: datetime = field(default_factory=lambda: datetime.now().astimezone())
    seconds: float = 0.0

    def _with(self, outcome: str) -> tuple[CheckResult, ...]:
        return tuple(r for r in self.results if r.outcome == outcome)

    @property
    def passed(self) -> tuple[CheckResult, ...]:
        return self._with(PASSED)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        return self._with(FAILED)

    @property
    def not_checked(self) -> tuple[CheckResult, ...]:
        return self._with(NOT_CHECKED)

    @property
    def derogations(self) -> tuple[CheckResult, ...]:
        return self._with(DEROGATION)

    @property
    def ok(self) -> bool:
        """No check failed, every machine was reached, and there was something to check."""
        return bool(self.passed) and not self.failed and not self.unreachable

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1
