"""`agent revoke` where nothing answers: what is decided is written all the same, and what is left is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from toolkit import journal

Telekit = Callable[..., subprocess.CompletedProcess[str]]


def test_it_asks_for_yes_before_anything_else(telekit: Telekit, inventories: Path) -> None:
    done = telekit("agent", "revoke", "m.durand", "--stolen", "--commune", "lab")
    assert done.returncode == 2
    assert "there is no terminal to ask at (say --yes)" in done.stderr
    assert not (inventories / "lab" / "journal").exists()


def test_a_misspelt_agent_gets_a_guess_and_nothing_is_written(telekit: Telekit, inventories: Path) -> None:
    before = (inventories / "lab" / "agents.csv").read_bytes()
    done = telekit("agent", "revoke", "m.durant", "--stolen", "--yes", "--commune", "lab")
    assert done.returncode == 2
    assert "did you mean `m.durand`?" in done.stderr
    assert (inventories / "lab" / "agents.csv").read_bytes() == before


def test_where_no_machine_answers_the_decision_stands_and_the_rest_is_told(telekit: Telekit, inventories: Path) -> None:
    folder = inventories / "lab"
    done = telekit("agent", "revoke", "m.durand", "--stolen", "--yes", "--commune", "lab", "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert [(m["name"], m["state"]) for m in said["machines"]] == [
        ("gw-mairie", "unreachable"), ("bureau-finances-03", "unreachable"),
    ]  # fmt: skip
    assert said["summary"]["remaining"] == ["gw-mairie", "bureau-finances-03"]
    assert "m.durand;Durand;Mélanie;Finances;comptable;;bureau-finances-03" in (folder / "agents.csv").read_text("utf-8")
    assert 'name = "portable-041"' not in (folder / "commune.toml").read_text("utf-8")
    assert Path(said["summary"]["record"]).stat().st_mode & 0o777 == 0o600


def test_while_a_colleague_is_at_work_the_tunnel_does_not_wait_and_the_register_does(
    inventories: Path, environment: dict[str, str]
) -> None:
    folder = inventories / "lab"
    before = (folder / "agents.csv").read_bytes()
    command = [sys.executable, "-m", "toolkit", "agent", "revoke", "m.durand", "--yes", "--commune", "lab"]
    with journal.run(folder, "provision", "lab"):
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        assert run.stderr is not None
        said = [run.stderr.readline().split(":")[0].strip() for _ in range(3)]
        assert [line.split("  ")[0] for line in said] == [
            "Closing the tunnels",
            "gw-mairie",
            "Waiting for the telekit that is at work",
        ]
        assert (folder / "agents.csv").read_bytes() == before
    assert run.communicate(timeout=20)[0]
    assert run.returncode == 1
    assert (folder / "agents.csv").read_bytes() != before
