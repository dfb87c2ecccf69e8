"""The account by which telekit and the operators administer a machine."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from itertools import pairwise

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.facts.files import Sha256File
from pyinfra.operations import files

from deploys.template import MANAGED, render
from toolkit.model import Commune

HEADER = "# " + MANAGED.replace("commune.toml", "operators.keys")
SUDOERS = "/etc/sudoers.d/telekit"
CANDIDATE = "/etc/telekit/sudoers"
# Whose account it is, so that another one is known to follow it.
INCUMBENT = "/etc/telekit/administrator"
# Files of sudoers.d with a dot in their name are ignored: nothing is half-way there.
ACTIVATE = f"visudo -cqf {CANDIDATE} && install -m 440 {CANDIDATE} {SUDOERS}.new && mv -f {SUDOERS}.new {SUDOERS}"


@dataclass(frozen=True, slots=True)
class Account:
    """An account; `keys`: the bodies of the public keys that open it."""

    home: str
    groups: frozenset[str]
    keys: frozenset[str]
    managed: bool


class AccountState(FactBase[Account | None]):
    """An account's home, groups and authorized keys; None when there is none."""

    def command(self, account: str) -> str:
        name = shlex.quote(account)
        return (
            f'if h=$(getent passwd {name} | cut -d: -f6) && [ -n "$h" ]; then echo "home=$h"; echo "groups=$(id -nG {name})";'
            ' if [ -f "$h/.ssh/authorized_keys" ]; then sed "s/^/key=/" "$h/.ssh/authorized_keys"; fi; fi'
        )

    def process(self, output: list[str]) -> Account | None:
        pairs = [line.partition("=") for line in output]
        values = {key: value for key, _, value in pairs}
        if "home" not in values:
            return None
        lines = [value for key, _, value in pairs if key == "key"]
        keys = frozenset(body for line in lines if (body := key_body(line)))
        return Account(values["home"], frozenset(values["groups"].split()), keys, HEADER in lines)


class FormerKeys(FactBase[str]):
    """The authorized_keys that telekit wrote for the administrator's account before this one; empty when there are none."""

    default = str

    def command(self, account: str) -> str:
        return (
            f'n=$(cat {INCUMBENT} 2>/dev/null); if [ -n "$n" ] && [ "$n" != {shlex.quote(account)} ]; then'
            ' f=$(getent passwd "$n" | cut -d: -f6)/.ssh/authorized_keys;'
            f' if grep -qxF {shlex.quote(HEADER)} "$f" 2>/dev/null; then echo "$f"; fi; fi'
        )

    def process(self, output: list[str]) -> str:
        return output[0] if output else ""


def key_body(line: str) -> str:
    """The base64 body of an authorized_keys line, without options and comment; empty for any other line."""
    words = line.split()
    found = [body for kind, body in pairwise(words) if kind.startswith(("ssh-", "ecdsa-", "sk-"))]
    return found[0] if found and not line.lstrip().startswith("#") else ""


@operation()
def _account(account: str, keys: Sequence[str]) -> Generator[PyinfraCommand | str, None, None]:
    """Have the account, with sudo, opened by exactly these keys; without keys, its keys stay as they are."""
    found = host.get_fact(AccountState, account=account)
    if found is None:
        yield f"useradd --create-home --shell /bin/bash --groups sudo {shlex.quote(account)}"
    elif "sudo" not in found.groups and account != "root":
        yield f"usermod --append --groups sudo {shlex.quote(account)}"
    wanted = {key_body(line) for line in keys}
    if not wanted or (found and found.managed and found.keys == wanted):
        return
    if found and found.keys and not found.keys & wanted:
        # The connection that runs this was opened by one of the present keys.
        raise OperationError(
            "operators.keys names none of the keys that open this machine today: add the key you connect with,"
            " provision, then remove the old one"
        )
    folder = f"{found.home if found else f'/home/{account}'}/.ssh"
    text = "\n".join([HEADER, *keys, ""])
    yield from files.directory._inner(path=folder, user=account, mode="700")
    yield from files.put._inner(src=StringIO(text), dest=f"{folder}/authorized_keys", user=account, mode="600")


@operation()
def _dismiss(account: str) -> Generator[str, None, None]:
    """Close the account that was the administrator's before to the keys it had: nobody looks after them any more."""
    if former := host.get_fact(FormerKeys, account=account):
        yield f"rm -f {shlex.quote(former)}"


@operation()
def _sudo(text: str) -> Generator[str, None, None]:
    if host.get_fact(Sha256File, path=SUDOERS) != sha256(text.encode()).hexdigest():
        yield ACTIVATE


def administrator(commune: Commune) -> None:
    """Have the administrator's account, which sudo lets in without a password and the operators' keys open."""
    keys = [o.public_key for o in commune.operators if key_body(o.public_key)]
    _account(name="Have the administrator's account", account=commune.admin_user, keys=keys)
    sudoers = render("sudo/telekit.j2", user=commune.admin_user)
    files.put(name="Write the administrator's sudo rule", src=StringIO(sudoers), dest=CANDIDATE, mode="440")
    _sudo(name="Check and use the administrator's sudo rule", text=sudoers)
    _dismiss(name="Close the former administrator's account", account=commune.admin_user)
    files.put(name="Note whose account it is", src=StringIO(f"{commune.admin_user}\n"), dest=INCUMBENT, mode="644")
