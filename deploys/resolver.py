"""The laptop's resolver: systemd-resolved, the one that NetworkManager, ifupdown and both of Debian's DHCP clients feed."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys.service import run
from deploys.template import render
from deploys.text import text_file
from toolkit.model import Commune, Mode

CONFIGURATION = "/etc/systemd/resolved.conf.d/telekit.conf"
DHCLIENT = "/etc/dhcp/dhclient-enter-hooks.d/telekit"
BEFORE = "/etc/.resolv.conf.systemd-resolved.bak"
KNOWN = "/run/systemd/resolve/resolv.conf"
# The servers of the network itself, for the few programs that must ask them, and the script that writes this file.
NETWORK = "/run/telekit/resolv.conf"
SCRIPT = "/usr/local/lib/telekit/network-servers"

# The package takes resolv.conf over without reading it: until the next lease nobody would know the network's servers.
HAND_OVER = f"""\
set -eu
device=$(ip -4 route show default | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p' | head -n 1)
servers=$(sed -n 's/^nameserver *//p' {BEFORE} | grep -v '^127\\.' | tr '\\n' ' ')
if [ -n "$device" ] && [ -n "$servers" ]; then resolvectl dns "$device" $servers; fi
"""


class ServersAreLost(FactBase[bool]):
    """Whether the resolver knows no server of the network's, though there were some before it was installed."""

    def command(self, own: Sequence[str]) -> str:
        patterns = " ".join(f"-e {shlex.quote(f'nameserver {address}')}" for address in own)
        return (
            f"[ -f {KNOWN} ] && ! grep '^nameserver' {KNOWN} | grep -qvxF {patterns}"
            f" && grep '^nameserver' {BEFORE} 2>/dev/null | grep -qv ' 127\\.'"
            " && ip -4 route show default | grep -q . && echo yes; true"
        )

    def process(self, output: list[str]) -> bool:
        return "yes" in output


@operation()
def _hand_over(own: Sequence[str]) -> Generator[str, None, None]:
    if host.get_fact(ServersAreLost, own=own):
        yield HAND_OVER


def resolvers(commune: Commune) -> list[str]:
    """The gateway's addresses inside the tunnel."""
    return [str(address) for address in (commune.gateway_address(), commune.gateway_address6()) if address]


def configuration(commune: Commune) -> str:
    """resolved.conf of a laptop: in full mode every name is asked for through the tunnel."""
    full = commune.network.mode is Mode.FULL
    return render("resolved/telekit.conf.j2", full=full, resolvers=resolvers(commune), domain=commune.domain)


def network_servers(commune: Commune) -> str:
    """The script that writes the network's own servers to NETWORK."""
    return render("endpoint/network-servers.sh.j2", resolvers=resolvers(commune), known=KNOWN, servers=NETWORK)


def resolver(commune: Commune) -> None:
    """Have names asked for where the town hall wants them asked for."""
    text = configuration(commune)
    text_file("Write the resolver's settings", CONFIGURATION, text)
    text_file("Write how ISC's DHCP client tells the resolver", DHCLIENT, render("resolved/dhclient.sh.j2"))
    run(name="Run the resolver", unit="systemd-resolved.service", files={CONFIGURATION: text})
    text_file("Write how the network's servers are found", SCRIPT, network_servers(commune), mode="755")
    _hand_over(name="Tell the resolver the network's servers", own=resolvers(commune))
