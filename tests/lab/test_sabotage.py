"""The checks are checked: of everything that is broken on purpose, exactly the right ones notice, and drift names it.

Takes its time: `make test-sabotage` runs it, `make test` does not.
"""

from __future__ import annotations

import json

import pytest
from sabotages import ALL, Sabotage

pytestmark = [pytest.mark.lab, pytest.mark.sabotage]

RELEASES = ("trixie",)


def run(town, machine: str, script: str) -> None:
    done = town.lab.machine(machine).run(["bash", "-c", f"set -e\n{script}"], timeout=120)
    assert done.returncode == 0, done.stderr


def failing(town, machine: str) -> set[str]:
    done = town.telekit("verify", "--only", machine, "--json", check=False)
    (found,) = [m for m in json.loads(done.stdout)["machines"] if m["name"] == machine]
    return {check["check"] for check in found["checks"] if check["outcome"] == "failed"}


def drift(town, machine: str) -> list[str]:
    done = town.telekit("drift", "--only", machine, "--json", check=False)
    (found,) = json.loads(done.stdout)["machines"]
    return [change["name"] for change in found["changes"]]


@pytest.fixture(scope="module")
def whole(provisioned):
    """The town, without anything that fails before it is broken."""
    provisioned.telekit("provision", "--yes")
    return provisioned


@pytest.mark.parametrize("sabotage", ALL, ids=[sabotage.name for sabotage in ALL])
def test_what_is_broken_is_noticed_by_the_right_checks_and_named_by_drift(whole, sabotage: Sabotage):
    try:
        run(whole, sabotage.machine, sabotage.harm)
        named = drift(whole, sabotage.machine)  # first: a check that stops the tunnel and starts it mends some of it
        assert failing(whole, sabotage.seen_from) - sabotage.perhaps == sabotage.failing
        assert any(sabotage.drift.lower() in name.lower() for name in named) if sabotage.drift else not named
    finally:
        run(whole, sabotage.machine, sabotage.mend)
        whole.telekit("provision", "--yes", "--only", sabotage.machine)
