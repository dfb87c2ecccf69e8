"""A small town hall whose machines are all this computer: the checks run here, over testinfra's own local connection."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import testinfra

from toolkit.checks.subject import Evidence, Subject
from toolkit.engine import Completed
from toolkit.model import Agent, Application, Commune, Desktop, Endpoint, Gateway, Laptop, LocalNetwork, Profile, SshAddress
from toolkit.verify.examine import Examiner, examine
from toolkit.verify.result import CheckResult


@dataclass(frozen=True)
class Here:
    """A target that is this computer."""

    name: str


@dataclass
class LocalConnections:
    """What the engine's Session offers to checks, without SSH."""

    reachable: Sequence[Here]
    unreachable: Mapping[str, str] = field(default_factory=dict)

    def run(self, target: Here, script: str, *, sudo: bool = True, seconds: float = 60.0, reads_only: bool = False) -> Completed:
        done = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, timeout=seconds, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def host(self, target: Here) -> object:
        return testinfra.get_host("local://")


def town() -> Commune:
    return Commune(
        slug="essai", name="Essai-sur-Orge", insee="00000", domain="essai.example",
        network=LocalNetwork(lan=(IPv4Network("10.1.0.0/20"),), tunnel=IPv4Network("10.2.0.0/24")),
        gateways=(Gateway("gw", SshAddress("10.1.0.1"), Endpoint("vpn.essai.example", 51820), IPv4Address("10.1.0.1")),),
        desktops=(Desktop("poste-1", IPv4Address("10.1.2.1"), SshAddress("10.1.2.1")),),
        laptops=(Laptop("portable-1", tunnel_address=IPv4Address("10.2.0.2"), public_key="k1"),
                 Laptop("portable-2", tunnel_address=IPv4Address("10.2.0.3"), public_key="k2")),
        applications=(Application("paie", "Paie", IPv4Address("10.1.1.1"), tcp=(443,)),
                      Application("mail", "Messagerie", IPv4Address("10.1.1.2"), tcp=(993,), udp=(5000,))),
        profiles=(Profile("rh", ("paie",)),),
        agents=(Agent("a.un", "Un", "Alice", "rh", laptop="portable-1", desktop="poste-1"),
                Agent("b.deux", "Deux", "Bob", "rh", laptop="portable-2")),
    )  # fmt: skip


@pytest.fixture
def commune() -> Commune:
    return town()


@pytest.fixture
def connections(commune: Commune) -> LocalConnections:
    return LocalConnections(tuple(Here(m.name) for m in commune.machines))


Run = Callable[..., list[CheckResult]]


@pytest.fixture
def run_checks(tmp_path: Path, commune: Commune, connections: LocalConnections) -> Run:
    """Run checks whose source is given (file name → text), on the machines named."""

    def run(*machines: str, **files: str) -> list[CheckResult]:
        folder = tmp_path / "checks"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(HEADER + text, encoding="utf-8")
        evidence = Evidence(commune, connections)
        subjects = [Subject(m, evidence) for m in commune.machines if m.name in machines]
        return examine(Examiner(evidence, subjects, parallel=8, done=lambda _: None), folder)

    return run


HEADER = """\
from toolkit.checks.declare import Case, NotCheckedError, Theme, check
SAYS = dict(titre="Titre de {case}", tried="tried it on {machine}", expected="good", fix="mend it")
"""
