"""No command waits for what only others need: `telekit --help` and `telekit check` for next to nothing."""

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


def test_the_engine_starts_without_a_search_of_all_that_is_installed() -> None:
    code = """
import importlib.metadata
plain, groups = importlib.metadata.entry_points, []
importlib.metadata.entry_points = lambda **wanted: groups.append(wanted) or plain(**wanted)
import toolkit.engine
toolkit.engine.Session
import socket, gevent.socket
assert socket.socket is gevent.socket.socket
print([group for group in groups if "gevent" in group.get("group", "")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
