"""How this computer's own apt reaches Debian: which mirror, through which proxy, trusting whom."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass

DEBIAN = "http://deb.debian.org/debian/"
SECURITY = "http://deb.debian.org/debian-security/"
# What the machines' stock sources may ask for, and what both repositories may be called there.
ASKED = {"debian": (DEBIAN,), "security": (SECURITY, "http://security.debian.org/debian-security/")}
APT_HELPER = "/usr/lib/apt/apt-helper"


@dataclass(frozen=True)
class Mirror:
    """The addresses of both repositories, a proxy ("": none) and a file of certificate authorities ("": the system's)."""

    debian: str = DEBIAN
    security: str = SECURITY
    proxy: str = ""
    authorities: str = ""

    def cache_options(self) -> list[str]:
        """The lines that make apt-cacher-ng go the same way."""
        lines = []
        for name, asked in ASKED.items():
            base = getattr(self, name)
            if base != asked[0]:
                lines.append(f"Remap-{name}: {' '.join(asked)} ; {base}")
        if self.proxy:
            lines.append(f"Proxy: {self.proxy}")
        if self.authorities:
            lines.append(f"CAfile: {self.authorities}")
        return lines


def of_this_computer() -> Mirror:
    """The mirror that this computer's apt uses; Debian's own address where it is no Debian or uses none over HTTP."""
    debian, security = repositories(_said("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"))
    return Mirror(debian, security, _proxy(debian), _setting("Acquire::https::CaInfo"))


def repositories(targets: str) -> tuple[str, str]:
    """The first address over HTTP of Debian's archive and of its security archive, in lines "origin label address"."""
    found = {"Debian": DEBIAN, "Debian-Security": SECURITY}
    for origin, label, base in reversed([line.split() for line in targets.splitlines() if line.count(" ") == 2]):
        if origin == "Debian" and label in found and base.startswith(("http://", "https://")):
            found[label] = base.rstrip("/") + "/"
    return found["Debian"], found["Debian-Security"]


def _proxy(url: str) -> str:
    """As apt decides it: for this server, found by a command, for all servers, from the environment."""
    kind = url.partition(":")[0]
    specific = re.search(r"proxy '(.*)' for URL", _said(APT_HELPER, "auto-detect-proxy", url))
    found = (specific and specific[1]) or _setting(f"Acquire::{kind}::Proxy") or os.environ.get(f"{kind}_proxy", "")
    return "" if found.upper() == "DIRECT" else found


def _setting(key: str) -> str:
    """One setting of apt's; "" when it is not set."""
    words = shlex.split(_said("apt-config", "shell", "VALUE", key))
    return words[0].removeprefix("VALUE=") if words else ""


def _said(*command: str) -> str:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        return ""
    return done.stdout
