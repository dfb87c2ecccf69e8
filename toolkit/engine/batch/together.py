"""What machines that are worked on side by side have to agree on."""

from __future__ import annotations

from gevent.lock import BoundedSemaphore


class Together:
    """Operations that only one machine may run (`_run_once`), and those that machines run one after the other (`_serial`)."""

    def __init__(self) -> None:
        self.in_turn = BoundedSemaphore(1)
        self._owners: dict[str, str] = {}

    def owns(self, machine: str, operation: str) -> bool:
        """Whether the machine is the one for the operation: the first that asks is, for good."""
        return self._owners.setdefault(operation, machine) == machine
