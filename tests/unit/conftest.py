"""What holds for all tests without machines, and what several of them begin with."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from toolkit.enrolment import Enrolment
from toolkit.inventory import load
from toolkit.secrets import Vault
from toolkit.targets import Job, select

LAB = Path(__file__).parents[2] / "inventories" / "lab"
WITH_KEYS = ("gw-mairie", "portable-041", "portable-042")
TODAY = date(2026, 11, 25)

# How long an example takes says how busy the computer is, and nothing of what is tested.
settings.register_profile("telekit", deadline=None)
settings.load_profile("telekit")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with the lab's commune, of which no machine was ever enrolled."""
    commune = tmp_path / "lab"
    commune.mkdir()
    for name in ("commune.toml", "agents.csv"):
        shutil.copyfile(LAB / name, commune / name)
    return commune


@pytest.fixture
def operated(written: Path) -> Path:
    """The same, and an operator who has a key."""
    key = written / "operator_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "m.admin", "-f", str(key)], check=True)
    shutil.copyfile(key.with_name(key.name + ".pub"), written / "operators.keys")
    return written


def job(folder: Path, *only: str, today: date = TODAY) -> Job:
    """The operator's work on some machines; on those that have keys, if nothing is said."""
    commune = load(folder, today=today).commune
    return Job(folder, commune, select(commune, only or WITH_KEYS), (folder / "operator_ed25519",))


def vault(folder: Path) -> Vault:
    """The secrets, opened by the operator's key."""
    return Vault.open(folder, (), (folder / "operator_ed25519",))


def received(found: Enrolment) -> dict[str, dict[str, Any]]:
    """What the machines' recipes receive."""
    return found.data()


def program_of(file: Path, name: str) -> ModuleType:
    """A program as a machine has it, with those that lie beside it. name: its own among the modules of this process."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    # Where dataclasses look for what their fields' types mean.
    sys.modules[name] = found
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(found)
    finally:
        sys.path.remove(str(file.parent))
    return found
