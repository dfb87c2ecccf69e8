"""The gateway's record of tunnels opened and closed: device, time, public endpoint; for the administrator only."""

from __future__ import annotations

from io import StringIO

from pyinfra.operations import files

from deploys import access, service
from deploys.template import render
from toolkit.model import Commune

PROGRAM = "/usr/local/lib/telekit/tunnel-record"
RECORD = "/var/log/telekit"
NAMES = "/etc/telekit/tunnels"
UNIT = "/etc/systemd/system/telekit-tunnel-record.service"


def device_names(commune: Commune) -> str:
    """Lines "public key, space, device" for the program; they change without a restart of it."""
    return render("wireguard/tunnel-names.j2", peers=access.devices(commune))


def unit(interface: str, commune: Commune) -> str:
    """The program's systemd unit."""
    months = commune.policy.journal_months
    return render("wireguard/tunnel-record.service.j2", program=PROGRAM, interface=interface, names=NAMES, months=months)


def tunnel_record(interface: str, commune: Commune) -> None:
    """Have the program running that keeps the record."""
    files.directory(name="Keep the record of tunnels to the administrator", path=RECORD, user="root", group="root", mode="700")
    texts = {PROGRAM: render("wireguard/tunnel_record.py"), UNIT: unit(interface, commune)}
    files.put(name="Write the names of the tunnels", src=StringIO(device_names(commune)), dest=NAMES, mode="600")
    files.put(name="Write the program that records tunnels", src=StringIO(texts[PROGRAM]), dest=PROGRAM, mode="755")
    files.put(name="Write the record's unit", src=StringIO(texts[UNIT]), dest=UNIT, mode="644")
    service.run(name="Record tunnels", unit="telekit-tunnel-record", files=texts)
