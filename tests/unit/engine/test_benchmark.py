"""The benchmark's playbook does what the recipes do: what they learn, it has to learn too, or the comparison is none."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from inspect import getclosurevars
from pathlib import Path
from typing import Any

import pytest

from benchmarks.named import BESIDES, GROUPS, TASKS, group_of
from toolkit.engine.batch import LocalLink
from toolkit.engine.batch.facts import Facts
from toolkit.engine.batch.machine import Run
from toolkit.inventory import load
from toolkit.ledger import Ledger
from toolkit.model import Commune, Machine, Role, Secret
from toolkit.roles import ROLES
from toolkit.targets import data_of

ROOT = Path(__file__).parents[3]
# What the playbook is given as a list, whatever is in it.
LISTED = {"pyinfra.operations.files.directory", "pyinfra.operations.files.file", "deploys.stage._stage"}
# A Debian that offers every package that it is asked for.
APT = '#!/bin/sh\nshift\nfor name; do echo "$name:"; echo "  Candidate: 1"; done\n'


@dataclass
class Play:
    """What a role's machines go through: the text of its tasks and of those for all, with the names of tasks and handlers."""

    text: str

    @property
    def names(self) -> set[str]:
        return set(re.findall(r"^ +(?:- )?name: (.+)$", self.text, re.MULTILINE))

    def does(self, function: str, name: str, arguments: dict[str, Any]) -> bool:
        if function == "pyinfra.operations.files.put":
            return f"files.{group_of(arguments['dest'])} " in self.text or arguments["dest"] in self.text
        if function == "pyinfra.operations.files.link":
            return arguments["path"] in self.text
        return function in LISTED or name in BESIDES or bool({name, TASKS.get(name)} & self.names)


def plays() -> dict[str, Play]:
    """Group of machines → its play, with what YAML's aliases stand for in their places."""
    text = (ROOT / "benchmarks/ansible/town.yml").read_text(encoding="utf-8")
    anchors = dict(re.findall(r"^    - &(\w+)\n((?:      .*\n|\n)+)", text, re.MULTILINE))
    whole = re.sub(r"^    - \*(\w+)$", lambda m: anchors[m[1]], text, flags=re.MULTILINE)
    found = {re.findall(r"hosts: (\w+)", play)[0]: play for play in re.split(r"^- name: ", whole, flags=re.MULTILINE)[1:]}
    return {group: Play(found["town"] + play) for group, play in found.items()}


def town() -> Commune:
    """The lab's commune, after enrolment."""
    loaded = load(ROOT / "inventories/lab").commune
    commune = Ledger().allocated(loaded).complete(loaded)
    return replace(
        commune, authority="PEM\n",
        gateways=tuple(replace(gateway, public_key="of the gateway") for gateway in commune.gateways),
        desktops=tuple(replace(desktop, certificate="PEM") for desktop in commune.desktops),
        laptops=tuple(replace(laptop, public_key=f"of {laptop.name}") for laptop in commune.laptops),
    )  # fmt: skip


Named = list[tuple[str, str, dict[str, Any]]]


def operations(commune: Commune, machine: Machine) -> Named:
    """Each operation's function, name and arguments, as the machine's recipe names them."""
    factors = {agent.identifier: Secret("SEED\n12345678") for agent in commune.agents}
    data = data_of(machine, commune, preshared={laptop.name: Secret("shared") for laptop in commune.laptops})
    link = LocalLink()
    run = Run(machine.name, data | {"second_factors": factors}, link, Facts(link))
    run.register([ROLES[machine.role].deploy()])
    return [
        (op.function, op.name.rpartition(" | ")[2], getclosurevars(op.data.command_generator).nonlocals["kwargs"])
        for op in run.operations
    ]


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[Role, Named]:
    """What the recipes of all machines name, role by role."""
    apt = tmp_path_factory.mktemp("bin") / "apt-cache"
    apt.write_text(APT)
    apt.chmod(0o755)
    commune = town()
    found: dict[Role, Named] = {role: [] for role in Role}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{apt.parent}:/usr/sbin:/usr/bin:/sbin:/bin")
        for machine in commune.machines:
            found[machine.role] += operations(commune, machine)
    return found


@pytest.mark.parametrize("role", list(Role))
def test_the_playbook_does_everything_that_the_recipe_does(role: Role, recipes: dict[Role, Named]) -> None:
    play = plays()[role.value]
    assert [f"{name} ({function})" for function, name, given in recipes[role] if not play.does(function, name, given)] == []


def test_what_the_playbook_is_said_to_do_is_something_that_recipes_do(recipes: dict[Role, Named]) -> None:
    named = {name for role in Role for _, name, _ in recipes[role]}
    assert sorted((TASKS.keys() | BESIDES) - named) == []


def test_every_handler_that_is_notified_is_there() -> None:
    text = "".join(play.text for play in plays().values())
    told = {name for line in re.findall(r"^      notify: (.+)$", text, re.MULTILINE) for name in line.strip("[]").split(", ")}
    assert sorted(told - plays()["town"].names - set(re.findall(r"^      listen: (.+)$", text, re.MULTILINE))) == []


def test_no_list_of_files_is_left_without_a_task() -> None:
    text = "".join(play.text for play in plays().values())
    assert [
        group for group in (*GROUPS, "others") if f"files.{group} " not in text and GROUPS.get(group, group) not in text
    ] == []
