"""sshd: keys only, whatever an installer or a cloud image wrote before."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from io import StringIO

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.operations import files

from deploys import service
from deploys.accounts import GROUP
from deploys.template import render
from toolkit.model import Commune, Machine, Role

DROP_IN = "/etc/ssh/sshd_config.d/00-telekit.conf"
MAIN = "/etc/ssh/sshd_config"

# A configuration that sshd refuses would lock everybody out at the next boot: then ours goes away again.
CHECK = f"""\
set -eu
sshd -t || {{ rm -f {DROP_IN}; exit 1; }}
sshd -T | grep -qx "passwordauthentication no" || {{ echo "{MAIN} allows passwords before its Include line" >&2; exit 1; }}
"""


class SshPorts(FactBase[tuple[int, ...]]):
    """The ports on which sshd listens, as its configuration says."""

    @staticmethod
    def default() -> tuple[int, ...]:
        return (22,)

    def command(self) -> str:
        return "sshd -T 2>/dev/null | sed -n 's/^port //p'"

    def process(self, output: list[str]) -> tuple[int, ...]:
        return tuple(sorted({int(line) for line in output}))


class SshdReadsDropIns(FactBase[bool]):
    """Whether sshd_config includes its folder: one that came through upgrades from Debian 10 does not."""

    def command(self) -> str:
        return rf"if grep -qE '^\s*Include\s+/etc/ssh/sshd_config\.d/\*\.conf' {MAIN}; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


class PasswordsOpenSsh(FactBase[tuple[str, ...]]):
    """The files that may be why sshd takes more than keys although ours does not: it takes the first word that it reads."""

    @staticmethod
    def default() -> tuple[str, ...]:
        return ()

    def command(self) -> str:
        ours = f"grep -qi '^AuthenticationMethods publickey' {DROP_IN} 2>/dev/null"
        keys_alone = "sshd -T 2>/dev/null | grep -qx 'authenticationmethods publickey'"
        return (
            f"if {ours} && ! {keys_alone}; then "
            f"grep -liE '^\\s*AuthenticationMethods\\s' {MAIN} /etc/ssh/sshd_config.d/*.conf | grep -vxF {DROP_IN}; fi; true"
        )

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(output)


@operation()
def _refuse_passwords() -> Generator[str, None, None]:
    """A file that is not ours is not ours to change: it is named."""
    if opened := host.get_fact(PasswordsOpenSsh):
        told = f"passwords open SSH: remove that line from {' or '.join(opened)}, which is read before {DROP_IN}"
        yield f"echo {shlex.quote(told)} >&2; exit 1"


@operation()
def _read_drop_ins() -> Generator[str, None, None]:
    if not host.get_fact(SshdReadsDropIns):
        yield f"sed -i '1i Include /etc/ssh/sshd_config.d/*.conf' {MAIN}"


def settings(*, root: bool, jump: bool) -> str:
    """sshd's drop-in; root: the administrator's account is root's. jump: laptops are administered through this machine."""
    return render("sshd/telekit.conf.j2", root=root, jump=jump, agents=GROUP)


def ssh_server(me: Machine, commune: Commune) -> None:
    """Have sshd let in by key alone, root not at all, and carry on through the gateway to laptops."""
    text = settings(root=commune.admin_user == "root", jump=me.role == Role.GATEWAY)
    _read_drop_ins(name="Let sshd read its drop-in files")
    files.put(name="Write sshd's settings", src=StringIO(text), dest=DROP_IN, mode="644")
    service.run(name="Run sshd", unit="ssh", files={DROP_IN: text}, check=CHECK, how="reload")
    _refuse_passwords(name="Refuse passwords over SSH")
