"""A key that is being replaced, and what the tests of that begin with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.conftest import TODAY, job
from toolkit.enrolment import Enrolment

GATEWAY, LAPTOP, OTHER = "gw-mairie", "portable-041", "portable-042"
OLD, NEW, NEWER = "B" * 42 + "E=", "D" * 42 + "E=", "F" * 42 + "E="
KEYS = {GATEWAY: "A" * 42 + "E=", LAPTOP: OLD, OTHER: "C" * 42 + "E="}
UNTIL = TODAY + timedelta(days=14)


@pytest.fixture
def folder(operated: Path) -> Path:
    """The lab's commune, its machines enrolled, and an operator who has a key."""
    first = Enrolment(job(operated))
    first.record(KEYS)
    return operated


def begun(folder: Path) -> Enrolment:
    """The rotation of one laptop, which has made its new key, and which the gateway knows."""
    found = Enrolment(job(folder))
    found.rotate([LAPTOP], UNTIL)
    found.prepare()
    found.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}\n"})
    found.told()
    return found
