"""What every machine of a town hall has, whatever its role."""

from __future__ import annotations

from pyinfra.api.deploy import deploy


@deploy("baseline")
def baseline() -> None:
    """Make the machine safe to administer: SSH with keys only, time, updates, a journal that is kept, network settings."""
