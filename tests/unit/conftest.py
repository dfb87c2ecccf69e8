"""What holds for all tests without machines, and what several of them begin with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from toolkit.enrolment import Enrolment

LAB = Path(__file__).parents[2] / "inventories" / "lab"

# How long an example takes says how busy the computer is, and nothing of what is tested.
settings.register_profile("telekit", deadline=None)
settings.load_profile("telekit")


@pytest.fixture
def operated(tmp_path: Path) -> Path:
    """A folder with the lab's commune, and an operator who has a key; no machine was ever enrolled."""
    commune = tmp_path / "lab"
    commune.mkdir()
    for name in ("commune.toml", "agents.csv"):
        shutil.copyfile(LAB / name, commune / name)
    key = commune / "operator_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "m.admin", "-f", str(key)], check=True)
    shutil.copyfile(key.with_name(key.name + ".pub"), commune / "operators.keys")
    return commune


def received(found: Enrolment) -> dict[str, dict[str, Any]]:
    """What the machines' recipes receive."""
    return found.data()
