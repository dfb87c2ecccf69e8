"""Virtual machines of the lab: what they are told, how one gets in, and that the Vagrantfile knows the inventory's town."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from toolkit.errors import UsageError
from toolkit.inventory import load
from toolkit.lab import acceleration, create, door, provider_of
from toolkit.lab.introduction import introduction
from toolkit.lab.places import Places
from toolkit.lab.services import NTP_EPOCH, ntp_answer
from toolkit.lab.town import design

HERE = Path(__file__).parents[3]
INVENTORY = HERE / "inventories" / "vagrant"
VAGRANTFILE = (HERE / "vagrant" / "Vagrantfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def commune():
    return load(INVENTORY).commune


@pytest.fixture(scope="module")
def town(commune):
    return design(
        commune, name="unit", release="trixie", inventory="/x", operator_key="ssh-ed25519 AAAA op\n", provider="vagrant"
    )


@pytest.fixture(params=["gw-mairie", "bureau-finances-03", "portable-041"])
def guest(request, town):
    return town.guest(request.param)


def parses(script: str) -> bool:
    return subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_a_machine_is_introduced_by_a_script_that_a_shell_understands(guest, town):
    script, password = introduction(guest, town)
    assert parses(script)
    assert password is None
    assert f"hostname {guest.name}\n" in script
    for card in guest.cards:
        assert f'ATTR{{address}}=="{card.mac}", NAME="{card.name}"' in script
        assert f"auto {card.name}" in script


def test_vagrant_s_own_account_and_card_do_not_stay(guest, town):
    script, _ = introduction(guest, town)
    assert "userdel --force --remove vagrant" in script
    assert "rm -f /etc/sudoers.d/vagrant" in script
    assert script.index("ip link set vagrant0 down") < script.index("ifup -a")


def test_a_bare_machine_gets_a_root_password_and_no_account(guest, town):
    script, password = introduction(dataclasses.replace(guest, bare=True), town)
    assert password
    assert f"root:{password}" in script
    assert "useradd" not in script
    assert parses(script)


def test_the_door_s_program_is_python_that_the_machine_understands():
    compile(door.PROGRAM.format(line=door.LINE), "door", "exec")
    assert door.LINE in VAGRANTFILE


def test_a_command_through_the_door_makes_no_connection_of_its_own(tmp_path):
    done = subprocess.run(
        [*door.command(Places("never-up"), "gw-mairie"), door.NAME, "echo reached"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (255, "")


def test_the_door_carries_bytes_both_ways_and_ends_with_either_side(tmp_path):
    path = str(tmp_path / "line")
    here = socket.socket(socket.AF_UNIX)
    here.bind(path)
    here.listen(1)
    heard: list[bytes] = []

    def answer() -> None:
        there, _ = here.accept()
        heard.append(there.recv(100))
        there.sendall(b"back\n")
        there.close()

    threading.Thread(target=answer, daemon=True).start()
    process = subprocess.Popen([sys.executable, "-m", "toolkit.lab.door", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"there\n")
    process.stdin.flush()
    assert process.stdout.read() == b"back\n"
    assert process.wait(timeout=10) == 0
    assert heard == [b"there\n"]


def test_without_the_device_there_is_no_kvm(monkeypatch, tmp_path):
    monkeypatch.setattr(acceleration, "DEVICE", tmp_path / "kvm")
    assert acceleration.acceleration(tmp_path / "vmlinuz") == acceleration.EMULATION


@pytest.mark.parametrize(
    ("said", "found"), [(b"VFS: Unable to mount root fs on unknown-block", "kvm"), (b"", "software emulation")]
)
def test_kvm_is_believed_in_only_when_a_kernel_boots_with_it(monkeypatch, tmp_path, said, found):
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\necho '{said.decode()}'\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(acceleration, "DEVICE", tmp_path)
    assert acceleration.acceleration(tmp_path / "vmlinuz") == found


def test_a_lab_that_stands_knows_what_its_machines_are(tmp_path, monkeypatch, town):
    monkeypatch.setattr("toolkit.lab.places.RUNTIME", tmp_path)
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "town.json").write_text(town.to_json(), encoding="utf-8")
    assert provider_of(Places("unit")) == "vagrant"
    assert provider_of(Places("other")) == ""
    assert type(create("unit")).__name__ == "VagrantLab"
    assert type(create("other")).__name__ == "NspawnLab"
    with pytest.raises(UsageError, match="no lab provider `cloud`"):
        create("unit", provider="cloud")


def test_the_vagrantfile_has_the_machines_of_its_inventory(commune):
    table = VAGRANTFILE[VAGRANTFILE.index("TOWN = {") : VAGRANTFILE.index("}.freeze")]
    found = dict(re.findall(r'"([\w-]+)" => \{ port: (\d+)', table))
    assert found == {m.name: str(m.ssh.port) for m in commune.machines}
    assert f"wan wan0 198.18.0.2/24], %w[lan lan0 {commune.gateway.address}/20" in table
    assert f"lan lan0 {commune.desktops[0].address}/20" in table
    assert f"lan lan0 {commune.network.dns[0]}/20" in table


def test_the_home_router_plays_every_application_of_the_inventory(commune):
    script = (HERE / "vagrant" / "home-router.sh").read_text(encoding="utf-8")
    for application in commune.applications:
        line = f'"{application.key}": ("{application.address}", {list(application.tcp)}, {list(application.udp)})'
        assert line in script
        assert f"host-record={application.key}.{commune.domain},{application.address}" in script


@pytest.mark.parametrize("script", ["introduce.sh", "home-router.sh", "build-box"])
def test_a_shell_understands_the_scripts(script):
    assert parses((HERE / "vagrant" / script).read_text(encoding="utf-8"))


@pytest.mark.skipif(shutil.which("ruby") is None, reason="no Ruby here")
def test_ruby_understands_the_vagrantfile():
    done = subprocess.run(["ruby", "-c", str(HERE / "vagrant" / "Vagrantfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_lab_s_time_server_says_what_time_it_is():
    question = bytes([0b00100011]) + bytes(39) + b"my-stamp"
    answer = ntp_answer(question, 1_700_000_000.5)
    assert answer is not None
    assert len(answer) == 48
    assert (answer[0] & 7, answer[1]) == (4, 2)
    assert answer[24:32] == b"my-stamp"
    assert struct.unpack("!II", answer[40:48]) == (1_700_000_000 + NTP_EPOCH, 1 << 31)


def test_the_lab_s_time_server_answers_no_other_server():
    assert ntp_answer(bytes([0b00100100]) + bytes(47), 0) is None
    assert ntp_answer(b"short", 0) is None


def test_a_town_of_virtual_machines_survives_its_file(town):
    assert json.loads(town.to_json())["provider"] == "vagrant"
