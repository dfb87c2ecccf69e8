"""Sound over the remote desktop, where Debian offers it."""

from __future__ import annotations

from pyinfra.api.facts import FactBase
from pyinfra.context import host

from deploys.packages import install

MODULE = "pipewire-module-xrdp"
PACKAGES = (MODULE, "pipewire-pulse", "wireplumber", "xfce4-pulseaudio-plugin")


class IsOffered(FactBase[bool]):
    """Whether the machine's package sources have the named package."""

    def command(self, package: str) -> str:
        return f"apt-cache --quiet pkgnames {package} 2>/dev/null | grep -qx {package} && echo yes; true"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


def sound() -> None:
    """Let the agent hear the desktop: from Debian 13 on, PipeWire has a module for xrdp."""
    if host.get_fact(IsOffered, package=MODULE):
        install(name="Install sound", packages=PACKAGES)
