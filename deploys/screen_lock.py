"""The laptop locks itself when nobody is there, and the agent cannot change that."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from hashlib import sha256

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys.packages import APT
from deploys.template import render
from deploys.text import text_file
from toolkit.model import Policy

XFCE = "/etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfce4-screensaver.xml"
# What it is → file and template.
DCONF = {
    "profile": ("/etc/dconf/profile/user", "dconf/profile.j2"),
    "lock": ("/etc/dconf/db/telekit.d/00-lock", "dconf/lock.j2"),
    "lock's lock": ("/etc/dconf/db/telekit.d/locks/00-lock", "dconf/locks.j2"),
}
COMPILED = "/etc/dconf/db/telekit"


class LockState(FactBase[list[str]]):
    """Words for what is still to do: "xfce" has a session without our screen saver, "gnome" settings that are not compiled."""

    default = list

    def command(self, digests: Mapping[str, str]) -> str:
        checks = "".join(
            f" {{ [ {COMPILED} -nt {path} ] && echo '{digest}  {path}' | sha256sum --check --status; }} || echo gnome;"
            for path, digest in digests.items()
        )
        return (
            "if command -v xfce4-session > /dev/null; then"
            " { command -v xfce4-screensaver > /dev/null && ! command -v light-locker > /dev/null; } || echo xfce; fi;"
            f" if command -v dconf > /dev/null; then{checks} fi 2>/dev/null; true"
        )

    def process(self, output: list[str]) -> list[str]:
        return output


@operation()
def _lock_screens(settings: Mapping[str, str]) -> Generator[str, None, None]:
    digests = {path: sha256(text.encode()).hexdigest() for path, text in settings.items() if path.startswith(COMPILED)}
    missing = host.get_fact(LockState, digests=digests)
    if "xfce" in missing:
        # light-locker would lock a second time, by rules of its own; the minus removes it.
        yield f"{APT} install --no-install-recommends xfce4-screensaver light-locker-"
    if "gnome" in missing:
        yield f"dconf update && touch {COMPILED}"


def screen_lock(policy: Policy) -> None:
    """Lock the session, whichever of XFCE and GNOME the laptop has, after the town hall's delay."""
    text_file("Write XFCE's lock", XFCE, render("xfce/xfce4-screensaver.xml.j2", minutes=policy.lock_minutes))
    settings = {path: render(template, minutes=policy.lock_minutes) for path, template in DCONF.values()}
    for what, (path, _) in DCONF.items():
        text_file(f"Write GNOME's {what}", path, settings[path])
    _lock_screens(name="Lock screens that nobody looks at", settings=settings)
