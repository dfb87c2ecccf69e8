"""The first meeting with a machine, against a real SSH server in this process."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from toolkit.errors import TelekitError
from toolkit.inventory import load
from toolkit.knownhosts import HostKey, KnownHosts, host_of
from toolkit.model import SshAddress
from toolkit.result import State
from toolkit.targets import Job
from toolkit.trust import Meeting, expecting, offered, trust

LAB = Path(__file__).parents[2] / "inventories" / "lab"
GATE = SshAddress("10.94.0.1")
RELAYED = SshAddress("127.0.0.1", 2201)
ONE = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIDw2Gbuw3Yz1Rj0rTS7O0A8Z9bJ3y0oVqjWvBqJYx8Dm")
TWO = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIGZk8JFXdvW2uVccXUhRIsifCn3yXJ8KJOhjZ0AAAAAA")


@contextmanager
def server(key: paramiko.PKey) -> Iterator[SshAddress]:
    """An SSH server with this host key, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(link)
                transport.add_server_key(key)
                transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())

        threading.Thread(target=serve, daemon=True).start()
        yield SshAddress("127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def host_key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


@pytest.fixture
def job(tmp_path: Path, host_key: paramiko.PKey) -> Iterator[Job]:
    """The lab's gateway, answering in this process."""
    commune = load(LAB).commune
    with server(host_key) as address:
        yield Job(tmp_path, commune, (replace(commune.gateway, ssh=address),), ())


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(host_key: paramiko.PKey) -> None:
    digest = base64.b64encode(hashlib.sha256(host_key.asbytes()).digest()).decode().rstrip("=")
    with server(host_key) as address:
        assert offered(address).fingerprint == f"SHA256:{digest}"


def test_a_key_is_pinned_only_when_somebody_accepts_it(job: Job) -> None:
    asked: list[Meeting] = []
    refused = trust(job, lambda met: bool(asked.append(met)))
    assert [machine.state for machine in refused.machines] == [State.UNTRUSTED]
    assert refused.exit_code == 1
    assert not (job.folder / "known_hosts").exists()
    accepted = trust(job, lambda _: True)
    assert [machine.state for machine in accepted.machines] == [State.PINNED]
    assert accepted.exit_code == 0
    address = job.machines[0].ssh
    assert address is not None
    assert (job.folder / "known_hosts").read_text().startswith(f"[127.0.0.1]:{address.port} ecdsa-sha2-nistp256 ")


def test_a_machine_that_is_trusted_is_not_asked_about_again(job: Job) -> None:
    trust(job, lambda _: True)

    def never(met: Meeting) -> bool:
        raise AssertionError(met)

    assert [machine.state for machine in trust(job, never).machines] == [State.TRUSTED]


def test_a_changed_key_is_refused_loudly_and_the_old_one_stays(job: Job) -> None:
    address = job.machines[0].ssh
    assert address is not None
    hosts = KnownHosts(job.folder / "known_hosts")
    hosts.pin(address, ONE)
    hosts.save()
    result = trust(job, lambda _: True)
    assert result.machines[0].state is State.KEY_CHANGED
    assert "THE HOST KEY HAS CHANGED" in result.machines[0].reason
    assert ONE.fingerprint in result.machines[0].reason
    assert result.exit_code == 1
    assert KnownHosts(job.folder / "known_hosts").keys(address) == (ONE,)


def test_a_changed_key_is_accepted_with_replace_and_only_when_it_is_compared(job: Job) -> None:
    address = job.machines[0].ssh
    assert address is not None
    hosts = KnownHosts(job.folder / "known_hosts")
    hosts.pin(address, ONE)
    hosts.save()
    assert trust(job, lambda _: False, replacing=True).machines[0].state is State.UNTRUSTED
    assert trust(job, lambda _: True, replacing=True).machines[0].state is State.PINNED
    assert ONE not in KnownHosts(job.folder / "known_hosts").keys(address)


def test_a_script_pins_the_key_that_it_expects_and_no_other(job: Job) -> None:
    wrong = trust(job, expecting("SHA256:AAAA"))
    assert wrong.machines[0].state is State.FAILED
    assert "THIS IS NOT THE EXPECTED KEY" in wrong.machines[0].reason
    right = trust(job, expecting(str(wrong.machines[0].details["fingerprint"])))
    assert right.machines[0].state is State.PINNED


def test_whoever_trusts_a_machine_is_in_the_journal(job: Job) -> None:
    trust(job, lambda _: True)
    (entry,) = (job.folder / "journal").glob("*.json")
    assert '"trust"' in entry.read_text()
    assert "SHA256:" in entry.read_text()


def test_a_machine_that_does_not_answer_is_unreachable(job: Job) -> None:
    silent = replace(job, machines=(replace(job.machines[0], ssh=SshAddress("127.0.0.1", 1)),))
    result = trust(silent, lambda _: True)
    assert result.machines[0].state is State.UNREACHABLE
    assert "127.0.0.1:1: connection refused" in result.machines[0].reason


def test_what_answers_without_ssh_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        with pytest.raises(TelekitError, match="does not speak SSH"):
            offered(SshAddress("127.0.0.1", listener.getsockname()[1]))


def test_pinning_leaves_other_lines_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# ours\n10.94.0.1,gw {ONE.kind} {ONE.blob} old\n|1|x=|y= ssh-rsa AAAA\n@revoked * ssh-rsa AAAA\n")
    hosts = KnownHosts(file)
    assert hosts.keys(GATE) == (ONE,)
    hosts.pin(GATE, TWO)
    hosts.pin(RELAYED, TWO)
    hosts.save()
    assert file.read_text() == (
        f"# ours\ngw {ONE.kind} {ONE.blob} old\n|1|x=|y= ssh-rsa AAAA\n@revoked * ssh-rsa AAAA\n"
        f"10.94.0.1 {TWO.kind} {TWO.blob}\n[127.0.0.1]:2201 {TWO.kind} {TWO.blob}\n"
    )
    assert KnownHosts(file).owners(TWO) == ("10.94.0.1", "[127.0.0.1]:2201")


@pytest.mark.parametrize(
    ("address", "name"), [(GATE, "10.94.0.1"), (RELAYED, "[127.0.0.1]:2201"), (SshAddress("fd00::1"), "fd00::1")]
)
def test_hosts_are_named_as_openssh_names_them(address: SshAddress, name: str) -> None:
    assert host_of(address) == name
