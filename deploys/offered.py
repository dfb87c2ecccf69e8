"""What Debian offers on this machine: packages differ from one release to the next."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api.facts import FactBase


class Offered(FactBase[list[str]]):
    """Those of the named packages that the machine's package sources have, in the given order."""

    default = list

    def command(self, packages: Sequence[str]) -> str:
        self.wanted = tuple(packages)
        # policy, unlike pkgnames, does not count a name that others merely mention.
        return f"LC_ALL=C apt-cache policy {' '.join(packages)} 2>/dev/null"

    def process(self, output: list[str]) -> list[str]:
        found, name = set(), ""
        for line in output:
            if line and not line.startswith(" "):
                name = line.removesuffix(":")
            elif line.startswith("  Candidate:") and "(none)" not in line:
                found.add(name)
        return [package for package in self.wanted if package in found]
