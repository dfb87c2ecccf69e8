"""A bare machine, from its first fingerprint to its first provision, as an operator does it; and what interrupts that."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytestmark = pytest.mark.lab
GATEWAY = ("--only", "gw-mairie")


def machine(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    (found,) = json.loads(done.stdout)["machines"]
    return dict(found)


def entries(town: Any) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((town.inventory / "journal").glob("*.json"))]


def test_what_nobody_compared_is_not_trusted_and_nothing_reaches_it(bare: Any) -> None:
    shown = machine(bare.telekit("trust", *GATEWAY, "--json", check=False))
    assert shown["state"] == "not trusted"
    assert not (bare.inventory / "known_hosts").exists()
    plan = machine(bare.telekit("plan", *GATEWAY, "--json", check=False))
    assert plan["state"] == "unreachable"
    assert "telekit trust" in plan["reason"]


def test_the_fingerprint_is_the_one_at_the_machines_console(bare: Any) -> None:
    console = bare.lab.machine("gw-mairie").run(["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"], check=True).stdout
    shown = machine(bare.telekit("trust", *GATEWAY, "--json", check=False))
    assert shown["details"]["fingerprint"] == console.split()[1]
    pinned = machine(bare.telekit("trust", *GATEWAY, "--fingerprint", console.split()[1], "--json"))
    assert pinned["state"] == "pinned"


def test_a_bare_machine_gets_its_account_with_a_password_typed_once(bare: Any) -> None:
    password = bare.lab.machine("gw-mairie").root_password()
    command = bare.telekit_command("trust", *GATEWAY, "--bootstrap", "--password-stdin", "--json")
    wrong = subprocess.run(command, input="wrong\n", capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "may not log in with that password" in machine(wrong)["reason"]
    right = subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, check=False)
    assert right.returncode == 0, right.stderr
    assert machine(right)["details"]["bootstrapped"] is True
    assert bare.ssh("gw-mairie", "sudo -n id -u").stdout == "0\n"
    assert (
        bare.ssh("gw-mairie", "sudo stat -c '%a %U' .ssh/authorized_keys /etc/sudoers.d/telekit").stdout
        == "600 telekit\n440 root\n"
    )
    everything = [right.stdout, right.stderr, *(path.read_text() for path in bare.inventory.rglob("*") if path.is_file())]
    assert not any(password in text for text in everything)


def test_a_machine_with_another_key_than_the_pinned_one_is_refused(bare: Any) -> None:
    file = bare.inventory / "known_hosts"
    good = file.read_text()
    host, kind, blob = good.split()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(bare.inventories / "other")], check=True)
    file.write_text(f"{host} {' '.join((bare.inventories / 'other.pub').read_text().split()[:2])}\n")
    try:
        assert machine(bare.telekit("trust", *GATEWAY, "--json", check=False))["state"] == "key changed"
        assert machine(bare.telekit("plan", *GATEWAY, "--json", check=False))["state"] == "unreachable"
        assert (kind, blob) not in [tuple(line.split()[1:]) for line in file.read_text().splitlines()]
    finally:
        file.write_text(good)


@contextmanager
def terminal(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command on a terminal of its own: the process, and our end of the terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    try:
        yield process, master
    finally:
        process.kill()
        process.wait()
        os.close(master)


def read(master: int, words: str = "", seconds: float = 120) -> str:
    """What the terminal shows until these words, or to its end."""
    said, end = b"", time.monotonic() + seconds
    while not words or words.encode() not in said:
        assert time.monotonic() < end, said.decode(errors="replace")
        try:
            said += os.read(master, 65536)
        except OSError:
            break
    return said.decode(errors="replace")


def test_a_provision_that_is_declined_touches_nothing(bare: Any) -> None:
    before = len(entries(bare))
    with terminal(bare.telekit_command("provision", *GATEWAY)) as (process, master):
        shown = read(master, "Provision now?")
        assert "Write wg0.conf" in shown
        os.write(master, b"n\n")
        assert "Nothing was touched." in read(master)
        assert process.wait() == 0
    assert len(entries(bare)) == before
    assert not (bare.inventory / "ledger.json").exists()
    assert bare.ssh("gw-mairie", "test -e /etc/telekit").returncode == 1


def test_ctrl_c_says_what_is_half_done_and_the_next_run_finishes_it(bare: Any) -> None:
    command = bare.telekit_command("provision", *GATEWAY, "--yes", "--json")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Provisioning"):
            break
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["machines"][0]["state"] == "unfinished"
    assert "half done" in json.loads(out)["machines"][0]["reason"]
    assert entries(bare)[-1]["outcome"] == "interrupted"
    assert machine(bare.telekit("provision", *GATEWAY, "--yes", "--json"))["state"] == "changed"
    assert bare.telekit("plan", *GATEWAY, "--exit-code").returncode == 0


def test_a_second_operator_is_told_who_is_at_work(bare: Any) -> None:
    with terminal(bare.telekit_command("provision", *GATEWAY)) as (process, master):
        read(master, "Provision now?")
        refused = bare.telekit("provision", *GATEWAY, "--yes", check=False)
        os.write(master, b"n\n")
        read(master)
    assert refused.returncode == 2
    assert f"(process {process.pid}) is at work since" in refused.stderr


def test_the_journal_tells_what_was_done_in_order(bare: Any) -> None:
    told = [(entry["command"], entry["outcome"]) for entry in entries(bare) if entry["command"] == "provision"]
    assert told == [("provision", "interrupted"), ("provision", "done")]
    assert entries(bare)[-1]["key"] == "operateur-lab"


def test_a_machine_that_must_not_be_touched_is_refused_and_left_alone(bare: Any) -> None:
    inside = bare.lab.machine("gw-mairie")
    inside.run(["sed", "-i.kept", "s/^VERSION_ID=.*/VERSION_ID=11/", "/usr/lib/os-release"], check=True)
    try:
        refused = machine(bare.telekit("provision", *GATEWAY, "--yes", "--json", check=False))
    finally:
        inside.run(["mv", "/usr/lib/os-release.kept", "/usr/lib/os-release"], check=True)
    assert refused["state"] == "failed"
    assert "telekit supports Debian 12 and 13" in refused["reason"]
    assert refused["changes"] == []


def test_a_mirror_that_does_not_answer_is_refused_with_its_address(bare: Any) -> None:
    """On a machine that is new: one that was provisioned before may need this very run to find its way again."""
    inside = bare.lab.machine("gw-mairie")
    inside.run(["sed", "-i.kept", "s/deb.debian.org/nowhere.lab.example/", "/etc/apt/sources.list"], check=True)
    inside.run(["mv", "/etc/telekit/enrolment", "/etc/telekit/enrolment.kept"])
    try:
        refused = machine(bare.telekit("provision", *GATEWAY, "--yes", "--json", check=False))
    finally:
        inside.run(["mv", "/etc/apt/sources.list.kept", "/etc/apt/sources.list"], check=True)
        inside.run(["mv", "/etc/telekit/enrolment.kept", "/etc/telekit/enrolment"])
    assert refused["state"] == "failed"
    assert "package mirror does not answer: http://nowhere.lab.example/debian/dists/" in refused["reason"]
