"""The program that closes tunnels on a gateway: what it takes out of which file, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from deploys.access import schedule
from deploys.gateway import tunnel_configuration
from deploys.gateway_rules import ruleset
from tests.unit.conftest import program_of
from toolkit import ledger
from toolkit.inventory import load
from toolkit.model import Commune
from toolkit.revocation.case import Wish, open_case
from toolkit.revocation.gateway import script

FILE = Path(__file__).parents[3] / "templates" / "revocation" / "close.py"
KEY, OTHER = "B" * 42 + "E=", "C" * 42 + "E="


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return program_of(FILE, "close")


@pytest.fixture
def commune(folder: Path) -> Commune:
    return ledger.read(folder).complete(load(folder).commune)


def wish(program: ModuleType, folder: Path) -> object:
    return program.Wish(**open_case(folder, Wish("m.durand", stolen=True)).question)


def test_the_tunnels_configuration_loses_one_peer(program: ModuleType, folder: Path, commune: Commune) -> None:
    before = tunnel_configuration(commune.gateway, commune)
    after = program.without_peers(before, wish(program, folder))
    assert KEY in before
    assert KEY not in after
    assert "portable-041" not in after
    assert [line for line in before.splitlines() if line not in after.splitlines()] == [
        "# portable-041", f"PublicKey = {KEY}", "AllowedIPs = 10.177.0.2/32, fd77:77:77::2/128",
    ]  # fmt: skip
    assert program.without_peers(after, wish(program, folder)) == after


def test_the_firewall_loses_the_elements_of_one_laptop(program: ModuleType, folder: Path, commune: Commune) -> None:
    before = ruleset(commune, (22,))
    after = program.without_elements(before, wish(program, folder))
    gone = [line for line in before.splitlines() if line not in after.splitlines()]
    assert gone
    assert all(line.endswith("# portable-041") for line in gone)
    assert "# portable-041" not in after
    assert "# portable-042" in after


def test_an_address_that_another_one_begins_with_is_another(program: ModuleType) -> None:
    text = "\t\t\t10.177.0.21,\t# a\n\t\t\t10.177.0.2,\t# b\n\t\t\t10.177.0.2 . 10.77.1.11 . tcp . 443,\t# b\n"
    assert program.without_elements(text, program.Wish([], [], ["10.177.0.2"])) == "\t\t\t10.177.0.21,\t# a\n"


def test_a_set_without_elements_is_written_without_a_list(program: ModuleType) -> None:
    text = "\tset peers4 {\n\t\ttype ipv4_addr\n\t\telements = {\n\t\t\t10.177.0.2,\t# b\n\t\t}\n\t}\n"
    assert program.without_elements(text, program.Wish([], [], ["10.177.0.2"])) == "\tset peers4 {\n\t\ttype ipv4_addr\n\t}\n"


def test_the_schedule_is_left_as_the_next_provision_writes_it(program: ModuleType, folder: Path) -> None:
    file = folder / "agents.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(";;\n", ";;31/12/2099\n"), encoding="utf-8")
    whole = ledger.read(folder).complete(load(folder).commune)
    before = schedule(whole)
    file.write_text("".join(line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if "041" not in line))
    rest = ledger.read(folder).complete(load(folder).commune)
    assert KEY in before
    asked = program.Wish([KEY], ["portable-041"], ["10.177.0.2", "fd77:77:77::2"])
    assert program.without_schedule(before, asked) == schedule(rest)
    assert program.without_schedule(schedule(rest), asked) == schedule(rest)


def test_the_preshared_keys_lose_one_line(program: ModuleType) -> None:
    text = f"# Written by telekit.\n{KEY} secret1\n{OTHER} secret2\n"
    assert program.without_shared(text, program.Wish([KEY], [], [])) == f"# Written by telekit.\n{OTHER} secret2\n"


@pytest.mark.parametrize("element", ["10.177.0.2", {"elem": {"val": "10.177.0.2", "comment": "x"}}])
def test_an_element_is_read_in_both_ways_of_nft(program: ModuleType, element: object) -> None:
    assert program._words(element) == ["10.177.0.2"]
    whole = {"concat": ["10.177.0.2", "10.77.1.11", "tcp", 443]}
    assert program._words(whole) == program._words({"elem": {"val": whole}}) == ["10.177.0.2", "10.77.1.11", "tcp", "443"]


def test_a_shell_hands_the_program_its_case_and_its_text(folder: Path) -> None:
    case = open_case(folder, Wish("m.durand", stolen=True))
    shown = 'python3() { echo "$*"; cat <&3; cat; }\n' + script("look", case).removeprefix("exec ")
    done = subprocess.run(["sh", "-s"], input=shown, capture_output=True, text=True, check=True)
    first, told, program = done.stdout.split("\n", 2)
    assert first == "-B - look"
    assert json.loads(told) == case.question
    assert program.strip() == FILE.read_text(encoding="utf-8").strip()
