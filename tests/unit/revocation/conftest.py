"""The lab's commune after its machines were enrolled, whose two files are written by hand: the fixture `folder`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from toolkit import ledger
from toolkit.inventory import load
from toolkit.ledger import Handover
from toolkit.targets import Job

LAB = Path(__file__).parents[3] / "inventories" / "lab"
KEYS = {"gw-mairie": "A" * 42 + "E=", "portable-041": "B" * 42 + "E=", "portable-042": "C" * 42 + "E="}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator has a key here, and every machine one in the ledger."""
    commune = tmp_path / "lab"
    commune.mkdir()
    for name in ("commune.toml", "agents.csv"):
        shutil.copyfile(LAB / name, commune / name)
    key = commune / "operator_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "m.admin", "-f", str(key)], check=True)
    shutil.copyfile(key.with_name(key.name + ".pub"), commune / "operators.keys")
    read = load(commune).commune
    book = ledger.read(commune).allocated(read)
    for name, public in KEYS.items():
        book = book.enrolled(name, public)
    ledger.write(commune, book.handed_over("portable-041", Handover(read.today, read.today, "m.durand")))
    return commune


@pytest.fixture
def job(folder: Path) -> Job:
    commune = load(folder).commune
    return Job(folder, commune, commune.machines, (folder / "operator_ed25519",))
