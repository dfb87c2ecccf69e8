"""`telekit agent` and `telekit access` as a technician meets them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "telekit.schema.json").read_text(encoding="utf-8"))
Telekit = Callable[..., subprocess.CompletedProcess[str]]
HR = """Identifiant;Nom;Prénom;Service;Profil;Portable
m.durand;Durand;Mélanie;Finances;comptable;portable-041
k.benali;Benali;Karim;État civil;accueil;portable-042
z.lefevre;Lefèvre;Zoë;Finances;comptable;pc-zoe
"""


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    file = tmp_path / "rh.csv"
    file.write_bytes(HR.encode("cp1252"))
    return file


def valid(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


def test_a_list_is_imported_and_the_agents_are_there(telekit: Telekit, hr: Path, inventories: Path) -> None:
    looked = telekit("agent", "import", str(hr), "--commune", "lab", "--new-laptops", "windows", "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert "  + z.lefevre  Zoë Lefèvre, Finances, comptable, pc-zoe\n" in looked.stdout
    assert "  ~ k.benali   service Accueil → État civil\n" in looked.stdout
    assert "rh.csv lists 3 agents: 1 joins, 1 changes.\nNothing was written.\n" in looked.stdout
    assert "z.lefevre" not in (inventories / "lab" / "agents.csv").read_text(encoding="utf-8")
    done = telekit("agent", "import", str(hr), "--commune", "lab", "--new-laptops", "windows", "--yes", "--json")
    assert valid(done)["summary"]["written"] is True
    agents = valid(telekit("agent", "list", "--commune", "lab", "--json"))["summary"]["agents"]
    assert [(agent["agent"], agent["system"]) for agent in agents][2] == ("z.lefevre", "windows")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("agent", "list"), 0),
        (("agent", "show", "m.durand"), 0),
        (("agent", "show", "m.durant"), 2),
        (("agent", "add", "z.z", "--last-name", "Z", "--first-name", "Z", "--profile", "accueil"), 0),
        (("agent", "add", "z.z"), 2),
        (("agent", "renew", "m.durand", "--until", "31/12/2040"), 0),
        (("agent", "renew", "m.durand"), 2),
        (("agent", "renew", "m.durand", "--until", "demain"), 2),
        (("agent", "suspend", "m.durand", "k.benali"), 0),
        (("agent", "resume", "m.durand"), 0),
        (("agent", "grant", "k.benali", "finances", "--until", "2040-12-31", "--reason", "Clôture"), 0),
        (("agent", "import"), 2),
        (("agent", "import", "absent.csv", "--yes"), 2),
        (("agent", "import", "--directory", "--yes"), 2),
        (("access", "m.durand"), 0),
        (("access", "--application", "finances"), 0),
        (("access",), 2),
    ],
)
def test_each_writes_one_document_also_when_it_fails(telekit: Telekit, arguments: tuple[str, ...], code: int) -> None:
    found = valid(telekit(*arguments, "--commune", "lab", "--json"), code)
    assert found["exit_code"] == code
    assert code == 0 or found["problems"]


def test_without_a_terminal_nothing_is_imported_unasked(telekit: Telekit, hr: Path) -> None:
    done = telekit("agent", "import", str(hr), "--commune", "lab")
    assert done.returncode == 2
    assert "--dry-run" in done.stderr


@pytest.mark.parametrize(("answer", "written"), [("non", False), ("oui", True)])
def test_at_a_terminal_the_difference_is_shown_before_the_question(
    environment: dict[str, str], inventories: Path, hr: Path, answer: str, written: bool
) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "toolkit", "agent", "import", str(hr), "--commune", "lab", "--new-laptops", "windows"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
    os.close(slave)
    said = _until(master, b"[y/N]")
    assert b"+ z.lefevre" in said
    os.write(master, f"{answer}\n".encode())
    _until(master, b"register is written" if written else b"Nothing was written")
    assert process.wait(20) == 0
    os.close(master)
    assert ("z.lefevre" in (inventories / "lab" / "agents.csv").read_text(encoding="utf-8")) is written


def _until(descriptor: int, words: bytes) -> bytes:
    said = b""
    while words not in said:
        said += os.read(descriptor, 4096)
    return said


def test_an_agent_s_life_leaves_the_file_as_its_writer_would(telekit: Telekit, inventories: Path) -> None:
    file = inventories / "lab" / "agents.csv"
    before = file.read_text(encoding="utf-8")
    for words in (
        ("suspend", "m.durand", "--reason", "Congé"),
        ("resume", "m.durand"),
        ("renew", "k.benali", "--until", "today"),
    ):
        done = telekit("agent", *words, "--commune", "lab")
        assert done.returncode == 0, done.stderr
        assert "Next: telekit provision --commune lab" in done.stdout
    today = date.today().isoformat()
    expected = before.replace("poste;du;au", "poste;du;au;suspendu").replace("bureau-finances-03;;", "bureau-finances-03;;;")
    assert file.read_text(encoding="utf-8") == expected.replace("bureau-partage-01;;", f"bureau-partage-01;;{today};")


def test_access_says_what_and_why(telekit: Telekit) -> None:
    telekit("agent", "grant", "k.benali", "finances", "--until", "2040-12-31", "--reason", "Clôture", "--commune", "lab")
    done = telekit("access", "k.benali", "--commune", "lab")
    assert "tcp/443 tcp/1521   extra: Clôture, until 2040-12-31" in done.stdout
    done = telekit("access", "--application", "finances", "--commune", "lab")
    assert "k.benali  Karim Benali    Accueil   extra: Clôture, until 2040-12-31" in done.stdout
    assert "2 agents reach it today." in done.stdout
