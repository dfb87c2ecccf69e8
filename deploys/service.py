"""Services: enabled, running, and running with the configuration that is on the disk."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

UNITS = "/etc/systemd/system/"
STARTED_AT_BOOT = ("enabled", "static", "indirect", "generated", "alias")


@dataclass(slots=True)
class Unit:
    """A systemd unit as it is: `changed` and each file's time are seconds since the epoch, `digests` are SHA-256."""

    state: str = "inactive"
    enabled: str = ""
    stale_unit: bool = False
    changed: float = 0.0
    digests: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    def runs_with(self, files: Mapping[str, str]) -> bool:
        """Whether it was (re)started or reloaded after every file had the wanted text."""
        wanted = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
        return self.digests == wanted and not self.stale_unit and all(time <= self.changed for time in self.times.values())


class UnitState(FactBase[Unit]):
    """A unit's state, and the digests and times of the files it reads."""

    def command(self, unit: str, files: Sequence[str]) -> str:
        show = "systemctl show --timestamp=us+utc -p ActiveState -p UnitFileState -p NeedDaemonReload -p StateChangeTimestamp"
        each = (
            f'for f in {shlex.join(files)}; do [ -f "$f" ] && echo "file $(stat -c %.6Y "$f") $(sha256sum < "$f") $f"; done; '
            if files
            else ""
        )
        return f"{show} {shlex.quote(unit)}; {each}true"

    def process(self, output: list[str]) -> Unit:
        unit = Unit()
        for line in output:
            if line.startswith("file "):
                _, time, digest, _, path = line.split(maxsplit=4)
                unit.times[path], unit.digests[path] = float(time.replace(",", ".")), digest
        shown = dict(line.split("=", 1) for line in output if "=" in line and not line.startswith("file "))
        unit.state, unit.enabled = shown.get("ActiveState", "inactive"), shown.get("UnitFileState", "")
        unit.stale_unit = shown.get("NeedDaemonReload") == "yes"
        unit.changed = _seconds(shown.get("StateChangeTimestamp", ""))
        return unit


def _seconds(timestamp: str) -> float:
    """Seconds since the epoch of systemd's "Tue 2026-11-24 10:20:30.123456 UTC"; 0 when there is none."""
    if not timestamp:
        return 0.0
    return datetime.strptime(timestamp.split(maxsplit=1)[1], "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC).timestamp()


@operation()
def run(unit: str, files: Mapping[str, str] | None = None, check: str = "", how: str = "restart") -> Generator[str, None, None]:
    """Have `unit` enabled and running with `files` (path → text, written before by `files.put`).

    It is restarted (or what `how` says) when a file differs, or is newer than the unit's last start: also after a run of
    telekit that was killed between the two. check: a command that must accept the configuration first.
    """
    files = files or {}
    found = host.get_fact(UnitState, unit=unit, files=sorted(files))
    current = found.runs_with(files)
    if found.stale_unit or (not current and any(path.startswith(UNITS) for path in files)):
        yield "systemctl daemon-reload"
    if found.enabled.startswith("masked"):
        yield f"systemctl unmask --quiet {'--runtime ' if found.enabled == 'masked-runtime' else ''}{shlex.quote(unit)}"
    if found.enabled not in STARTED_AT_BOOT:
        yield f"systemctl enable --quiet {shlex.quote(unit)}"
    if found.state == "active" and current:
        return
    if check:
        yield check
    action = how if found.state == "active" else "restart"
    yield f"systemctl {action} {shlex.quote(unit)}"


@operation()
def stop(unit: str) -> Generator[str, None, None]:
    """Have `unit` neither running nor started at boot; a unit that is not there is fine."""
    found = host.get_fact(UnitState, unit=unit, files=[])
    if found.enabled == "enabled" or found.state in ("active", "activating"):
        yield f"systemctl disable --quiet --now {shlex.quote(unit)}"
