"""A small town hall whose two files are written by hand, in the ways of people: the fixture `town`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from toolkit.inventory import load
from toolkit.model import Agent, Commune
from toolkit.register.difference import Wishes
from toolkit.register.importing import Import, from_file, run
from toolkit.result import Result

# The day that the inventory goes by: midnight is the town hall's, wherever this computer is.
TODAY = datetime.now(ZoneInfo("Europe/Paris")).date()
COMMUNE = """\
# Mairie d'Essai. Demander à Claire avant de changer le tunnel.
[commune]
name   = "Essai"
insee  = "94002"
domain = "essai.example"

[network]
lan    = ["10.94.0.0/20"]   # deux bâtiments
tunnel = "10.194.0.0/22"
admin  = ["10.94.0.10/32"]

[[gateway]]
name     = "gw"
ssh      = "10.94.0.1"
endpoint = "vpn.essai.example:51820"

[[laptop]]
name = "portable-1"
# mac = "52:54:00:aa:bb:11"  relevée, à vérifier

[[laptop]]
name = "portable-2"

# Les applications du service informatique.
[application.finances]
title   = "Gestion financière"
address = "10.94.1.15"
tcp     = [443]
owner   = "Direction des finances"

[application.messagerie]
title   = "Messagerie"
address = "10.94.1.16"
tcp     = [443]

[application.agenda]
title   = "Agenda"
address = "10.94.1.16"
tcp     = [443, 8443]

[profile.comptable]
applications = ["finances", "messagerie"]

[profile.accueil]
applications = ["messagerie"]

[[laptop]]
name = "portable-3"         # prêt

[directory]
profile = "department"

[directory.profiles]
"Finances" = "comptable"
"Accueil"  = "accueil"
"""

AGENTS = """\
identifiant;nom;prénom;service;profil;portable;poste;du;au
m.durand;Durand;Mélanie;Finances;comptable;portable-1;;;
k.benali;Benali;"Karim";Accueil;accueil;portable-2;;;
"""


class Town:
    """A commune's folder, and what a test does to it."""

    agents = AGENTS
    commune = COMMUNE

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "essai"
        self.folder.mkdir()
        self.write()

    def write(self, agents: str | bytes = AGENTS, commune: str | bytes = COMMUNE) -> None:
        for name, content in (("agents.csv", agents), ("commune.toml", commune)):
            (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    @property
    def csv(self) -> bytes:
        return (self.folder / "agents.csv").read_bytes()

    @property
    def toml(self) -> bytes:
        return (self.folder / "commune.toml").read_bytes()

    @property
    def files(self) -> dict[str, bytes]:
        """Everything in the folder but the journal."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}

    def load(self) -> Commune:
        return load(self.folder).commune

    def agent(self, identifier: str) -> Agent:
        return next(agent for agent in self.load().agents if agent.identifier == identifier)

    def import_(self, content: str | bytes, *, name: str = "rh.csv", **wishes: Any) -> Result:
        """Import a file accepted beforehand; wishes: of the difference or of the import."""
        file = self.folder.parent / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        order = {key: wishes.pop(key) for key in ("new_laptops", "allow_many", "rehearsal", "confirm") if key in wishes}
        today = date.today()
        found = Wishes(today, wishes.pop("last_day", today - timedelta(days=1)), **wishes)
        return run(self.folder, Import(from_file(file), found, **order))


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


@pytest.fixture
def new_town() -> Iterator[Callable[[], Town]]:
    """As many towns as a test wants, each in a folder of its own; in memory where that can be, where syncing costs nothing."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield lambda: Town(Path(tempfile.mkdtemp(dir=folder)))
