"""What recipes name while they are planned, and which of the playbook's tasks does the same."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra.context import host
from pyinfra.operations import files

from deploys.packages import PackageState
from deploys.service import UnitState
from toolkit.model import Secret

# Which of the playbook's tasks writes a file: the first pattern that its path has in it.
GROUPS = {
    "administrator": "authorized_keys",
    "sudo": "/etc/telekit/sudoers",
    "firewall": "/etc/telekit/nftables.conf",
    "standing": r"nftables\.service\.d/",
    "sshd": "/etc/ssh/",
    "chrony": "chrony",
    "journald": "journald",
    "kernel": r"/etc/sysctl\.d/|systemd-sysctl",
    "access": r"telekit/(access|names\.py|successor\.py|tunnel-peers)|telekit-(access|rotation)\.",
    "wireguard": "/etc/wireguard/",
    "tunnels": "/etc/telekit/tunnels",
    "record": "tunnel-record",
    "unbound": "unbound",
    "certificate": "/etc/xrdp/telekit.pem",
    "sesman": "sesman.ini",
    "factor": r"pam\.d/xrdp-sesman|password-alone",
    "xrdp": "/etc/xrdp/",
    "authority": "ca-certificates",
    "freshclam": "freshclam",
    "scan": r"telekit-scan|telekit-quarantine|telekit-removable|mount\.d",
    "clamav": "clam|removable.conf",
    "dconf": "dconf|screensaver",
    "session": r"xfwm4|displays\.xml|telekit-password",
    "polkit": "polkit-1/",
    "portal": "portal|portail",
    "resolved": "resolved",
    "endpoint": "endpoint|network-servers|find-gateway|NetworkManager|switch-key|switch-gateway",
}


# A recipe's operation that writes no file → the playbook's task that does its work, where they do not bear the same name.
TASKS = {
    "Install the machine's packages": "Install what every machine needs",
    "Run sshd": "Reload sshd",
    "Set time zone and language": "Set the time zone",
    "Run chrony": "Restart chrony",
    "Run the timer apt-daily": "Run services",
    "Run the timer apt-daily-upgrade": "Run services",
    "Have the firewall's restart known": "Read units again",
    "Keep the journal": "Restart the journal",
    "Forward between tunnel and town hall": "Set the kernel's network settings",
    "Keep the record of tunnels to the administrator": "Have folders",
    "Record tunnels": "Run the record of tunnels",
    "Have a folder for second factors": "Have folders",
    "Apply the sessions' policy": "Read the sessions' policy again",
    "Have a quarantine": "Have folders",
    "Run the signatures' updates": "Run the antivirus",
    "Run the antivirus on every access": "Run the antivirus",
    "Run the weekly scan": "Run the antivirus",
    "Run the quarantine's alarm": "Run the antivirus",
    "Lock screens that nobody looks at": "Compile GNOME's settings",
    "Have the accounts that the firewall names": "Have the account that looks for the gateway",
    "Have the way to a portal known": "Read units again",
    "Run the search for the gateway": "Run the tunnel",
    "Change the tunnel's key when there is another": "Run the tunnel",
    "Follow the gateway's key when it changes": "Run the tunnel",
    "Write the preshared key": "Write the preshared keys",
    "Run wg0": "Run the tunnel",
}
# What a town that nobody has touched by hand has no need of.
BESIDES = frozenset({
    "Close the former administrator's account", "Refuse passwords over SSH", "Have NetworkManager leave the tunnel alone",
    "Have no second key",
})  # fmt: skip


@dataclass
class Named:
    """What a machine's recipe named. texts: path → content, mode, owner and group (empty: as they are); secrets are root's."""

    texts: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    secrets: dict[str, tuple[Secret, str]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)


def _noting(function: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        note(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapped


def listen(named: dict[str, Named]) -> None:
    """Have everything that recipes put, make, remove, install or run noted down."""
    _listen_to_files(named)
    _listen_to_secrets(named)
    _listen_to_facts(named)


def _listen_to_files(named: dict[str, Named]) -> None:
    def put(*, src: Any, dest: str, mode: str = "644", user: str = "", group: str = "", **_: Any) -> None:
        named[host.name].texts[dest] = (src.getvalue(), f"{int(mode):04d}", user, group)

    def file(*, path: str, present: bool = True, **_: Any) -> None:
        if not present:
            named[host.name].absent.append(path)

    def directory(*, path: str, **_: Any) -> None:
        named[host.name].folders.append(path)

    for operation, note in ((files.put, put), (files.file, file), (files.directory, directory)):
        wrapped = _noting(operation, note)
        wrapped._inner = _noting(operation._inner, note)  # type: ignore[attr-defined]  # pyinfra sets it too
        setattr(files, operation.__name__, wrapped)


def _listen_to_secrets(named: dict[str, Named]) -> None:
    def secret(*, dest: str, content: Secret, mode: str = "600", **_: Any) -> None:
        named[host.name].secrets[dest] = (content, f"{int(mode):04d}")

    # Recipes that were imported already have it under its own name.
    for name, module in tuple(sys.modules.items()):
        if name.startswith("deploys.") and hasattr(module, "secret_file"):
            module.secret_file = _noting(module.secret_file, secret)  # type: ignore[attr-defined]  # a module of ours


def _listen_to_facts(named: dict[str, Named]) -> None:
    packages_of, unit_of = PackageState.command, UnitState.command

    # With the functions' own parameters: pyinfra reads them.
    def state_of_packages(self: PackageState, packages: Sequence[str]) -> str:
        named[host.name].packages.extend(packages)
        return packages_of(self, packages)

    def state_of_unit(self: UnitState, unit: str, files: Sequence[str]) -> str:
        named[host.name].units.append(unit)
        return unit_of(self, unit, files)

    PackageState.command = state_of_packages  # type: ignore[method-assign]  # for this process only
    UnitState.command = state_of_unit  # type: ignore[method-assign]  # for this process only


def group_of(path: str) -> str:
    """The playbook's name for the files that are written together with this one."""
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, path)), "others")
