"""operators.keys: the public keys of the people who administer the machines and open the vault."""

from __future__ import annotations

import base64
import binascii
import re

from toolkit.inventory.problems import Problems, Refused, shown
from toolkit.model import Operator

AGE = re.compile(r"age1[02-9ac-hj-np-z]{58}")
SSH = re.compile(r"(ssh-ed25519|ssh-rsa)\s+(\S+)(?:\s+(.*))?")
OTHER_SSH = re.compile(r"(ecdsa-sha2-\S+|sk-\S+|ssh-dss)\s")
PRIVATE = re.compile(r"PRIVATE KEY|AGE-SECRET-KEY", re.IGNORECASE)
RSA_BYTES = 256


def parse(content: str, problems: Problems) -> list[Operator]:
    """Given the text of operators.keys, one operator for each good line."""
    found: dict[str, Operator] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            operator = _operator(line)
        except Refused as refused:
            problems.error(number, refused.what, refused.hint)
            continue
        key = " ".join(operator.public_key.split()[:2]) if operator.public_key.startswith("ssh-") else operator.public_key
        if key in found:
            problems.error(number, "this key is in the file twice", "keep one of the two lines")
        found.setdefault(key, operator)
    return list(found.values())


def _operator(line: str) -> Operator:
    if PRIVATE.search(line):
        # The line itself must not be shown.
        raise Refused("a PRIVATE key stands here", "remove it, make a new pair of keys, and put the .pub file's line here")
    words = line.split()
    if AGE.fullmatch(words[0]):
        return Operator(" ".join(words[1:]).lstrip("# ") or words[0][:12], words[0])
    ssh = SSH.fullmatch(line)
    if ssh:
        _check_blob(ssh[1], ssh[2])
        return Operator((ssh[3] or "").strip() or ssh[1], f"{ssh[1]} {ssh[2]} {ssh[3] or ''}".strip())
    if OTHER_SSH.match(line):
        raise Refused(f"keys of type {shown(words[0])} cannot open the vault", "use an ssh-ed25519 key, or an age1… line")
    raise Refused("is not a public key", "each line is an OpenSSH public key (ssh-ed25519 AAAA… name) or an age one (age1…)")


def _check_blob(algorithm: str, blob: str) -> None:
    """The middle of an OpenSSH line holds what its first word says."""
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    head = len(algorithm).to_bytes(4, "big") + algorithm.encode()
    size = 32 + 4 if algorithm == "ssh-ed25519" else RSA_BYTES
    if not data.startswith(head) or len(data) < len(head) + 4:
        raise Refused(f"this {algorithm} key is damaged", "copy the whole line of the .pub file again")
    if algorithm == "ssh-ed25519" and len(data) != len(head) + size:
        raise Refused(f"this {algorithm} key is damaged", "copy the whole line of the .pub file again")
    if algorithm == "ssh-rsa" and len(data) < len(head) + size:
        raise Refused("this RSA key is shorter than 2048 bits", "make a new one: ssh-keygen -t ed25519")
