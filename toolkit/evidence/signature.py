"""The operator's signature over a kept run, by OpenSSH: whoever has operators.keys can check it without telekit."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.model import Operator

NAMESPACE = "telekit"
NO_KEY, LOCKED, NO_TOOL = "no-key", "locked", "no-tool"
SSH_PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----"
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True)
class Signature:
    """What the signature of a file is worth. good: it is of an operator's key; by: whose; why: why there is none (NO_KEY …)."""

    digest: str
    good: bool = False
    fingerprint: str = ""
    by: str = ""
    why: str = ""


def file_of(record: Path) -> Path:
    return record.with_name(record.name + ".sig")


def sign(record: Path, identities: Sequence[Path]) -> str:
    """Sign with the first key that can without asking anybody; why not, or nothing."""
    keys = [key for key in identities if _is_ssh(key)]
    for key in keys:
        # The key itself, then the same key in the agent, which holds it without its passphrase.
        for named in (key, key.with_name(key.name + ".pub")):
            if not named.is_file():
                continue
            try:
                done = _ssh_keygen("-Y", "sign", "-n", NAMESPACE, "-f", str(named), str(record))
            except FileNotFoundError:
                return NO_TOOL
            if done.returncode == 0:
                file_of(record).chmod(0o640)
                return ""
    return LOCKED if keys else NO_KEY


def check(record: Path, operators: Sequence[Operator], why: str = "") -> Signature:
    """The file's digest, and whether its signature is one of these operators'."""
    content = record.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if not file_of(record).is_file():
        return Signature(digest, why=why or NO_KEY)
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".signers") as signers:
            signers.write("".join(f"operator {_key(one)}\n" for one in operators if one.public_key.startswith("ssh-")))
            signers.flush()
            said = _ssh_keygen("-Y", "verify", "-n", NAMESPACE, "-f", signers.name, "-I", "operator", "-s", str(file_of(record)),
                               stdin=content)  # fmt: skip
    except FileNotFoundError:
        return Signature(digest, why=NO_TOOL)
    found = FINGERPRINT.search(said.stdout.decode(errors="replace"))
    if said.returncode != 0 or not found:
        return Signature(digest, fingerprint=_whose(record, content))
    by = next((one.name for one in operators if _fingerprint(one) == found[0]), "")
    return Signature(digest, good=True, fingerprint=found[0], by=by)


def commands(record: Path) -> tuple[str, ...]:
    """What to type in the commune's folder to check the digest and the signature."""
    name = f"{record.parent.name}/{record.name}"
    return (
        f"sha256sum {name}",
        "awk '/^ssh-/ {print \"operator\", $1, $2}' operators.keys > signers",
        f"ssh-keygen -Y verify -n {NAMESPACE} -f signers -I operator -s {name}.sig < {name}",
    )


def _whose(record: Path, content: bytes) -> str:
    """The fingerprint of a key that is no operator's; nothing when the signature is not over this content."""
    said = _ssh_keygen("-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(file_of(record)), stdin=content)
    found = FINGERPRINT.search(said.stdout.decode(errors="replace")) if said.returncode == 0 else None
    return found[0] if found else ""


def _key(operator: Operator) -> str:
    return " ".join(operator.public_key.split()[:2])


def _fingerprint(operator: Operator) -> str:
    words = operator.public_key.split()
    if len(words) < 2 or not words[0].startswith("ssh-"):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(words[1])).digest()).decode().rstrip("=")


def _is_ssh(key: Path) -> bool:
    try:
        with key.open("rb") as stream:
            return stream.read(len(SSH_PRIVATE)) == SSH_PRIVATE or b"RSA PRIVATE" in stream.read(80)
    except OSError:
        return False


def _ssh_keygen(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Without a terminal: it must not ask for a passphrase in the middle of a report."""
    quiet = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "SSH_ASKPASS")}
    return subprocess.run(
        ["ssh-keygen", *arguments], input=stdin, capture_output=True, check=False, start_new_session=True, timeout=30,
        env=quiet | {"SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
    )  # fmt: skip
