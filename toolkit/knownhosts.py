"""A commune's own known_hosts: the host keys that somebody compared, and the only ones that telekit accepts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from toolkit.atomic import replace_file
from toolkit.model import SshAddress

FILE = "known_hosts"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key, as known_hosts writes it."""

    kind: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` and the machine's own console show it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    @property
    def short_kind(self) -> str:
        """ED25519, RSA, ECDSA: the word behind the fingerprint."""
        return self.kind.removeprefix("ssh-").split("-")[0].upper()

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.short_kind})"


def host_of(address: SshAddress) -> str:
    """The name under which OpenSSH keeps a host's key."""
    return address.host if address.port == 22 else f"[{address.host}]:{address.port}"


class KnownHosts:
    """The file, line by line: what telekit does not change stays as it is."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []

    def keys(self, address: SshAddress) -> tuple[HostKey, ...]:
        """The keys pinned for this address."""
        host = host_of(address)
        return tuple(key for line in self.lines for hosts, key in _parsed(line) if host in hosts)

    def owners(self, key: HostKey) -> tuple[str, ...]:
        """The hosts that have this very key."""
        return tuple(host for line in self.lines for hosts, found in _parsed(line) if found == key for host in hosts)

    def pin(self, address: SshAddress, key: HostKey) -> None:
        """Accept this key, and no other, for this address from now on."""
        host = host_of(address)
        self.lines = [kept for line in self.lines for kept in _without(line, host)]
        self.lines.append(f"{host} {key.kind} {key.blob}")

    def save(self) -> None:
        """Write the file whole or not at all."""
        replace_file(self.file, ("\n".join(self.lines) + "\n").encode(), mode=0o644)


def _parsed(line: str) -> Iterable[tuple[list[str], HostKey]]:
    """The hosts and the key of a plain line; comments, marked and hashed lines hold none that telekit wrote."""
    words = line.split()
    if len(words) >= 3 and line[0] not in "#@|":
        yield words[0].split(","), HostKey(words[1], words[2])


def _without(line: str, host: str) -> Iterable[str]:
    for hosts, _ in _parsed(line):
        if host in hosts:
            left = [other for other in hosts if other != host]
            return [" ".join([",".join(left), *line.split()[1:]])] if left else []
    return [line]
