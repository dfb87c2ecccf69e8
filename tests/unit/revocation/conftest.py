"""The lab's commune after its machines were enrolled, whose two files are written by hand: the fixture `folder`."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import ledger
from toolkit.inventory import load
from toolkit.ledger import Handover
from toolkit.targets import Job

KEYS = {"gw-mairie": "A" * 42 + "E=", "portable-041": "B" * 42 + "E=", "portable-042": "C" * 42 + "E="}


@pytest.fixture
def folder(operated: Path) -> Path:
    """An operator has a key here, and every machine one in the ledger."""
    read = load(operated).commune
    book = ledger.read(operated).allocated(read)
    for name, public in KEYS.items():
        book = book.enrolled(name, public)
    ledger.write(operated, book.handed_over("portable-041", Handover(read.today, read.today, "m.durand")))
    return operated


@pytest.fixture
def job(folder: Path) -> Job:
    commune = load(folder).commune
    return Job(folder, commune, commune.machines, (folder / "operator_ed25519",))
