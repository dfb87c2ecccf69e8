"""Machines that must not be touched are refused with a sentence; the rest pass."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.engine import Completed
from toolkit.inventory import load
from toolkit.model import Antivirus, Commune, Role
from toolkit.preflight import SCRIPT, Verdict, judge

LAB = Path(__file__).parents[2] / "inventories" / "lab"
NOW = 1_000_000.0
GOOD = {
    "started": "1000000", "system": "debian", "release": "13", "title": "Debian GNU/Linux 13 (trixie)", "architecture": "amd64",
    "sudo": "yes", "disk": "8000000", "memory": "4000000", "provisioned": "no",
    "source": "http://deb.debian.org/debian/dists/trixie/InRelease", "mirror": "yes", "ended": "1000001",
}  # fmt: skip


@pytest.fixture(scope="module")
def commune() -> Commune:
    return load(LAB).commune


def verdict(commune: Commune, role: Role = Role.GATEWAY, **changed: str) -> Verdict:
    facts = GOOD | changed
    text = "".join(f"{key}={value}\n" for key, value in facts.items())
    return judge(role, commune, Completed(0, text, ""), (NOW - 1, NOW + 2))


@pytest.mark.parametrize("release", ["12", "13"])
def test_a_fresh_debian_passes(commune: Commune, release: str) -> None:
    assert verdict(commune, release=release) == Verdict()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"release": "11", "title": "Debian GNU/Linux 11 (bullseye)"}, "11 (bullseye); telekit supports Debian 12 and 13"),
        ({"system": "ubuntu", "release": "24.04", "title": "Ubuntu 24.04"}, "it runs Ubuntu 24.04"),
        ({"release": "", "title": "Debian GNU/Linux forky/sid"}, "it runs Debian GNU/Linux forky/sid"),
        ({"architecture": "i386"}, "its architecture is i386"),
        ({"sudo": "no"}, "telekit cannot use sudo without a password"),
        ({"disk": "200000"}, "195 MiB of disk are free under /usr or /var, a gateway needs 500"),
        ({"mirror": "no", "mirror_error": "Could not resolve 'deb.debian.org'"}, "(Could not resolve 'deb.debian.org')"),
        ({"mirror": "none"}, "apt has no package source"),
        ({"started": "999600", "ended": "999601"}, "its clock is 7 min behind"),
        ({"started": "1003600", "ended": "1003601"}, "its clock is 60 min ahead"),
    ],
)  # fmt: skip
def test_it_is_refused_with_a_sentence(commune: Commune, changed: Mapping[str, str], words: str) -> None:
    (refusal,) = verdict(commune, **changed).refusals
    assert words in refusal


def test_everything_that_is_wrong_is_said_at_once(commune: Commune) -> None:
    assert len(verdict(commune, release="10", sudo="no", disk="1", mirror="none").refusals) == 4


@pytest.mark.parametrize(("role", "enough"), [(Role.GATEWAY, 500), (Role.DESKTOP, 2000), (Role.LAPTOP, 1500)])
def test_each_role_needs_the_disk_that_its_packages_take(commune: Commune, role: Role, enough: int) -> None:
    assert not verdict(commune, role, disk=str(enough * 1024)).refused
    assert verdict(commune, role, disk=str(enough * 1024 - 1)).refused


def test_a_machine_that_has_its_packages_needs_less_disk(commune: Commune) -> None:
    assert not verdict(commune, Role.DESKTOP, disk=str(300 * 1024), provisioned="yes").refused
    assert verdict(commune, Role.DESKTOP, disk=str(100 * 1024), provisioned="yes").refused


def test_a_clock_a_little_off_is_a_warning(commune: Commune) -> None:
    found = verdict(commune, started="1000060", ended="1000061")
    assert (found.refusals, found.warnings) == ((), ("its clock is 59 s ahead",))


def test_a_slow_answer_is_not_a_wrong_clock(commune: Commune) -> None:
    text = "".join(f"{key}={value}\n" for key, value in (GOOD | {"ended": "1000050"}).items())
    assert judge(Role.GATEWAY, commune, Completed(0, text, ""), (NOW - 40, NOW + 90)) == Verdict()


def test_little_memory_matters_only_where_the_official_signatures_go(commune: Commune) -> None:
    official = replace(commune, antivirus=Antivirus(official=True))
    assert "ClamAV" in verdict(official, Role.LAPTOP, memory="1000000").warnings[0]
    assert verdict(official, Role.GATEWAY, memory="1000000").warnings == ()
    assert verdict(replace(commune, antivirus=Antivirus(official=False)), Role.LAPTOP, memory="1000000").warnings == ()


def test_a_script_that_did_not_finish_is_no_pass(commune: Commune) -> None:
    found = judge(Role.GATEWAY, commune, Completed(124, "started=1\nsystem=debian\n", "cut off"), (NOW, NOW))
    assert found.refusals == ("preflight did not finish (exit 124): cut off",)


def test_the_script_is_one_that_a_plain_shell_reads() -> None:
    assert subprocess.run(["sh", "-n"], input=SCRIPT, text=True, check=False, capture_output=True).stderr == ""


def test_a_machine_that_only_its_tunnel_keeps_from_the_mirror_is_not_refused(commune: Commune) -> None:
    found = verdict(commune, Role.LAPTOP, provisioned="yes", mirror="no", disk="8000000")
    assert found.refusals == ()
    assert "mirror does not answer" in found.warnings[0]
