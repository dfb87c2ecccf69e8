"""Debian packages: what is missing is installed, from package lists that are fresh enough."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

# Configuration files that telekit owns stay as they are, and a run of the machine's own updates is waited for.
APT = (
    "DEBIAN_FRONTEND=noninteractive apt-get -q -y"
    " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300"
)
DAY = 86400


@dataclass(frozen=True, slots=True)
class Packages:
    """Those that are not installed, and the age of the package lists in seconds."""

    missing: tuple[str, ...]
    age: int


class PackageState(FactBase[Packages]):
    """Which of the named packages are missing: one short answer, where the list of all packages is long."""

    def command(self, packages: Sequence[str]) -> str:
        self.wanted = tuple(packages)
        names = shlex.join(packages)
        return (
            f"dpkg-query --showformat '${{Package}} ${{db:Status-Status}}\\n' --show {names} 2>/dev/null;"
            ' echo "lists $(( $(date +%s) - $(stat -c %Y /var/lib/apt/lists) ))"'
        )

    def process(self, output: list[str]) -> Packages:
        words = [line.split() for line in output]
        there = {first for first, *rest in words if rest == ["installed"]}
        age = next((int(rest[0]) for first, *rest in words if first == "lists"), DAY + 1)
        return Packages(tuple(name for name in self.wanted if name not in there), age)


@operation()
def install(packages: Sequence[str], *, recommends: bool = False) -> Generator[str, None, None]:
    """Have every named package installed; package lists are fetched only for that, when they are old or do not do."""
    found = host.get_fact(PackageState, packages=list(packages))
    if not found.missing:
        host.noop("every package is installed")
        return
    flag = "--install-recommends" if recommends else "--no-install-recommends"
    get = f"{APT} install {flag} {shlex.join(found.missing)}"
    if found.age > DAY:
        yield f"{APT} update"
        yield get
    else:
        yield f"{get} || {{ {APT} update && {get}; }}"
