"""The host keys that are accepted: those of one file, in OpenSSH's format, and no others."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, HostKeys

RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


def host_key_name(host: str, port: int) -> str:
    """The name under which OpenSSH files a host's key."""
    return host if port == 22 else f"[{host}]:{port}"


def fingerprint(key: paramiko.PKey) -> str:
    """What `ssh-keygen -l` shows of a key."""
    return f"{key.get_name()} {key.fingerprint}"


class KnownHosts:
    """The keys of a known_hosts file, looked up by name; hashed names are understood, wildcards are not."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._plain: dict[str, list[paramiko.PKey]] = defaultdict(list)
        self._hashed: list[tuple[str, paramiko.PKey]] = []
        self._revoked: list[paramiko.PKey] = []
        if file.exists():
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                self._read(line.strip(), number)

    def _read(self, line: str, number: int) -> None:
        if line.startswith("@revoked "):
            self._revoked += [entry.key for entry in _entries(line.partition(" ")[2], number)]
        elif line and not line.startswith(("#", "@")):
            for entry in _entries(line, number):
                self._add(entry)

    def _add(self, entry: HostKeyEntry) -> None:
        for name in entry.hostnames or ():
            if name.startswith("|1|"):
                self._hashed.append((name, entry.key))
            else:
                self._plain[name].append(entry.key)

    def keys(self, host: str, port: int) -> list[paramiko.PKey]:
        """The keys pinned for a machine."""
        name = host_key_name(host, port)
        found = self._plain.get(name, []) + [key for hashed, key in self._hashed if HostKeys.hash_host(name, hashed) == hashed]
        return [key for key in found if key not in self._revoked]


def _entries(line: str, number: int) -> list[HostKeyEntry]:
    """The entry of a line; none if it is damaged or of a kind that paramiko does not know, which pins nothing."""
    try:
        entry = HostKeyEntry.from_line(line, number)
    except (paramiko.SSHException, ValueError):
        return []
    return [entry] if entry is not None and entry.key is not None else []


def signature_types(keys: list[paramiko.PKey], offered: tuple[str, ...]) -> list[str]:
    """The host key algorithms to ask for, so that the machine shows a key that we know and not another one it has."""
    wanted: list[str] = []
    for key in keys:
        wanted += RSA_SIGNATURES if key.get_name() == "ssh-rsa" else [key.get_name()]
    return [name for name in wanted if name in offered]
