"""One cgroup a machine, on version 1, version 2 and under systemd: to boot it, to count its memory, to end what it left."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

# What systemd inside a machine needs (the named hierarchy, or version 2) and what the lab reads or limits.
WANTED = {"name=systemd", "memory", "cpuacct", "pids"}


def hierarchies() -> list[Path]:
    """The mounted cgroup trees in which a machine needs a group of its own."""
    return hierarchies_in(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))


def hierarchies_in(mountinfo: str) -> list[Path]:
    """The same, of a computer whose /proc/self/mountinfo says this."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        mount = Path(before.split()[4])
        if kind == "cgroup2" or (kind == "cgroup" and WANTED & set(options.replace(" ", ",").split(","))):
            found.append(mount)
    return list(dict.fromkeys(found))


def own_groups(name: str) -> list[Path]:
    """The lab's group in each tree: under a scope of systemd's where it rules the tree, else at the top."""
    groups = []
    for mount in hierarchies():
        scope = _scope(mount, f"{name}.scope")
        groups.append(scope or mount / name)
    return groups


def _scope(mount: Path, unit: str) -> Path | None:
    """Where systemd keeps the lab's scope in this tree, if it does."""
    if not Path("/run/systemd/system").is_dir():
        return None
    for slice_ in ("system.slice", "."):
        if (mount / slice_ / unit).is_dir():
            return mount / slice_ / unit
    return None


def make(name: str, child: str) -> list[Path]:
    """A group for one machine in each tree; the list of them."""
    groups = [group / child for group in own_groups(name)]
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    return groups


def settle(name: str) -> None:
    """Move this process into the lab's groups, and have version 2 count the memory of each group beside it."""
    for group in make(name, "daemon"):
        with suppress(OSError):
            (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        # Version 2 alone has this file, and takes it only from a group whose processes are all in groups below it.
        if (control := group.parent / "cgroup.subtree_control").exists():
            with suppress(OSError):
                control.write_text("+memory", encoding="ascii")


def memory(groups: list[Path]) -> int:
    """Bytes of memory that the group holds; 0 where the kernel does not say."""
    for group in groups:
        for file in ("memory.current", "memory.usage_in_bytes"):
            try:
                return int((group / file).read_text(encoding="ascii"))
            except (OSError, ValueError):
                continue
    return 0


def clear(name: str) -> None:
    """End whatever still lives in the lab's groups and remove them, deepest first."""
    empty(own_groups(name))


def empty(groups: list[Path]) -> None:
    """End whatever still lives in these groups and remove them, deepest first."""
    deadline = time.monotonic() + 10
    for top in groups:
        while top.is_dir() and not _removed(top) and time.monotonic() < deadline:
            time.sleep(0.02)


def _removed(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        for pid in _members(Path(folder)):
            if pid != os.getpid():
                _kill(pid)
        with suppress(OSError):
            Path(folder).rmdir()
    return not top.is_dir()


def _members(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def enclosure(name: str) -> list[str]:
    """The words before a command that must run in a group of its own: a scope, delegated, where systemd rules."""
    if not Path("/run/systemd/system").is_dir():
        return []
    return ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={name}", "--property=Delegate=yes", "--"]
