"""The laptop itself, in the hands of whoever holds it."""

from __future__ import annotations

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.subject import Subject


@check(
    Theme.BASELINE,
    "The screen locks itself, and the agent cannot change that",
    titre="L’écran se verrouille de lui-même, et l’agent ne peut pas l’empêcher",
    tried="asking {machine}, as the agent, when its screen locks, and changing it",
    expected="after [policy] lock_minutes of commune.toml, whatever the agent wishes",
    fix="telekit provision; xfce4-screensaver, or GNOME's own lock, must be installed",
)
def test_screen_locks_itself(subject: Subject) -> str:
    desktops = subject.run("command -v xfce4-session; command -v gnome-shell; true").stdout.split()
    if not desktops:
        raise NotCheckedError("no desktop environment is installed on it")
    minutes = subject.commune.policy.lock_minutes
    if desktops[0].endswith("gnome-shell"):
        script = f"cd /; runuser -u {subject.agent.identifier} -- sh -c 'dconf read /org/gnome/desktop/session/idle-delay; " \
            "dconf write /org/gnome/desktop/session/idle-delay \"uint32 0\" 2>&1'; true"  # fmt: skip
        said = subject.output(script)
        assert f"uint32 {minutes * 60}" in said, said.strip() or "it never locks"
        assert "writable" in said, "the agent can change it"
        return f"GNOME, after {minutes} minutes"
    if subject.run("command -v xfce4-screensaver").code != 0:
        return _light_locker(subject, minutes)
    policy = subject.output("cat /etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfce4-screensaver.xml")
    assert 'locked="*"' in policy, "the agent can change it"
    assert f'name="delay" type="int" value="{minutes}"' in policy, "it locks at another time"
    return f"XFCE, after {minutes} minutes"


def _light_locker(subject: Subject, minutes: int) -> str:
    """XFCE of Debian 12 has no screen saver of its own."""
    assert subject.run("command -v light-locker").code == 0, "neither xfce4-screensaver nor light-locker is installed"
    script = f"cd /; runuser -u {subject.agent.identifier} -- sh -c 'dconf read /apps/light-locker/lock-after-screensaver; " \
        "dconf write /apps/light-locker/lock-after-screensaver \"uint32 3600\" 2>&1'; true"  # fmt: skip
    said = subject.output(script)
    assert "uint32 0" in said, said.strip() or "it does not lock"
    assert "writable" in said, "the agent can change it"
    blank = subject.output("cat /etc/X11/xorg.conf.d/50-telekit-blank.conf")
    assert f'"BlankTime" "{minutes}"' in blank, "the screen goes black at another time"
    return f"XFCE with light-locker, after {minutes} minutes"
