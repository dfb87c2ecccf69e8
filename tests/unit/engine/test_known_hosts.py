"""Host keys: those of the file, by every way of writing them, and no others."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from paramiko.hostkeys import HostKeys

from toolkit.engine.batch.known_hosts import KnownHosts, fingerprint, signature_types


def public_line(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


@pytest.fixture
def line() -> str:
    return public_line(Ed25519PrivateKey.generate())


def known(tmp_path: Path, text: str) -> KnownHosts:
    (tmp_path / "known_hosts").write_text(text)
    return KnownHosts(tmp_path / "known_hosts")


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [
        ("10.94.0.1", "10.94.0.1", 22),
        ("[10.94.0.1]:2222", "10.94.0.1", 2222),
        ("gw,10.94.0.1", "10.94.0.1", 22),
        ("[fd00::1]:2222", "fd00::1", 2222),
    ],
)
def test_a_machine_is_known_by_its_name_and_port(tmp_path: Path, line: str, name: str, host: str, port: int) -> None:
    hosts = known(tmp_path, f"# pinned\n\n{name} {line} a comment\n")
    assert len(hosts.keys(host, port)) == 1
    assert not hosts.keys(host, port + 1)
    assert not hosts.keys("10.94.0.2", port)


def test_a_hashed_name_is_understood(tmp_path: Path, line: str) -> None:
    hosts = known(tmp_path, f"{HostKeys.hash_host('[gw]:2222')} {line}\n")
    assert len(hosts.keys("gw", 2222)) == 1
    assert not hosts.keys("gw", 22)


def test_lines_that_vouch_for_no_key_are_passed_over(tmp_path: Path, line: str) -> None:
    hosts = known(tmp_path, f"@revoked gw {line}\n@cert-authority * {line}\nnonsense\ngw ssh-ed25519 !!!\n")
    assert not hosts.keys("gw", 22)


def test_a_revoked_key_is_not_accepted_even_if_it_is_pinned(tmp_path: Path, line: str) -> None:
    assert not known(tmp_path, f"gw {line}\n@revoked * {line}\n").keys("gw", 22)


def test_no_file_pins_nothing(tmp_path: Path) -> None:
    assert not KnownHosts(tmp_path / "none").keys("gw", 22)


def test_only_algorithms_of_pinned_keys_are_asked_for(tmp_path: Path, line: str) -> None:
    offered = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
    rsa_line = public_line(rsa.generate_private_key(65537, 2048))
    assert signature_types(known(tmp_path, f"gw {line}\n").keys("gw", 22), offered) == ["ssh-ed25519"]
    only_rsa = known(tmp_path, f"gw {rsa_line}\n").keys("gw", 22)
    assert signature_types(only_rsa, offered) == ["rsa-sha2-512", "rsa-sha2-256"]


def test_a_fingerprint_is_the_one_that_openssh_shows(line: str) -> None:
    key = paramiko.PKey.from_type_string(*_parts(line))
    shown = fingerprint(key)
    assert shown.startswith("ssh-ed25519 SHA256:")
    assert not shown.endswith("=")


def _parts(line: str) -> tuple[str, bytes]:
    kind, body = line.split()[:2]
    return kind, base64.b64decode(body)
