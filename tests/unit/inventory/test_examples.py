"""The inventories that are shipped: the towns of the mission, at their sizes, valid without a word, with nobody's real data."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from ipaddress import IPv4Network, ip_address
from pathlib import Path

import pytest

from toolkit.inventory import load, slugs

INVENTORIES = Path(__file__).parents[3] / "inventories"
AGENTS = {
    "alfortville": 100,
    "chalons-en-champagne": 200,
    "laval-agglo": 18,
    "nancy": 300,
    "nice": 1500,
    "rosny-sous-bois": 250,
}
DOCUMENTATION = [IPv4Network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]


def test_the_towns_of_the_mission_are_there() -> None:
    assert set(slugs(INVENTORIES)) >= {*AGENTS, "lab"}


@pytest.mark.parametrize(("slug", "agents"), AGENTS.items())
@pytest.mark.parametrize("today", [date.today(), date(2031, 1, 1)], ids=["today", "in some years"])
def test_an_example_is_valid_without_a_word(slug: str, agents: int, today: date) -> None:
    loaded = load(INVENTORIES / slug, today=today)
    assert loaded.warnings == ()
    assert len(loaded.commune.active_agents) == agents
    assert len(loaded.commune.laptops) == agents


@pytest.mark.parametrize("slug", AGENTS)
def test_an_example_names_nothing_that_exists(slug: str) -> None:
    """Domains are reserved ones, public addresses come from the documentation's ranges, and no key of anybody opens a machine."""
    commune = load(INVENTORIES / slug).commune
    assert commune.domain.endswith(".example")
    host = commune.gateway.endpoint.host
    assert host.endswith(".example") or any(ip_address(host) in network for network in DOCUMENTATION)
    assert all(network.is_private for network in (*commune.network.lan, commune.network.tunnel))
    assert not (INVENTORIES / slug / "operators.keys").exists()


def test_what_a_town_is_an_example_of() -> None:
    town = {slug: load(INVENTORIES / slug).commune for slug in AGENTS}
    alfortville, rosny = town["alfortville"], town["rosny-sous-bois"]
    assert {desktop.owner for desktop in alfortville.desktops} == {agent.identifier for agent in alfortville.agents}
    assert all(desktop.owner is None and len(rosny.agents_of(desktop)) > 1 for desktop in rosny.desktops)
    assert town["chalons-en-champagne"].desktops == ()
    assert town["chalons-en-champagne"].gateway.nat
    assert town["nancy"].network.tunnel6
    assert {bool(desktop.owner) for desktop in town["nancy"].desktops} == {True, False}
    assert (INVENTORIES / "nancy/agents.csv").read_text(encoding="utf-8").startswith("identifier,")
    with pytest.raises(UnicodeDecodeError):
        (INVENTORIES / "rosny-sous-bois/agents.csv").read_text(encoding="utf-8")


def test_fifteen_hundred_agents_are_read_in_less_than_half_a_second_of_processor_time() -> None:
    code = (
        "import time\nfrom pathlib import Path\nfrom toolkit.inventory import load\n"
        f"load(Path({str(INVENTORIES / 'nice')!r}))\nprint(time.process_time())"
    )
    best = min(float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(3))
    assert best < 0.5
