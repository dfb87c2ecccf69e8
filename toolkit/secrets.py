"""Secrets at rest: one file a commune, encrypted with age to the keys of all its operators."""

from __future__ import annotations

import base64
import json
import resource
import secrets as randomness
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toolkit.atomic import replace_file, sweep
from toolkit.errors import UsageError
from toolkit.model import Agent, Secret

# pyrage describes no types: an SSH or X25519 key of either half.
Identity = Any
Recipient = Any

FILE = "secrets.age"
LAST_GOOD = "secrets.age.old"
LOCKED = "it has a passphrase"
LAB_IDENTITY = "operator_ed25519"
AGE_IDENTITY = Path(".config/telekit/identity.txt")
OWN_KEY = (
    "the .pub line of your key must be in operators.keys, and an operator who can open the secrets must provision once after that"
)
AGE_KEY = (
    f"use a key without one for telekit alone: mkdir -p ~/{AGE_IDENTITY.parent}; age-keygen -o ~/{AGE_IDENTITY}; "
    "its age1… line goes into operators.keys"
)

# No a, q, z, w, m and no hyphen: these move between the French and the American keyboard. No o, l, i: they look like digits.
LETTERS = "bcdefghjknprstuvxy"
GROUPS, GROUP = 4, 4

Ask = Callable[[Path], Secret]


class Vault:
    """The secrets of a commune, in memory; `save` writes them when they changed."""

    def __init__(self, file: Path, recipients: Sequence[str], keys: _Keys, stored: dict[str, Any]) -> None:
        self._file = file
        self._recipients = sorted(set(recipients))
        self._keys = keys
        self._stored = stored
        self._secrets: dict[str, str] = dict(stored.get("secrets", {}))
        self._alone = False

    def __repr__(self) -> str:
        return f"Vault({str(self._file)!r}, {len(self._secrets)} secrets)"

    @classmethod
    def open(cls, folder: Path, recipients: Sequence[str], identities: Sequence[Path], ask: Ask | None = None) -> Vault:
        """Open a commune's secrets with one of the operator's private keys; a file that is not there is an empty vault.

        recipients: the operators' public keys. ask: gives the passphrase of a private key that has one.
        """
        # From here on secrets are in memory: should the process crash, no image of it is left on the disk.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        file, keys = folder / FILE, _Keys(identities, ask)
        try:
            sealed = file.read_bytes()
        except FileNotFoundError:
            return cls(file, recipients, keys, {})
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror or error}", where=str(file)) from error
        return cls(file, recipients, keys, _content(_unsealed(sealed, file, keys), file))

    def get(self, name: str) -> Secret | None:
        return Secret(self._secrets[name]) if name in self._secrets else None

    def put(self, name: str, secret: Secret) -> None:
        self._secrets[name] = secret.reveal()

    def delete(self, name: str) -> None:
        self._secrets.pop(name, None)

    def promote(self, coming: str, name: str) -> bool:
        """Have a secret take the place of another, of which no copy is kept; whether there is one to do so."""
        secret = self._secrets.pop(coming, None)
        if secret is None:
            return False
        self._secrets[name] = secret
        self.keep_no_copy()
        return True

    def keep_no_copy(self) -> None:
        """Have `save` leave nothing in the last good file that is not among the secrets any more."""
        self._alone = True

    def save(self) -> None:
        """Write the secrets if they or the operators changed, for all operators' keys, keeping the last good file beside."""
        last_good = self._file.with_name(LAST_GOOD)
        for file in (self._file, last_good):
            sweep(file)
        self._write(last_good)
        if self._alone and last_good.is_file():
            replace_file(last_good, self._file.read_bytes(), mode=0o600)
        self._alone = False

    def _write(self, last_good: Path) -> None:
        content: dict[str, Any] = {"version": 1, "recipients": self._recipients, "secrets": self._secrets}
        if content == self._stored or not (self._secrets or self._stored):
            return
        sealed = self._sealed(json.dumps(content, sort_keys=True).encode())
        if self._file.is_file():
            replace_file(last_good, self._file.read_bytes(), mode=0o600)
        replace_file(self._file, sealed, mode=0o600)
        self._stored = content | {"secrets": dict(self._secrets)}

    def _sealed(self, content: bytes) -> bytes:
        """The content encrypted for every operator, after a proof that this operator could open it again."""
        import pyrage

        if not self._recipients:
            hint = "write the .pub line of each administrator's key there: ssh-ed25519 AAAA… name"
            raise UsageError(
                "no operator's key to encrypt the secrets to", where=str(self._file.with_name("operators.keys")), hint=hint
            )
        sealed: bytes = pyrage.encrypt(content, [_recipient(line) for line in self._recipients])
        _unsealed(sealed, self._file, self._keys)
        return sealed


class _Keys:
    """The operator's private keys, read when they are first needed."""

    def __init__(self, files: Sequence[Path], ask: Ask | None) -> None:
        self._files = tuple(files)
        self.used: list[Path] = []
        self.refused: list[str] = []
        self._ask = ask
        self._read: list[Identity] | None = None

    def identities(self) -> list[Identity]:
        if self._read is None:
            self._read = [identity for file in self._files for identity in self._from(file)]
        return self._read

    def hint(self) -> str:
        """What an operator does whose keys do not open the secrets."""
        return AGE_KEY if any(LOCKED in reason for reason in self.refused) else OWN_KEY

    def _from(self, file: Path) -> list[Identity]:
        import pyrage

        try:
            found = self._parsed(file)
        except pyrage.IdentityError as error:
            self.refused.append(f"{file}: {_reason(str(error))}")
        except (OSError, ValueError) as error:
            self.refused.append(f"{file}: {error.strerror if isinstance(error, OSError) else error}")
        else:
            self.used.append(file)
            return found
        return []

    def _parsed(self, file: Path) -> list[Identity]:
        import pyrage

        content = file.read_bytes()
        if b"AGE-SECRET-KEY-1" in content:
            words = content.decode().split()
            return [pyrage.x25519.Identity.from_str(word) for word in words if word.startswith("AGE-SECRET-KEY-1")]
        return [pyrage.ssh.Identity.from_buffer(_without_passphrase(content, file, self._ask))]


def _reason(error: str) -> str:
    if "decrypted first" in error or "Encrypted" in error:
        return LOCKED
    return "not an ed25519, RSA or age private key"


def _without_passphrase(content: bytes, file: Path, ask: Ask | None) -> bytes:
    """An OpenSSH private key as age can use it: unlocked in memory when there is someone to ask for its passphrase."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import ssh

    if ask is None or b"PRIVATE KEY" not in content:
        return content
    try:
        ssh.load_ssh_private_key(content, password=None)
    except TypeError:
        pass
    except ValueError:
        return content
    else:
        return content
    try:
        key = ssh.load_ssh_private_key(content, ask(file).reveal().encode())
    except ValueError:
        raise ValueError("wrong passphrase") from None
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def _unsealed(sealed: bytes, file: Path, keys: _Keys) -> bytes:
    import pyrage

    identities = keys.identities()
    if not identities:
        tried = "; ".join(keys.refused) or "none was found in ~/.ssh"
        raise UsageError(f"no private key of yours can open the secrets: {tried}", where=str(file), hint=keys.hint())
    try:
        content: bytes = pyrage.decrypt(sealed, identities)
    except pyrage.DecryptError as error:
        if "No matching keys" not in str(error):
            hint = f"restore it from a backup, or from {LAST_GOOD} beside it"
            raise UsageError("the secrets are damaged or cut short", where=str(file), hint=hint) from None
        tried = "; ".join([*(f"not encrypted to {name}" for name in keys.used), *keys.refused])
        raise UsageError(f"no private key of yours can open the secrets: {tried}", where=str(file), hint=keys.hint()) from None
    return content


def _content(plain: bytes, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(plain)
        good = content["version"] == 1 and all(isinstance(value, str) for value in content["secrets"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        good = False
    if not good:
        raise UsageError("the secrets were written by another version of telekit", where=str(file), hint="update telekit")
    return dict(content)


def _recipient(line: str) -> Recipient:
    import pyrage

    try:
        return pyrage.x25519.Recipient.from_str(line) if line.startswith("age1") else pyrage.ssh.Recipient.from_str(line)
    except pyrage.RecipientError:
        what = f"the secrets cannot be encrypted to `{line[:40]}…`"
        raise UsageError(what, where="operators.keys", hint="use an ssh-ed25519 or ssh-rsa key, or an age1… line") from None


def identities_for(folder: Path, explicit: Path | None) -> tuple[Path, ...]:
    """The operator's private keys: the one that was named, else the lab's own, else the usual ones that exist."""
    if explicit is not None:
        return (explicit,)
    if (folder / LAB_IDENTITY).is_file():
        return (folder / LAB_IDENTITY,)
    home = Path.home()
    usual = (home / ".ssh/id_ed25519", home / ".ssh/id_rsa", home / AGE_IDENTITY)
    return tuple(file for file in usual if file.is_file())


def preshared_name(laptop: str) -> str:
    """The vault's name for the key that a laptop shares with the gateway."""
    return f"preshared/{laptop}"


def tunnel_key_name(laptop: str) -> str:
    """The vault's name for the private key of an unmanaged device."""
    return f"tunnel-key/{laptop}"


def escrow_name(gateway: str) -> str:
    """The vault's name for a gateway's own key."""
    return f"gateway-key/{gateway}"


def next_name(name: str) -> str:
    """The vault's name for what takes the place of one of these when a rotation is done."""
    kind, _, machine = name.partition("/")
    return f"{kind}-next/{machine}"


def new_private_key() -> Secret:
    """A private key of WireGuard."""
    key = bytearray(randomness.token_bytes(32))
    # As `wg genkey` does: every program then shows the same key for the same bytes.
    key[0] &= 248
    key[31] = (key[31] & 127) | 64
    return Secret(base64.b64encode(key).decode())


def new_preshared_key() -> Secret:
    """256 bits, as WireGuard writes them."""
    return Secret(base64.b64encode(randomness.token_bytes(32)).decode())


def public_half(private: Secret) -> str:
    """The WireGuard public key that belongs to a private one; UsageError if it is none."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    try:
        key = X25519PrivateKey.from_private_bytes(base64.b64decode(private.reveal(), validate=True))
    except ValueError:
        raise UsageError("that is no private key of WireGuard") from None
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def initial_password(vault: Vault, agent: Agent) -> Secret:
    """The first password of an agent's account, made on first ask: 66 bits, typed alike on French and American keyboards."""
    name = f"password/{agent.identifier}"
    known = vault.get(name)
    if known is None:
        known = Secret("".join("".join(randomness.choice(LETTERS) for _ in range(GROUP)).capitalize() for _ in range(GROUPS)))
        vault.put(name, known)
    return known
