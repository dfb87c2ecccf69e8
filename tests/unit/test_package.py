"""What an installation has."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_of_the_tree_is_installed() -> None:
    """A checkout finds a package that the list forgot, and an installed telekit does not."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    files = [file for top in ("toolkit", "deploys") for file in (ROOT / top).rglob("*.py")]
    packages = {".".join(file.parent.relative_to(ROOT).parts) for file in files}
    assert packages == set(listed) - {"deploys.templates"}
