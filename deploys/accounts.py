"""The accounts of agents: opened for those the inventory names, closed for those it no longer names."""

from __future__ import annotations

import shlex
from collections.abc import Container, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from toolkit.model import Agent, Secret

GROUP = "telekit-agents"
# Whoever is in one of these can become root, read what others wrote or type, or get past what protects the machine.
POWERFUL = frozenset({
    "adm", "admin", "backup", "clamav", "disk", "docker", "incus", "incus-admin", "input", "kmem", "kvm", "libvirt",
    "libvirt-qemu", "lpadmin", "lxd", "netdev", "root", "shadow", "ssl-cert", "staff", "sudo", "systemd-journal",
    "telekit-portal", "tty", "wheel", "xrdp",
})  # fmt: skip
# Debian's accounts below are programs'.
FIRST_PERSON = 1000
EPOCH = date(1970, 1, 1)
NEVER = -1

# The password's hash stays on the machine: only what kind it is leaves it.
LIST = """\
getent group {group} > /dev/null && echo group
for name in {names} $(getent group {group} | cut -d: -f4 | tr , ' '); do
    entry=$(getent passwd "$name") || continue
    printf '%s\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "$name" "$(id -u "$name")" "$(id -nG "$name" | tr ' ' ,)" \\
        "$(getent shadow "$name" | awk -F: '{{print ($2 ~ /^!*[*]?$/ ? "none" : $2 ~ /^!/ ? "locked" : "set") "\\t" $8}}')" \\
        "$(stat -c %a "$(echo "$entry" | cut -d: -f6)" 2>/dev/null)" "$(echo "$entry" | cut -d: -f5 | cut -d, -f1)"
done
"""
CLOSE = """\
set -eu
usermod --lock --expiredate 1 {name}
loginctl disable-linger {name} 2>/dev/null || : # it has no manager that would outlive its sessions
loginctl terminate-user {name} 2>/dev/null || : # nobody of that name is logged in
for moment in 1 2 3 4 5 6 7 8 9 10; do pgrep -u {name} > /dev/null || break; sleep 0.5; done
if pkill -KILL -u {name}; then # a service manager that was killed counts as failed, and this is meant
    sleep 0.5
    systemctl reset-failed "user@$(id -u {name}).service" 2>/dev/null || :
fi
crontab -r -u {name} 2>/dev/null || : # no crontab, or no cron
if id -nG {name} | tr ' ' '\\n' | grep -qx {group}; then gpasswd --delete {name} {group} > /dev/null; fi
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is. password: none, locked or set; expires: days since 1970, NEVER when it does not."""

    uid: int
    groups: frozenset[str]
    password: str
    expires: int
    home_mode: str
    full_name: str


@dataclass(slots=True)
class Found:
    """Whether the agents' group is there, and the accounts that are in it or were asked for."""

    group: bool = False
    accounts: dict[str, Account] = field(default_factory=dict)


class AgentAccounts(FactBase[Found]):
    """The accounts in the agents' group, and those of the given names."""

    default = Found

    def command(self, names: Sequence[str]) -> str:
        return LIST.format(group=GROUP, names=shlex.join(names))

    def process(self, output: list[str]) -> Found:
        found = Found()
        for line in output:
            if line == "group":
                found.group = True
            elif line.count("\t") == 6:
                name, uid, groups, password, expires, mode, full_name = line.split("\t")
                days = int(expires) if expires else NEVER
                found.accounts[name] = Account(int(uid), frozenset(groups.split(",")), password, days, mode, full_name)
        return found


def _expiry(agent: Agent) -> int:
    """The first day on which the account is closed by itself, in days since 1970."""
    return (agent.last_day + timedelta(days=1) - EPOCH).days if agent.last_day else NEVER


@operation()
def open_accounts(agents: Sequence[Agent], passwords: Mapping[str, Secret]) -> Generator[str | StringCommand, None, None]:
    """Have an account for each agent: no administrator, a home of their own, a first password where there is none."""
    found = host.get_fact(AgentAccounts, names=[agent.identifier for agent in agents])
    if not found.group:
        yield f"groupadd --system --force {GROUP}"
    for agent in agents:
        account = found.accounts.get(agent.identifier)
        yield from _settle(agent, account)
        password = passwords.get(agent.identifier)
        if password is not None and (account is None or account.password == "none"):  # noqa: S105 - a state, not a password
            yield StringCommand("chpasswd", _stdin=f"{agent.identifier}:{password.reveal()}\n")


def _settle(agent: Agent, account: Account | None) -> Generator[str, None, None]:
    name, expires, full_name = shlex.quote(agent.identifier), _expiry(agent), shlex.quote(agent.full_name)
    if account is None:
        until = f" --expiredate {expires}" if expires != NEVER else ""
        who = f"--user-group --groups {GROUP} --comment {full_name}{until} {name}"
        yield f"useradd --create-home --key HOME_MODE=0700 --shell /bin/bash {who}"
        return
    if account.uid < FIRST_PERSON:
        raise OperationError(f"{agent.identifier} is an account of the system here: give the agent another identifier")
    changes = []
    if GROUP not in account.groups:
        changes.append(f"--append --groups {GROUP}")
    if account.full_name != agent.full_name:
        changes.append(f"--comment {full_name}")
    if account.expires != expires:
        changes.append(f"--expiredate {expires}")
    if account.password == "locked":  # noqa: S105 - a state, not a password
        changes.append("--unlock")
    if changes:
        yield f"usermod {' '.join(changes)} {name}"
    if account.home_mode != "700":
        yield f"chmod 700 ~{name}"
    yield from (f"gpasswd --delete {name} {group} > /dev/null" for group in sorted(account.groups & POWERFUL))


@operation()
def close_accounts(agents: Sequence[Agent], voided: Container[str] = ()) -> Generator[str, None, None]:
    """Lock the account of everyone in the agents' group who is none of these, and end what they run; their home stays.

    voided: those whose password must not open the account even if it is opened again one day.
    """
    staying = {agent.identifier for agent in agents}
    found = host.get_fact(AgentAccounts, names=())
    for name in sorted(set(found.accounts) - staying):
        if name in voided:
            yield f"usermod --password '!' {shlex.quote(name)}"
        yield CLOSE.format(name=shlex.quote(name), group=GROUP)


def agent_accounts(agents: Sequence[Agent]) -> None:
    """Have the accounts of these agents and of no other. First passwords: host.data.passwords, identifier → Secret."""
    passwords: Mapping[str, Secret] = host.data.get("passwords") or {}
    open_accounts(name="Open the agents' accounts", agents=list(agents), passwords=passwords)
    close_accounts(name="Close the leavers' accounts", agents=list(agents), voided=host.data.get("voided") or ())
