"""Importing agents from a live directory: TLS, who asks, pages, who is disabled, when an account ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

LAB = Path(__file__).parents[3] / "inventories" / "lab"


class Commune:
    """The lab's commune with a section [directory], and telekit run as an operator runs it."""

    def __init__(self, folder: Path, server: Any) -> None:
        self.inventories, self.server = folder, server
        shutil.copytree(LAB, folder / "lab", ignore=shutil.ignore_patterns("journal"))
        shutil.copyfile(server.authority, folder / "lab" / "annuaire.pem")
        self.section()

    def section(self, **changed: str | None) -> None:
        """Write [directory]; None leaves a key out."""
        keys = {
            "url": f"ldaps://127.0.0.1:{self.server.secure_port}", "base": f"ou=Agents,{self.server.base}",
            "bind": self.server.reader, "filter": "(objectClass=user)", "ca": "annuaire.pem", **changed,
        }  # fmt: skip
        lines = "\n".join(f'{key} = "{value}"' for key, value in keys.items() if value is not None)
        profiles = '[directory.profiles]\n"GG-Finances" = "comptable"\n"GG-Accueil" = "accueil"'
        written = (LAB / "commune.toml").read_text(encoding="utf-8")
        (self.inventories / "lab" / "commune.toml").write_text(f"{written}\n[directory]\n{lines}\n{profiles}\n", encoding="utf-8")

    def telekit(self, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
        """Import from the directory, the password of the account that asks on standard input."""
        return self.run("--password-stdin", *arguments, stdin=f"{password or self.server.password}\n")

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "toolkit", "agent", "import", "--directory", "--commune", "lab"]
        place = ["--inventories", str(self.inventories), *arguments]
        return subprocess.run([*command, *place], input=stdin, capture_output=True, text=True, check=False, timeout=120)

    @property
    def agents(self) -> str:
        return (self.inventories / "lab" / "agents.csv").read_text(encoding="utf-8")


@pytest.fixture
def commune(tmp_path: Path, slapd: Any) -> Commune:
    return Commune(tmp_path, slapd)


def test_the_register_follows_the_directory(commune: Commune) -> None:
    done = commune.telekit("--yes", "--allow-many")
    assert done.returncode == 0, done.stderr
    today = date.today().isoformat()
    assert "m.durand;Durand;Mélanie;Direction Agents;comptable;portable-041;bureau-finances-03;;" in commune.agents
    assert "p.martin;Martin;Noël;Direction Agents;accueil;;;;2040-12-31" in commune.agents
    assert f"k.benali;Benali;Karim;Direction Agents;accueil;portable-042;bureau-partage-01;;;{today}" in commune.agents
    assert commune.server.password not in done.stdout + done.stderr


def test_starttls_works_as_well(commune: Commune) -> None:
    commune.section(url=f"ldap://127.0.0.1:{commune.server.port}")
    assert commune.telekit("--dry-run").returncode == 0


def test_a_directory_of_more_than_a_page_is_read_whole(commune: Commune) -> None:
    commune.section(base=commune.server.base)
    done = commune.telekit("--yes", "--allow-many")
    assert done.returncode == 0, done.stderr
    assert f"lists {commune.server.crowd + 3} agents" in done.stdout
    assert commune.agents.count(";Zoé;") == commune.server.crowd


def test_an_answer_that_the_directory_cuts_short_makes_nobody_leave(commune: Commune) -> None:
    before = commune.agents
    commune.section(base=commune.server.base, bind=None)
    done = commune.telekit("--yes", "--allow-many")
    assert done.returncode == 1
    assert "sizeLimitExceeded" in done.stderr
    assert commune.agents == before


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ca": None}, "its certificate cannot be trusted, so nothing was said to it"),
        ({"url": "ldaps://localhost:{secure_port}"}, "its certificate cannot be trusted"),
        ({"url": "ldap://localhost:{port}"}, "its certificate cannot be trusted"),
        ({"url": "ldaps://127.0.0.1:1"}, "cannot be reached securely"),
        ({"url": "ldaps://127.0.0.1:{port}"}, "cannot be reached securely"),
        ({"base": "dc=ailleurs"}, "the search failed: noSuchObject"),
        ({"filter": "(((("}, "is not a filter of LDAP"),
        ({"filter": "(sn=Personne)"}, "lists nobody"),
        ({"ca": "absent.pem"}, "there is no such file"),
    ],
)
def test_a_directory_that_cannot_be_asked_changes_nothing(commune: Commune, changed: dict[str, str | None], told: str) -> None:
    before, server = commune.agents, commune.server
    ports = {"port": server.port, "secure_port": server.secure_port}
    commune.section(**{key: value.format(**ports) if value and "{" in value else value for key, value in changed.items()})
    done = commune.telekit("--yes", "--allow-many")
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert commune.agents == before


def test_a_wrong_password_is_told_and_not_shown(commune: Commune) -> None:
    done = commune.telekit("--yes", password="faux-mot-de-passe")
    assert done.returncode == 1
    assert f"the password of {commune.server.reader} is not right" in done.stderr
    assert "faux-mot-de-passe" not in done.stderr


def test_the_password_may_come_from_a_file_that_nobody_else_reads(commune: Commune, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(commune.server.password + "\n", encoding="utf-8")
    for mode, code, told in ((0o644, 2, "others may read it"), (0o600, 0, "Nothing was written.")):
        file.chmod(mode)
        done = commune.run("--dry-run", "--bind-password-file", str(file))
        assert done.returncode == code, done.stderr
        assert told in done.stdout + done.stderr
