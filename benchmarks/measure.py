"""Run a command and say what it cost this computer's client side: wall time, processor time, memory, of it and its children."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks import ROOT

# How often the memory of a process and its children is read; reading it costs processor time itself.
SAMPLE_SECONDS = 0.5


class ToolFailedError(RuntimeError):
    """A tool did not do what it was asked, so its time means nothing."""


class CommandFailedError(ToolFailedError):
    """A command of the benchmark ended with an error, so its time means nothing."""


@dataclass(frozen=True)
class Cost:
    """seconds: wall; cpu: user and system, of the process and its children; memory: their peak together, in bytes, if asked."""

    seconds: float
    cpu: float
    memory: int
    stdout: str
    stderr: str = ""


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    memory: bool = False,
    timeout: float = 3600,
    codes: Sequence[int] = (0,),
) -> Cost:
    """Run a command to its end, with an environment of ours alone."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env={**_base(), **(env or {})},
        )
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        watch = _Watch(process.pid, sampling=memory)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        killer.cancel()
        process.returncode = code = os.waitstatus_to_exitcode(status)
        peak = max(watch.end(), usage.ru_maxrss * 1024)
        stdout, stderr = (_text(file) for file in (out, err))
    if code not in codes:
        # Its first line goes onto the page, which is no place for this computer's paths.
        told = f"{Path(command[0]).name} ended with {code}\n{' '.join(map(str, command))}"
        raise CommandFailedError(f"{told}\n{stdout[-3000:]}\n{stderr[-3000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak, stdout, stderr)


def _base() -> dict[str, str]:
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.environ["HOME"], "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class _Watch:
    """Reads the memory of a process and its descendants now and then."""

    def __init__(self, pid: int, *, sampling: bool) -> None:
        self.pid, self.peak = pid, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        if sampling:
            self.thread.start()

    def _sample(self) -> None:
        while not self.over.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(_proportional(pid) for pid in _tree(self.pid)))

    def end(self) -> int:
        self.over.set()
        if self.thread.is_alive():
            self.thread.join()
        return self.peak


def _tree(pid: int) -> list[int]:
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _proportional(pid: int) -> int:
    """Its share of memory, pages that several processes use being divided among them."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
