"""Kernel settings: written for every boot, and set now where they differ."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import StringIO

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.operations import files

from deploys.template import MANAGED

# In a container /proc/sys is read-only as a whole, and systemd then sets nothing at boot, not even what could be set.
CONTAINER = f"""\
# {MANAGED}
[Unit]
ConditionPathIsReadWrite=
ConditionPathIsReadWrite=/proc/sys/net/
"""
CONTAINER_FILE = "/etc/systemd/system/systemd-sysctl.service.d/telekit.conf"
WHOLE = "/proc/sys/kernel/hostname"


@dataclass(frozen=True, slots=True)
class Kernel:
    """The settings that this machine may set: path → value; `whole`: whether it may write all of /proc/sys."""

    values: Mapping[str, str]
    whole: bool

    def of(self, key: str) -> dict[str, str]:
        """The values of a key, which may hold a `*` for every network interface."""
        return {path: value for path, value in self.values.items() if fnmatchcase(path, _path(key))}


class KernelSettings(FactBase[Kernel]):
    """What the kernel has of the named settings: a container can set only some of them."""

    @staticmethod
    def default() -> Kernel:
        return Kernel({}, whole=False)

    def command(self, keys: Sequence[str]) -> str:
        paths = " ".join([WHOLE, *map(_path, keys)])
        show = r'printf "%s " "$f"; tr -s "\t" " " < "$f"'
        return f'for f in {paths}; do if [ -w "$f" ]; then {show}; fi; done'

    def process(self, output: list[str]) -> Kernel:
        found = dict(line.split(" ", 1) for line in output if " " in line)
        whole = found.pop(WHOLE, None) is not None
        return Kernel({path: value.strip() for path, value in found.items()}, whole)


class AnnouncedDefaultRoutes(FactBase[tuple[str, ...]]):
    """The interfaces whose IPv6 default route a router announced: a kernel that forwards forgets them unless told otherwise."""

    @staticmethod
    def default() -> tuple[str, ...]:
        return ()

    def command(self) -> str:
        return "ip -6 route show default proto ra 2>/dev/null | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p' | sort -u"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(output)


def _path(key: str) -> str:
    """sysctl's own rule: a key with slashes keeps its dots, for interfaces like eth0.100."""
    return "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))


@operation()
def settings(file: str, values: Mapping[str, str]) -> Generator[PyinfraCommand | str, None, None]:
    """Have these kernel settings, now and (from /etc/sysctl.d/`file`) at every boot, as far as this machine may set them."""
    found = host.get_fact(KernelSettings, keys=sorted(values))
    settable = {key: value for key, value in values.items() if found.of(key)}
    text = f"# {MANAGED}\n" + "".join(f"{key} = {value}\n" for key, value in settable.items())
    yield from files.put._inner(src=StringIO(text), dest=f"/etc/sysctl.d/{file}", mode="644")
    if not found.whole:
        yield from files.put._inner(src=StringIO(CONTAINER), dest=CONTAINER_FILE, mode="644")
    wrong = [(path, value) for key, value in settable.items() for path, now in found.of(key).items() if now != value]
    if wrong:
        yield "; ".join(["set -e", *(f"echo {shlex.quote(value)} > {shlex.quote(path)}" for path, value in wrong)])
