"""The gateway: ends the tunnels, and decides packet by packet who may go where."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from io import StringIO

from pyinfra.api.deploy import deploy
from pyinfra.context import host
from pyinfra.facts.files import File
from pyinfra.operations import files

from deploys import access, kernel, packages, preshared, service, succession, wireguard
from deploys.baseline import baseline
from deploys.firewall import firewall
from deploys.gateway_rules import ruleset, second_port
from deploys.secret import secret_file
from deploys.sshd import SshPorts
from deploys.template import render
from deploys.tunnel_record import tunnel_record
from deploys.wireguard import INTERFACE
from toolkit.model import NOT_INTERNET, Commune, Gateway, Secret

WG0 = f"/etc/wireguard/{INTERFACE}.conf"
UNBOUND = "/etc/unbound/unbound.conf.d/telekit.conf"


@deploy("enrol")
def enrol() -> None:
    """Make the gateway's own key; its public half is left in the enrolment file. host.data.escrow: the key it had before."""
    packages.install(name="Install WireGuard's tools", packages=["wireguard-tools"])
    escrow: Secret | None = host.data.get("escrow")
    # Rebuilt, it goes on under the key that every laptop knows. One that is there already is never written over.
    if escrow is not None and host.get_fact(File, path=wireguard.PRIVATE_KEY) is None:
        files.directory(name="Have a place for the gateway's key", path="/etc/wireguard", user="root", group="root", mode="700")
        secret_file(name="Give the gateway its key back", dest=wireguard.PRIVATE_KEY, content=Secret(f"{escrow.reveal()}\n"))
    wireguard.key_pair(name="Make the tunnel's key")


@deploy("gateway")
def gateway() -> None:
    """Turn a Debian server into the commune's gateway."""
    me: Gateway = host.data.machine
    commune: Commune = host.data.commune

    baseline(packages_of_role=packages_needed())

    keys = preshared.shared_keys(commune, host.data.get("preshared") or {}, host.data.get("preshared_next") or {})
    preshared.write_peers(keys)
    successor: Secret | None = host.data.get("successor")
    if me.next_key is None:
        succession.one_key(me, successor)
    # The firewall first: nothing is forwarded before the rules that limit it are there.
    ssh_ports = host.get_fact(SshPorts)
    access.write_schedule(commune)
    firewall(ruleset(commune, ssh_ports), further=f"{access.PROGRAM} elements")
    kernel.settings(name="Forward between tunnel and town hall", file="61-telekit-gateway.conf", values=forwarding(commune))

    files.put(name=f"Write {INTERFACE}.conf", src=StringIO(tunnel_configuration(me, commune)), dest=WG0, mode="600")
    wireguard.run_interface(
        name=f"Run {INTERFACE}",
        interface=INTERFACE,
        wanted=tunnel_interface(me, commune, keys),
        shared=preshared.ALL,
        program=preshared.PEERS,
    )
    if me.next_key is not None and successor is not None:
        succession.two_keys(successor, second_configuration(me, commune), second_interface(me, commune, keys))
    tunnel_record(INTERFACE, commune)

    # On a machine with resolvconf, the package would make this resolver the gateway's own, on an address that it does not use.
    mask = "/etc/systemd/system/unbound-resolvconf.service"
    files.link(name="Keep the gateway's own resolver", path=mask, target="/dev/null", force=True)
    resolver = resolver_configuration(commune)
    files.put(name="Write the tunnel's resolver", src=StringIO(resolver), dest=UNBOUND, mode="644")
    service.run(name="Run unbound", unit="unbound", files={UNBOUND: resolver}, check="unbound-checkconf > /dev/null")
    access.keep_schedule(commune, INTERFACE)


def packages_needed() -> list[str]:
    """WireGuard's engine as a program only where the kernel does not bring it."""
    engine = [] if host.get_fact(wireguard.KernelHasWireGuard) else ["wireguard-go"]
    return ["conntrack", "dns-root-data", "nftables", "unbound", "wireguard-tools", *engine]


def forwarding(commune: Commune) -> dict[str, str]:
    """IPv4, and IPv6 when the tunnel carries it; a default route that a router announces must then be asked for."""
    values = {"net.ipv4.ip_forward": "1"}
    if commune.network.tunnel6:
        values["net.ipv6.conf.all.forwarding"] = "1"
        for interface in host.get_fact(kernel.AnnouncedDefaultRoutes):
            values[f"net/ipv6/conf/{interface}/accept_ra"] = "2"
    return values


def _addresses(commune: Commune) -> list[str]:
    """The gateway's own tunnel addresses, with the length of their networks."""
    network, address6 = commune.network, commune.gateway_address6()
    found = [f"{commune.gateway_address()}/{network.tunnel.prefixlen}"]
    if network.tunnel6 and address6:
        found.append(f"{address6}/{network.tunnel6.prefixlen}")
    return found


def tunnel_configuration(me: Gateway, commune: Commune) -> str:
    """wg0.conf, without any secret."""
    return render(
        "wireguard/gateway.conf.j2",
        addresses=_addresses(commune),
        port=me.endpoint.port,
        mtu=commune.network.mtu,
        peers_program=preshared.PEERS,
        peers=access.lasting_peers(commune),
        carries6=commune.network.tunnel6 is not None,
    )


def second_configuration(me: Gateway, commune: Commune) -> str:
    """wg0-next.conf, of the interface that has the gateway's next key: without any secret, and without addresses."""
    return render(
        "wireguard/gateway.conf.j2",
        addresses=[],
        port=second_port(commune),
        mtu=commune.network.mtu,
        peers_program=preshared.PEERS,
        peers=access.lasting_peers(commune),
        carries6=commune.network.tunnel6 is not None,
    )


def second_interface(me: Gateway, commune: Commune, keys: Secret) -> wireguard.Interface:
    """wg0-next as it must run: with the peers of wg0."""
    return replace(tunnel_interface(me, commune, keys), addresses=frozenset(), port=second_port(commune))


def tunnel_interface(me: Gateway, commune: Commune, keys: Secret) -> wireguard.Interface:
    """wg0 as it must run, with the file of preshared keys that it follows."""
    carries6 = commune.network.tunnel6 is not None
    lasting = access.lasting_peers(commune)
    at_boot = {laptop.name for laptop in lasting}
    return wireguard.Interface(
        addresses=frozenset(_addresses(commune)),
        mtu=commune.network.mtu,
        port=me.endpoint.port,
        peers={
            laptop.public_key: frozenset(
                [f"{laptop.tunnel_address}/32"]
                + ([f"{laptop.tunnel_address6}/128"] if carries6 and laptop.tunnel_address6 else [])
            )
            for laptop in lasting
            if laptop.public_key
        },
        varying=frozenset(key for m in access.devices(commune) if m.name not in at_boot for key in m.keys),
        shared=sha256(keys.reveal().encode()).hexdigest(),
    )


def resolver_configuration(commune: Commune) -> str:
    """unbound for the tunnel and for nobody else."""
    network = commune.network
    return render(
        "unbound/telekit.conf.j2",
        addresses=[a for a in (commune.gateway_address(), commune.gateway_address6()) if a],
        tunnels=[n for n in (network.tunnel, network.tunnel6) if n],
        private=[n for n in (*NOT_INTERNET, *network.lan) if not n.is_multicast],
        zones=network.zones,
        servers=network.dns,
    )
