"""The embedded test town: real Debian machines on this computer, in networks of their own.

`create(name, inventory).up()` builds one; see `provider.Lab` for what it can do.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import UsageError
from toolkit.lab.provider import Lab, LabMachine, LabStatus, MachineStatus, Vantage

__all__ = ["Lab", "LabMachine", "LabStatus", "MachineStatus", "Vantage", "create"]


def create(name: str = "lab", inventory: Path | None = None, provider: str = "nspawn") -> Lab:
    """The lab called `name`, up or not; `inventory`: the commune's folder, needed only for a lab that is not up."""
    if provider == "nspawn":
        from toolkit.lab.nspawn import NspawnLab

        return NspawnLab(name, inventory)
    raise UsageError(f"there is no lab provider `{provider}`", hint="nspawn")
