"""A commune with a gateway that has its key, and three agents: a Debian laptop, a Windows laptop, a telephone."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from toolkit import ledger
from toolkit.inventory import load
from toolkit.kit.make import Wish, make
from toolkit.model import Agent, Commune
from toolkit.secrets import Vault
from toolkit.targets import Job

TODAY = date(2026, 11, 25)
TOML = """\
[commune]
name    = "Mairie de L'Haÿ-les-Roses"
insee   = "94038"
domain  = "lhay.example"
contact = "Support informatique, poste 4200"

[network]
lan     = ["10.77.0.0/20"]
tunnel  = "10.177.0.0/22"
tunnel6 = "fd77:77:77::/64"
dns     = ["10.77.0.53"]
admin   = ["10.77.0.10/32"]
zones   = ["lhay.example", "77.10.in-addr.arpa", "metiers.example"]

[[gateway]]
name     = "gw-mairie"
ssh      = "10.77.0.1"
endpoint = "vpn.lhay.example:51820"

[[desktop]]
name    = "bureau-finances-03"
address = "10.77.2.21"
owner   = "m.durand"

[[laptop]]
name = "portable-041"

[[laptop]]
name   = "portable-042"
system = "windows"

[[laptop]]
name   = "tel-007"
system = "phone"

[application.finances]
title   = "Gestion financière"
address = "10.77.1.11"
tcp     = [443]

[application.messagerie]
title   = "Messagerie"
address = "10.77.1.12"
tcp     = [443]

[profile.comptable]
applications = ["finances", "messagerie"]
"""
CSV = """\
identifiant;nom;prénom;service;profil;portable;poste;du;au;suspendu
k.benali;Benali;Karim;Accueil;comptable;portable-041;;;;
m.durand;Durand;Mélanie;Finances;comptable;portable-042;bureau-finances-03;;31/08/2027;
a.petit;Petit;Aïcha;Élus;comptable;tel-007;;;;
s.sans;Sans;Appareil;Accueil;comptable;;;;;
p.parti;Parti;Paul;Accueil;comptable;;;;01/01/2025;
p.pause;Pause;Paule;Accueil;comptable;;;;;01/01/2025
p.bientot;Bientôt;Prune;Accueil;comptable;;;01/01/2099;;
"""
Telekit = Callable[..., subprocess.CompletedProcess[str]]


def public_key() -> str:
    """A WireGuard public key that nobody has the other half of."""
    return base64.b64encode(X25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


def found(folder: Path, toml: str = TOML, csv: str = CSV) -> Path:
    """A commune's folder on the disk, with an operator who can open its secrets and a gateway that is enrolled."""
    folder.mkdir(parents=True)
    (folder / "commune.toml").write_text(toml, encoding="utf-8")
    (folder / "agents.csv").write_text(csv, encoding="utf-8")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )  # fmt: skip
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (folder / "operator_ed25519").write_bytes(private)
    (folder / "operators.keys").write_bytes(public + b" essai\n")
    ledger.write(folder, ledger.Ledger().enrolled("gw-mairie", public_key()))
    return folder


@dataclass(frozen=True)
class Town:
    """A commune's folder, and where its kits go."""

    folder: Path
    kits: Path

    def job(self, today: date = TODAY) -> Job:
        commune = load(self.folder, today=today).commune
        return Job(self.folder, commune, commune.machines, (self.folder / "operator_ed25519",))

    def vault(self) -> Vault:
        job = self.job()
        return Vault.open(self.folder, [operator.public_key for operator in job.commune.operators], job.identities)

    def commune(self) -> Commune:
        """As the ledger knows it now."""
        return ledger.read(self.folder).complete(self.job().commune)

    def kit(self, agent: str, today: date = TODAY) -> Path:
        make(self.job(today), Wish((agent,), self.kits))
        return self.kits / f"kit-{agent}"

    def private_key(self, kit: Path) -> str:
        lines = (kit / "tunnel-mairie.conf").read_text().splitlines()
        return next(line.removeprefix("PrivateKey = ") for line in lines if line.startswith("PrivateKey"))


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(found(tmp_path / "inventories" / "lhay"), tmp_path / "kits")


@pytest.fixture
def agent(town: Town) -> Agent:
    """Who has a Windows laptop and a desktop of her own."""
    return next(a for a in town.job().commune.agents if a.identifier == "m.durand")


@pytest.fixture
def telekit(tmp_path: Path, town: Town) -> Telekit:
    """Run `telekit ARGUMENTS` as an operator does."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TELEKIT_", "XDG_"))}
    environment = kept | {"HOME": str(home), "TELEKIT_INVENTORIES": str(town.folder.parent)}

    def run(*arguments: str, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "toolkit", *arguments], capture_output=True, text=True, check=False, env=environment,
            cwd=tmp_path, timeout=120, umask=umask,
        )  # fmt: skip

    return run
