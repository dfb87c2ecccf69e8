"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lab-release",
        action="append",
        choices=("trixie", "bookworm"),
        help="Run the lab's tests on this Debian alone (repeatable; both when not given).",
    )
