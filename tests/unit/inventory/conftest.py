"""A small valid town hall to spoil, one thing at a time: the fixture `town`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from toolkit.errors import InventoryError, Problem
from toolkit.inventory import Loaded, load

TODAY = date(2026, 11, 25)

COMMUNE = """\
[commune]
name   = "Essai"
insee  = "94002"
domain = "essai.example"

[network]
lan    = ["10.94.0.0/20"]
tunnel = "10.194.0.0/24"
admin  = ["10.94.0.10/32"]

[[gateway]]
name     = "gw"
ssh      = "10.94.0.1"
endpoint = "vpn.essai.example:51820"

[[desktop]]
name    = "bureau-1"
address = "10.94.2.21"
owner   = "m.durand"
mac     = "52:54:00:aa:bb:01"

[[desktop]]
name    = "bureau-2"
address = "10.94.2.22"

[[laptop]]
name = "portable-1"
mac  = "52:54:00:aa:bb:11"

[[laptop]]
name = "portable-2"

[application.finances]
title   = "Gestion financière"
address = "10.94.1.15"
tcp     = [443, 1521]

[application.messagerie]
title   = "Messagerie"
address = "10.94.1.16"
tcp     = [443]

[profile.comptable]
applications = ["finances", "messagerie"]

[profile.accueil]
applications = ["messagerie"]
"""

AGENTS = """\
identifiant;nom;prénom;service;profil;portable;poste;du;au
m.durand;Durand;Mélanie;Finances;comptable;portable-1;bureau-1;;
k.benali;Benali;Karim;Accueil;accueil;portable-2;bureau-2;01/09/2025;2030-08-31
"""


class Town:
    """The three files of a commune in a folder of their own, and what is told of them."""

    commune = COMMUNE
    agents = AGENTS
    today = TODAY

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "essai"
        self.folder.mkdir()

    def write(
        self, commune: str | bytes | None = COMMUNE, agents: str | bytes | None = AGENTS, keys: str | bytes | None = None
    ) -> Path:
        for name, content in (("commune.toml", commune), ("agents.csv", agents), ("operators.keys", keys)):
            (self.folder / name).unlink(missing_ok=True)
            if content is not None:
                (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.folder

    def load(
        self, commune: str | bytes | None = COMMUNE, agents: str | bytes | None = AGENTS, keys: str | bytes | None = None
    ) -> Loaded:
        return load(self.write(commune, agents, keys), today=TODAY)

    def problems(
        self, commune: str | bytes | None = COMMUNE, agents: str | bytes | None = AGENTS, keys: str | bytes | None = None
    ) -> list[Problem]:
        """Everything that is told of the three files, warnings too."""
        try:
            return list(self.load(commune, agents, keys).warnings)
        except InventoryError as error:
            return list(error.problems)

    def told(self, *files: str | bytes | None, **named: str | bytes | None) -> str:
        """The problems as an operator reads them, without the folder's path."""
        return self.shown(self.problems(*files, **named))

    @staticmethod
    def shown(found: list[Problem]) -> str:
        return "\n".join(str(problem).partition("essai/")[2] for problem in found)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)
