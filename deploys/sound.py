"""Sound over the remote desktop, where Debian offers it."""

from __future__ import annotations

from pyinfra.context import host

from deploys.offered import Offered

MODULE = "pipewire-module-xrdp"
PACKAGES = (MODULE, "pipewire-pulse", "wireplumber", "xfce4-pulseaudio-plugin")


def sound_packages() -> tuple[str, ...]:
    """What lets the agent hear the desktop: from Debian 13 on, PipeWire has a module for xrdp."""
    return PACKAGES if host.get_fact(Offered, packages=[MODULE]) else ()
