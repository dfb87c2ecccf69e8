"""The machine's clock: chrony, on real machines and in containers that may not set it."""

from __future__ import annotations

from io import StringIO

from pyinfra.api.facts import FactBase
from pyinfra.context import host
from pyinfra.operations import files

from deploys import service
from deploys.template import MANAGED, render
from toolkit.model import Address, Commune, Machine, Network, Role

CONFIGURATION = "/etc/chrony/chrony.conf"
# The container's host keeps the time there; chrony then only measures it, and serves it.
WITHOUT_SETTING = f"""\
# {MANAGED}
[Unit]
ConditionCapability=

[Service]
ExecStart=
ExecStart=!/usr/sbin/chronyd $DAEMON_OPTS -x
"""
WITHOUT_SETTING_FILE = "/etc/systemd/system/chrony.service.d/telekit.conf"
CAP_SYS_TIME = 25


class ClockCanBeSet(FactBase[bool]):
    """Whether the kernel lets this machine set its clock: most containers may not."""

    def command(self) -> str:
        return "sed -n 's/^CapBnd:[[:space:]]*//p' /proc/1/status"

    def process(self, output: list[str]) -> bool:
        return not output or bool(int(output[0], 16) >> CAP_SYS_TIME & 1)


def configuration(me: Machine, commune: Commune) -> str:
    """chrony.conf: laptops ask the gateway, which serves the tunnel; the others ask the town hall's servers or Debian's."""
    network = commune.network
    servers: tuple[str | Address, ...] = network.ntp
    serves: tuple[Network | None, ...] = ()
    if me.role == Role.LAPTOP:
        servers = (commune.gateway_address(),)
    elif me.role == Role.GATEWAY:
        serves = (network.tunnel, network.tunnel6)
    # A server that is silent is asked ever more rarely, at last every 17 minutes, and the clock is set when it has answered some
    # four times. Without a tunnel the gateway is silent.
    return render(
        "chrony/chrony.conf.j2", servers=servers, serves=[n for n in serves if n], through_tunnel=me.role == Role.LAPTOP
    )


def clock(me: Machine, commune: Commune) -> None:
    """Have chrony keep the time, and on the gateway serve it to the tunnel."""
    chrony = {CONFIGURATION: configuration(me, commune)}
    files.put(name="Write chrony.conf", src=StringIO(chrony[CONFIGURATION]), dest=CONFIGURATION, mode="644")
    if not host.get_fact(ClockCanBeSet):
        chrony[WITHOUT_SETTING_FILE] = WITHOUT_SETTING
        files.put(name="Let chrony run in a container", src=StringIO(WITHOUT_SETTING), dest=WITHOUT_SETTING_FILE, mode="644")
    service.run(name="Run chrony", unit="chrony", files=chrony)
