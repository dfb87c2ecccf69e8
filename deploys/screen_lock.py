"""The laptop locks itself when nobody is there, and the agent cannot change that."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from hashlib import sha256

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys.offered import Offered
from deploys.packages import APT
from deploys.template import render
from deploys.text import text_file
from toolkit.model import Policy

COMPILED = "/etc/dconf/db/telekit"
# What it is → file and template.
SETTINGS = {
    "XFCE's lock": ("/etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfce4-screensaver.xml", "xfce/xfce4-screensaver.xml.j2"),
    "when the screen goes black": ("/etc/X11/xorg.conf.d/50-telekit-blank.conf", "xorg/blank.conf.j2"),
    "dconf's profile": ("/etc/dconf/profile/user", "dconf/profile.j2"),
    "GNOME's lock": (f"{COMPILED}.d/00-lock", "dconf/lock.j2"),
    "what GNOME's users cannot change": (f"{COMPILED}.d/locks/00-lock", "dconf/locks.j2"),
}
PROGRAMS = ("xfce4-session", "xfce4-screensaver", "light-locker", "dconf")


class LockState(FactBase[list[str]]):
    """Which of PROGRAMS are there; "compiled" if dconf knows the settings with these digests (file → SHA-256)."""

    default = list

    def command(self, digests: Mapping[str, str]) -> str:
        present = f"for p in {' '.join(PROGRAMS)}; do command -v $p > /dev/null && echo $p; done"
        same = " && ".join(
            f"[ {COMPILED} -nt {path} ] && echo '{digest}  {path}' | sha256sum --check --status 2> /dev/null"
            for path, digest in digests.items()
        )
        return f"{present}; {same} && echo compiled; true"

    def process(self, output: list[str]) -> list[str]:
        return output


@operation()
def _lock_screens(settings: Mapping[str, str]) -> Generator[str, None, None]:
    digests = {path: sha256(text.encode()).hexdigest() for path, text in settings.items() if path.startswith(COMPILED)}
    present = host.get_fact(LockState, digests=digests)
    if "xfce4-session" in present:
        yield from _install_for_xfce(present)
    if "dconf" in present and "compiled" not in present:
        yield f"dconf update && touch {COMPILED}"


def _install_for_xfce(present: list[str]) -> Generator[str, None, None]:
    """XFCE's own screen saver; Debian 12 has none, and light-locker there takes its settings from dconf."""
    if host.get_fact(Offered, packages=["xfce4-screensaver"]):
        if "xfce4-screensaver" not in present or "light-locker" in present:
            # light-locker would lock a second time, by rules of its own; the minus removes it.
            yield f"{APT} install --no-install-recommends xfce4-screensaver light-locker-"
    elif not {"light-locker", "dconf"} <= set(present):
        yield f"{APT} install --no-install-recommends light-locker dconf-cli && dconf update && touch {COMPILED}"


def screen_lock(policy: Policy) -> None:
    """Lock the session, whichever of XFCE and GNOME the laptop has, after the town hall's delay."""
    settings = {path: render(template, minutes=policy.lock_minutes) for path, template in SETTINGS.values()}
    for what, (path, _) in SETTINGS.items():
        text_file(f"Write {what}", path, settings[path])
    _lock_screens(name="Lock screens that nobody looks at", settings=settings)
