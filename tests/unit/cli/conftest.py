"""telekit as an operator runs it: a process of its own, without a terminal unless a test gives one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LAB = Path(__file__).parents[3] / "inventories" / "lab"
Telekit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def inventories(tmp_path: Path) -> Path:
    """A folder of inventories with one commune, the lab's, whose machines answer nowhere: nothing listens below port 10."""
    folder = tmp_path / "inventories"
    (folder / "lab").mkdir(parents=True)
    shutil.copyfile(LAB / "agents.csv", folder / "lab" / "agents.csv")
    toml = (LAB / "commune.toml").read_text(encoding="utf-8").replace('"127.0.0.1:220', '"127.0.0.1:')
    (folder / "lab" / "commune.toml").write_text(toml, encoding="utf-8")
    return folder


@pytest.fixture
def environment(tmp_path: Path, inventories: Path) -> dict[str, str]:
    """A home of its own, so that no key and no journal of whoever runs the tests is used."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TELEKIT_", "XDG_", "NO_COLOR"))}
    return kept | {"HOME": str(home), "TELEKIT_INVENTORIES": str(inventories)}


@pytest.fixture
def telekit(tmp_path: Path, environment: dict[str, str]) -> Telekit:
    """Run `telekit ARGUMENTS`."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "toolkit", *arguments]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=60
        )

    return run
