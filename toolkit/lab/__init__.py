"""The embedded test town: real Debian machines on this computer, in networks of their own.

`create(name, inventory).up()` builds one; see `provider.Lab` for what it can do.
"""

from __future__ import annotations

import json
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.lab.places import RUNTIME, Places
from toolkit.lab.provider import Lab, LabMachine, LabStatus, MachineStatus, Vantage

__all__ = ["Lab", "LabMachine", "LabStatus", "MachineStatus", "Vantage", "create", "standing"]

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
    return _written(places.town).get("provider", "")


def standing(folder: Path) -> Lab | None:
    """The lab that was built from this inventory, when one is up here.

    Other labs are passed over unread: they may be of another version of telekit, or about to come or go.
    """
    for town in sorted(RUNTIME.glob("*/town.json")):
        if _written(town).get("inventory") == str(folder.resolve()):
            lab = create(town.parent.name)
            if lab.status().up:
                return lab
    return None


def _written(town: Path) -> dict[str, str]:
    """The words that a lab's description has for what it is; none, where it cannot be read."""
    try:
        found = json.loads(town.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
