"""A town at work while keys change in it: what its machines say, what telekit keeps of them, and a download that goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from toolkit.secrets import Vault, identities_for

GATEWAY = "gw-mairie"
FOLLOW = """exec 3<>/dev/tcp/10.77.1.12/443; printf 'GET /count HTTP/1.0\\r\\n\\r\\n' >&3; exec cat <&3"""


def shell(town, script: str, place: str = GATEWAY, timeout: float = 60) -> str:
    """What a script says on a machine, all of it."""
    done = town.lab.machine(place).run(["bash", "-c", f"cd /; {script}"], timeout=timeout)
    return (done.stdout + done.stderr).strip()


def until(condition: Callable[[], bool], seconds: float = 40) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


def works(town, laptop: str) -> bool:
    """Whether a laptop reaches an application through the tunnel."""
    return shell(town, "timeout 2 bash -c 'exec 3<>/dev/tcp/10.77.1.12/443' 2>/dev/null && echo open", laptop) == "open"


def vault(town) -> Vault:
    """The town's secrets."""
    return Vault.open(town.inventory, (), identities_for(town.inventory, None))


def book(town) -> dict:
    """The town's ledger, as it is written."""
    return json.loads((town.inventory / "ledger.json").read_text(encoding="utf-8"))


class Stream:
    """An endless download on a laptop, whose lines are numbered."""

    def __init__(self, town, machine: str) -> None:
        self.process = town.lab.machine(machine).popen(["bash", "-c", FOLLOW])
        self.numbers: list[int] = []
        self.last, self.gap = time.monotonic(), 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.strip().isdigit():
                now = time.monotonic()
                self.gap = max(self.gap, now - self.last) if self.numbers else 0.0
                self.numbers.append(int(line))
                self.last = now

    @property
    def whole(self) -> bool:
        """Whether no line is missing."""
        return self.numbers == list(range(len(self.numbers)))

    def goes_on(self) -> bool:
        """Whether more lines come."""
        reached = len(self.numbers)
        return until(lambda: len(self.numbers) > reached + 3, 60)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
