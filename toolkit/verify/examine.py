"""The pytest side of verify: collects the packaged checks, and runs each machine's in their turns, machines side by side."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

import gevent
import gevent.pool
import pytest

import toolkit.checks
from toolkit.checks.declare import About, Case, NotCheckedError
from toolkit.checks.subject import Evidence, Subject
from toolkit.errors import TelekitError
from toolkit.model import Role
from toolkit.roles import ROLES
from toolkit.verify.derogation import judged
from toolkit.verify.result import FAILED, NOT_CHECKED, PASSED, CheckResult

CHECKS = Path(toolkit.checks.__file__).parent
# What would let somebody's own tests, plugins and settings change the outcome.
FOREIGN = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_CURRENT_TEST", "PYTEST_DEBUG")
NONE = Case("", "")
# A connection that breaks says nothing about what the check is about.
BROKEN_CONNECTION = (OSError, EOFError, TelekitError)


class CheckError(TelekitError):
    """The packaged checks could not be loaded."""


@dataclass
class Examiner:
    """A pytest plugin: which checks concern which machine, and what came of each."""

    evidence: Evidence
    subjects: Sequence[Subject]
    parallel: int
    done: Callable[[CheckResult], None]

    def __post_init__(self) -> None:
        self.results: list[CheckResult] = []
        self._order: list[str] = []

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat each check for the machines whose role has it, and for its cases."""
        file = Path(str(metafunc.module.__file__)).name
        about: About = metafunc.function.about
        concerned = [s for s in self.subjects if file in ROLES[Role(s.machine.role)].checks]
        pairs = [(subject, case) for subject in concerned for case in _cases(about, subject)]
        names = ["subject", "case"] if "case" in metafunc.fixturenames else ["subject"]
        ids = [f"{subject.name} {case.key}".strip() for subject, case in pairs]
        metafunc.parametrize(names, [pair[: len(names)] for pair in pairs], ids=ids)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what was collected in place of pytest's own loop, which knows one machine at a time."""
        of_machine: dict[str, list[pytest.Function]] = {s.name: [] for s in self.subjects}
        for item in session.items:
            # A check that concerns no machine of this run is collected once, without a subject.
            if isinstance(item, pytest.Function) and isinstance(item.callspec.params["subject"], Subject):
                of_machine[_subject(item).name].append(item)
        self._order = [item.nodeid for items in of_machine.values() for item in items]
        found: dict[str, CheckResult] = {}

        def one_after_another(items: list[pytest.Function]) -> None:
            for item in items:
                found[item.nodeid] = _run(item)
                self.done(found[item.nodeid])

        def examine(items: list[pytest.Function]) -> None:
            for lines in _turns(items):
                gevent.joinall([gevent.spawn(one_after_another, line) for line in lines], raise_error=True)

        pool = gevent.pool.Pool(self.parallel)
        for _ in pool.imap_unordered(examine, of_machine.values()):
            pass
        self.results = [found[node] for node in self._order]
        return True


def _cases(about: About, subject: Subject) -> Sequence[Case]:
    return (NONE,) if about.cases is None else about.cases(subject)


def _turns(items: Sequence[pytest.Function]) -> Iterator[list[list[pytest.Function]]]:
    """One machine's checks, in turns: the lines of a turn run side by side, and a check that must be alone is a turn."""
    for alone, turn in groupby(items, lambda item: bool(item.function.about.alone)):
        if alone:
            yield from ([[item]] for item in turn)
        else:
            lines: dict[bool, list[pytest.Function]] = {True: [], False: []}
            for item in turn:
                lines[item.function.about.beside].append(item)
            yield list(lines.values())


def _subject(item: pytest.Function) -> Subject:
    return cast("Subject", item.callspec.params["subject"])


def _run(item: pytest.Function) -> CheckResult:
    """Run one check, within its time."""
    subject = _subject(item)
    case = cast("Case", item.callspec.params.get("case", NONE))
    about: About = item.function.about
    started = time.monotonic()
    outcome, seen = _outcome(item, subject, about)
    return judged(_result(item, subject, case, about, outcome, seen, time.monotonic() - started), subject.commune)


def _outcome(item: pytest.Function, subject: Subject, about: About) -> tuple[str, str]:
    reason = subject.unreachable
    if reason is not None:
        return NOT_CHECKED, f"{subject.name}: {reason}"
    seconds = about.seconds * subject.evidence.patience
    try:
        with gevent.Timeout(seconds, TimeoutError(f"no result within {seconds:.0f} s")):
            return PASSED, str(item.function(**item.callspec.params) or "")
    except AssertionError as error:
        return FAILED, str(error).partition("\nassert ")[0]
    except NotCheckedError as error:
        return NOT_CHECKED, str(error)
    except TimeoutError as error:
        return FAILED, str(error) or "no answer in time"
    except BROKEN_CONNECTION as error:
        return NOT_CHECKED, f"the connection broke: {error or type(error).__name__}"
    except Exception as error:  # noqa: BLE001 - a fault in a check is a failure of the check, not of the run
        return FAILED, f"the check itself failed: {type(error).__name__}: {error}"


def _result(
    item: pytest.Function, subject: Subject, case: Case, about: About, outcome: str, seen: str, seconds: float
) -> CheckResult:  # fmt: skip
    def worded(text: str) -> str:
        return text.replace("{case}", case.title).replace("{machine}", subject.name)

    name = item.originalname.removeprefix("test_").replace("_", "-") + (f":{case.key}" if case.key else "")
    tried, expected, fix = worded(about.tried), worded(about.expected), worded(about.fix)
    detail = f"tried: {tried}; expected: {expected}; seen: {seen}. To mend it: {fix}" if outcome == FAILED else seen
    return CheckResult(
        machine=subject.name, check=name, theme=about.theme.value, title=worded(about.title), outcome=outcome, detail=detail,
        seconds=round(seconds, 4), titre=worded(about.titre), tried=tried, expected=expected, seen=seen, fix=fix,
    )  # fmt: skip


def examine(examiner: Examiner, files: Path = CHECKS) -> list[CheckResult]:
    """Collect the checks in `files` and run them; nobody's settings, plugins, folder or terminal interfere."""
    arguments = [
        f"--rootdir={files}", "-c", os.devnull, f"--confcutdir={files}", "--noconftest", "--import-mode=importlib",
        "--disable-plugin-autoload", "--capture=no", "-q",
        *(f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "junitxml", "logging", "warnings", "threadexception")),
        "-pno:unraisableexception", str(files),
    ]  # fmt: skip
    said = io.StringIO()
    with _undisturbed(files), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main(arguments, plugins=[examiner])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise CheckError(f"the packaged checks could not be loaded: {said.getvalue().strip()[-2000:]}", where=str(files))
    return examiner.results


@contextlib.contextmanager
def _undisturbed(files: Path) -> Iterator[None]:
    """Without what the environment says to pytest; checks that were loaded are forgotten afterwards and read again next time."""
    before = {name: os.environ.pop(name) for name in FOREIGN if name in os.environ}
    known = set(sys.modules)
    try:
        yield
    finally:
        os.environ.update(before)
        for name in set(sys.modules) - known:
            if Path(getattr(sys.modules[name], "__file__", None) or "").match(f"{files}/test_*.py"):
                del sys.modules[name]
