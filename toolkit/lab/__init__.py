"""The embedded test town: real Debian machines on this computer, in networks of their own.

`create(name, inventory).up()` builds one; see `provider.Lab` for what it can do.
"""

from __future__ import annotations

import json
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.lab.places import Places
from toolkit.lab.provider import Lab, LabMachine, LabStatus, MachineStatus, Vantage

__all__ = ["Lab", "LabMachine", "LabStatus", "MachineStatus", "Vantage", "create"]

PROVIDERS = ("nspawn", "vagrant")


def create(name: str = "lab", inventory: Path | None = None, provider: str = "") -> Lab:
    """The lab called `name`, up or not; `inventory`: the commune's folder, needed only for a lab that is not up.

    provider: what its machines are to be; unless it is given, what they are in the lab that is up, else nspawn.
    """
    match provider or provider_of(Places(name)) or "nspawn":
        case "nspawn":
            from toolkit.lab.nspawn import NspawnLab

            return NspawnLab(name, inventory)
        case "vagrant":
            from toolkit.lab.vagrant import VagrantLab

            return VagrantLab(name, inventory)
        case other:
            raise UsageError(f"there is no lab provider `{other}`", hint=" or ".join(PROVIDERS))


def provider_of(places: Places) -> str:
    """What the machines of the lab are that stands there, or stood until it was killed; "": there is none."""
    try:
        return str(json.loads(places.town.read_text(encoding="utf-8")).get("provider", ""))
    except (FileNotFoundError, ValueError):
        return ""
