"""Whether two ways led to the same machines: files, modes, owners, packages, units, accounts, rules of the firewall, tunnels.

What no two machines share, or no two runs, is left out; what it is stands below, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.lab import LabMachine

FOLDERS = "/etc /usr/local /home /root /opt /var/lib/telekit /var/lib/clamav"
SCRIPT = rf"""
export LC_ALL=C
find {FOLDERS} -xdev \( -type f -printf 'file\t%p\t%m %u %g ' -exec sh -c 'sha256sum < "$1" | cut -c1-64' sh {{}} \; \) \
  -o \( -type l -printf 'file\t%p\tlink to %l\n' \) -o \( -type d -printf 'file\t%p/\t%m %u %g\n' \) 2>/dev/null
dpkg-query --show --showformat 'package\t${{Package}}\t${{Version}} ${{db:Status-Status}}\n'
systemctl list-unit-files --no-legend --plain | awk '{{print "unit file\t" $1 "\t" $2}}'
systemctl list-units --all --no-legend --plain --type=service,timer,path,socket | awk '{{print "unit\t" $1 "\t" $3}}'
getent passwd | awk -F: '{{print "account\t" $1 "\t" $5 ":" $6 ":" $7}}'
for name in $(getent passwd | cut -d: -f1); do
  printf 'groups\t%s\t%s\n' $name "$(id -nG $name | tr ' ' '\n' | sort | tr '\n' ' ')"
  printf 'password\t%s\t%s\n' $name "$(passwd -S $name | cut -d' ' -f2) $(getent shadow $name | cut -d: -f8)"
done
# Tables in no order; by names: an account's number depends on which package came first. A link's own address is random.
nft --stateless --guid list ruleset 2>/dev/null | sed 's/ fe80::[0-9a-f:]* / fe80::… /' | awk '
  /^table/ {{table = $2 " " $3; line = 0}} {{print "firewall\t" table " " ++line "\t" $0}}'
if [ -d /sys/class/net/wg0 ]; then
  echo "tunnel	key	$(wg show wg0 public-key)"
  # A laptop's port is whatever is free.
  grep -q ListenPort /etc/wireguard/wg0.conf && echo "tunnel	port	$(wg show wg0 listen-port)"
  wg show wg0 allowed-ips | awk '{{print "tunnel\t" $1 "\t" $2 " " $3}}'
  ip -o addr show dev wg0 scope global | awk '{{print "tunnel\t" $4 "\taddress"}}'
fi
ip rule | awk '{{print "routing\t" $0 "\tyes"}}'
for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv4/conf/*/rp_filter \
  /proc/sys/net/ipv4/conf/*/accept_redirects /proc/sys/net/ipv4/conf/*/send_redirects; do echo "kernel	$f	$(cat $f)"; done
locale -a | awk '{{print "locale\t" $1 "\tyes"}}'
echo "time zone	link	$(readlink -f /etc/localtime)"
"""
IGNORED = {
    "file": (
        # Made at random or by date for each machine or run.
        r"/etc/(machine-id|hostname|ssh/ssh_host_.*|xrdp/rsakeys\.ini|ld\.so\.cache|chrony/chrony\.keys)",
        r"/etc/ssl/(certs|private)/(ssl-cert-snakeoil.*|[0-9a-f]{8}\.\d)",
        r"/var/lib/clamav/(freshclam\.dat|mirrors\.dat)",
        # Numbers depend on the order in which packages were installed; accounts, groups and passwords are compared by name.
        r"/etc/((passwd|group|shadow|gshadow|subuid|subgid)-?|\.pwd\.lock)",
        # Traces of the tools themselves.
        r"/(root|home/[^/]+)/\.(ansible|cache|bash_history|lesshst|config|local|Xauthority|dbus|sudo_as_admin_successful).*",
        # What programs note for themselves, and a cache that is made if its folder was there when packages came.
        r"/var/lib/telekit/(tunnels\.json|quarantine/\.clamav-quarantine-lock\..*)",
        r"/usr/local/share/applications/mimeinfo\.cache",
        # The resolver's own file, rewritten with each lease.
        r"/etc/resolv\.conf.*",
    ),
    "unit": (
        # Sessions, connections, and what a timer or a path starts: there or not, by the minute.
        r"(session-|user@|user-runtime-dir@|run-|sshd@|apt-daily|e2scrub|systemd-tmpfiles|man-db|dpkg-|fstrim|logrotate).*",
        r"(systemd-(hostnamed|timedated|localed|update)|packagekit).*",
        r"telekit-(endpoint|scan|quarantine|network-servers)\.service",
    ),
}


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what differs: machine, what, one value, the other."""

    items: int
    differences: tuple[tuple[str, str, str, str], ...] = field(default=())


def portrait(machine: LabMachine) -> dict[tuple[str, str], str]:
    """All there is to compare on a machine."""
    done = machine.run(["sh", "-c", SCRIPT], timeout=120, check=True)
    rows = (line.split("\t", 2) for line in done.stdout.splitlines())
    found = {(row[0], row[1]): row[2] for row in rows if len(row) == 3}
    return {key: value for key, value in found.items() if not _ignored(*key)}


def _ignored(kind: str, name: str) -> bool:
    return any(re.fullmatch(pattern, name.rstrip("/")) for pattern in IGNORED.get(kind, ()))


def compare(one: Mapping[str, Mapping[tuple[str, str], str]], other: Mapping[str, Mapping[tuple[str, str], str]]) -> Comparison:
    """Two towns, machine by machine."""
    items, differences = 0, []
    for machine in one:
        a, b = one[machine], other[machine]
        for key in sorted(a.keys() | b.keys()):
            items += 1
            if a.get(key) != b.get(key):
                differences.append((machine, " ".join(key), a.get(key, "absent"), b.get(key, "absent")))
    return Comparison(items, tuple(differences))
