"""What somebody changed on a machine behind telekit's back is found, with their name; what telekit knows of is no drift."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.lab

RELEASES = ("trixie",)
RESOLVER = "/etc/unbound/unbound.conf.d/telekit.conf"
ADMINISTRATOR = "useradd -m paul && echo 'paul ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/paul"
GONE = "userdel -rf paul 2> /dev/null; rm /etc/sudoers.d/paul"


def run(town, machine: str, script: str) -> None:
    done = town.lab.machine(machine).run(["bash", "-c", script])
    assert done.returncode == 0, done.stderr


def drift(town) -> tuple[int, dict[str, dict]]:
    done = town.telekit("drift", "--json", check=False)
    return done.returncode, {machine["name"]: machine for machine in json.loads(done.stdout)["machines"]}


def test_what_somebody_changed_is_found_with_their_name_and_goes_with_the_next_provision(provisioned):
    town = provisioned
    town.telekit("provision", "--yes")
    code, found = drift(town)
    assert (code, {machine["state"] for machine in found.values()}) == (0, {"unchanged"})

    run(town, "gw-mairie", ADMINISTRATOR)
    agents = town.inventory / "agents.csv"
    before = agents.read_bytes()
    try:
        run(
            town, "gw-mairie", f"runuser -u paul -- sudo -n sed -i 's/qname-minimisation: yes/qname-minimisation: no/' {RESOLVER}"
        )
        run(town, "bureau-partage-01", "systemctl disable --now xrdp")
        # What is edited at home is no drift: the machines never heard of it.
        agents.write_bytes(before.replace("Mélanie".encode(), "Mélina".encode()))
        code, found = drift(town)
    finally:
        agents.write_bytes(before)
        run(town, "gw-mairie", GONE)
    assert code == 3
    assert {name for name, machine in found.items() if machine["state"] == "drifted"} == {"gw-mairie", "bureau-partage-01"}
    (change, *_) = [change for change in found["gw-mairie"]["changes"] if change["diff"]]
    assert "+    qname-minimisation: no" in change["diff"]
    assert "by paul: sudo" in change["detail"]
    assert [change["name"] for change in found["bureau-partage-01"]["changes"]] == ["Run the remote desktop"]

    status = town.telekit("status", check=False).stdout
    assert "gw-mairie, bureau-partage-01 changed without telekit" in status
    town.telekit("provision", "--yes")
    assert drift(town)[0] == 0
