"""Options of the test run, and which worker runs what when there are several."""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

RELEASES = ("trixie", "bookworm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lab-release",
        action="append",
        choices=RELEASES,
        help="Run the lab's tests on this Debian alone (repeatable; both when not given).",
    )


class ByRelease(LoadScopeScheduling):
    """The lab's tests of one Debian to one worker, whose town they share; every other test to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        asked = re.search(rf"^tests/lab/.*[\[-]({'|'.join(RELEASES)})[\]-]", nodeid)
        return asked[1] if asked else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByRelease | None:
    # xdist's own way to say this, a mark on each test, is lost on pytest 9.
    return ByRelease(config, log) if config.getoption("dist") == "loadgroup" else None
