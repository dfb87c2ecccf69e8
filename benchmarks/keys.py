"""SSH keys for machines and operators of a benchmark, made in a millisecond."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class Pair:
    """An Ed25519 key; `public`: as OpenSSH writes it."""

    private: bytes
    public: str

    @classmethod
    def new(cls) -> Pair:
        key = Ed25519PrivateKey.generate()
        openssh = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, *openssh)
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return cls(private, public.decode())

    def save(self, file: Path) -> Path:
        """Write the private half, for its owner alone."""
        file.touch(mode=0o600)
        file.write_bytes(self.private)
        return file
