"""`telekit --help` and `telekit check` do not wait for what only other commands need."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"pyinfra", "gevent", "paramiko", "cryptography", "rich", "pytest", "testinfra", "jinja2", "pyrage"}


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_command_imports_nothing_heavy() -> None:
    assert imported_by("import toolkit.cli") & HEAVY == set()


def test_checking_an_inventory_imports_nothing_heavy() -> None:
    statement = "from toolkit.cli import main; main(['check', '--commune', 'lab', '--inventories', 'inventories'])"
    assert imported_by(statement) & HEAVY == set()
