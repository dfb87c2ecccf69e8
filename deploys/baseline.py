"""What every machine of a town hall has, whatever its role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO

from pyinfra.api.deploy import deploy
from pyinfra.context import host
from pyinfra.operations import files

from deploys import kernel, packages, service
from deploys.administrator import administrator
from deploys.clock import clock
from deploys.firewall_unit import standing_rules
from deploys.locality import locality
from deploys.sshd import ssh_server
from deploys.template import render
from toolkit.model import Commune, Machine, Role

PACKAGES = ("chrony", "dbus", "locales", "python3", "sudo", "tzdata", "unattended-upgrades")
JOURNAL = "/etc/systemd/journald.conf.d/telekit.conf"


@deploy("baseline")
def baseline(packages_of_role: Sequence[str]) -> None:
    """Make the machine safe to administer: SSH with keys only, time, updates, a journal that is kept, network settings.

    packages_of_role: what its role needs beside, installed in the same go: each go of the package manager costs seconds.
    """
    me: Machine = host.data.machine
    commune: Commune = host.data.commune
    policy = commune.policy

    packages.install(name="Install the machine's packages", packages=[*PACKAGES, *packages_of_role])

    administrator(commune)
    ssh_server(me, commune)

    locality(name="Set time zone and language", timezone=policy.timezone, locale=policy.locale)
    clock(me, commune)

    # The package's own settings stay as they are; files of apt.conf.d are read in order, and the last word counts.
    upgrades = render("apt/telekit.j2", reboot=policy.automatic_reboot, reboot_at=policy.reboot_window)
    files.put(name="Write the settings of updates", src=StringIO(upgrades), dest="/etc/apt/apt.conf.d/90telekit", mode="644")
    for timer in ("apt-daily", "apt-daily-upgrade"):
        service.run(name=f"Run the timer {timer}", unit=f"{timer}.timer")

    standing_rules()

    journal = render("journald/telekit.conf.j2", months=policy.journal_months)
    files.put(name="Write the journal's retention", src=StringIO(journal), dest=JOURNAL, mode="644")
    service.run(name="Keep the journal", unit="systemd-journald", files={JOURNAL: journal})

    kernel.settings(name="Set the kernel's network settings", file="60-telekit.conf", values=network_settings(me))


def network_settings(me: Machine) -> Mapping[str, str]:
    """Nobody on the network may redirect this machine's traffic, choose its routes, or speak with a forged address."""
    # wg-quick's policy routing on laptops needs the loose check.
    reverse_path = "2" if me.role == Role.LAPTOP else "1"
    return {
        "net.ipv4.conf.*.rp_filter": reverse_path,
        "net.ipv4.conf.*.accept_redirects": "0",
        "net.ipv4.conf.*.secure_redirects": "0",
        "net.ipv4.conf.*.send_redirects": "0",
        "net.ipv4.conf.*.accept_source_route": "0",
        "net.ipv6.conf.*.accept_redirects": "0",
        "net.ipv6.conf.*.accept_source_route": "0",
        "net.ipv4.tcp_syncookies": "1",
        "net.ipv4.tcp_rfc1337": "1",
        "net.ipv4.icmp_echo_ignore_broadcasts": "1",
        "net.ipv4.icmp_ignore_bogus_error_responses": "1",
        "kernel.dmesg_restrict": "1",
        "kernel.kptr_restrict": "2",
        "kernel.yama.ptrace_scope": "1",
        "fs.suid_dumpable": "0",
    }
