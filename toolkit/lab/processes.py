"""Processes that outlive the command that started them, known by identifier and start time, never by name."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of this boot: an identifier that was reused since has another start time."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process as it is now; None when there is none, or only its remains."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()
        return None if fields[0] == "Z" else cls(pid, int(fields[19]), _boot())

    @classmethod
    def load(cls, path: Path) -> Process | None:
        """The recorded process if it still runs."""
        try:
            process = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return process if process.alive else None

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(vars(self)), encoding="utf-8")
        temporary.replace(path)

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def end(self, *, patience: float = 5.0) -> None:
        """Ask it to end, and after `patience` seconds make it."""
        for sent, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            if not self._signal(sent):
                return
            deadline = time.monotonic() + seconds
            while self.alive and time.monotonic() < deadline:
                time.sleep(0.02)

    def _signal(self, number: signal.Signals) -> bool:
        """Send through a descriptor of the process, which cannot come to mean another one in between."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
