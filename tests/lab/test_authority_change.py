"""The commune's authority is replaced while desktops are in use: before, at each step and after, a laptop opens its desktop."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.at_work import book, shell

pytestmark = pytest.mark.lab

# In the shorter of the two lines of tests.
RELEASES = ("bookworm",)
LAPTOP, OTHER, DESKTOP, SHARED = "portable-041", "portable-042", "bureau-finances-03", "bureau-partage-01"
ISSUER = "openssl x509 -in /etc/xrdp/telekit.pem -noout -ext authorityKeyIdentifier"
TRUSTED = "ls /usr/local/share/ca-certificates; ls /etc/ssl/certs | grep '^telekit'"


def failed(town, *only: str) -> list[str]:
    """The checks that fail: the opening of desktops, and what they prove their identity by, are among them."""
    selection = [word for name in only for word in ("--only", name)]
    done = town.telekit("verify", "--json", *selection, check=False)
    checks = [check for machine in json.loads(done.stdout)["machines"] for check in machine["checks"]]
    opened = [check for check in checks if "opens" in check["name"].lower() and check["outcome"] == "passed"]
    assert opened, "no desktop was opened"
    return [f"{check['name']}: {check['detail']}" for check in checks if check["outcome"] == "failed"]


def away(town, machine: str, *cards: str) -> None:
    for card in cards:
        town.lab.machine(machine).unplug(card)


def back(town, machine: str, *cards: str) -> None:
    for card in cards:
        town.lab.machine(machine).plug(card)


@pytest.fixture
def town(provisioned) -> Iterator:
    yield provisioned
    assert book(provisioned)["authority"] is None
    assert provisioned.telekit("plan", "--exit-code", check=False).returncode == 0


def test_no_desktop_is_refused_from_the_first_step_to_the_last(town):
    old, before = (town.inventory / "ca.pem").read_text(), shell(town, ISSUER, DESKTOP)
    away(town, OTHER, "eth0", "bench0")
    try:
        done = town.telekit("rotate", "--authority", "--yes")
        assert f"It waits for: {OTHER}." in done.stdout
        assert shell(town, ISSUER, DESKTOP) == before
        assert shell(town, TRUSTED, LAPTOP).split() == ["telekit-next.crt", "telekit.crt", "telekit-next.pem", "telekit.pem"]
        assert failed(town, LAPTOP, DESKTOP) == []
    finally:
        back(town, OTHER, "bench0", "eth0")
    # One desktop is away while they get their new certificates.
    away(town, SHARED, "lan0")
    try:
        town.telekit("provision", "--yes", check=False)
        town.telekit("provision", "--yes", check=False)
        assert book(town)["authority"]["issuing"]
        assert shell(town, ISSUER, DESKTOP) != before
        assert failed(town, LAPTOP, DESKTOP) == []
    finally:
        back(town, SHARED, "lan0")
    assert shell(town, ISSUER, SHARED) == before
    assert failed(town, OTHER, SHARED) == [], "a desktop with a certificate of the old one is still trusted"
    done = town.telekit("rotate", "--authority", "--yes")
    assert "laptops trust no other" in done.stdout
    assert shell(town, TRUSTED, LAPTOP).split() == ["telekit.crt", "telekit.pem"]
    assert (town.inventory / "ca.pem").read_text() != old
    check = f"openssl verify -CApath /etc/ssl/certs /dev/stdin <<'PEM'\n{old}\nPEM"
    assert "error" in shell(town, check, LAPTOP), "the old one is still trusted"
    assert failed(town) == []
