"""The desktop at work: whose sessions it opens, what they look like, and what becomes of a leaver's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.at_work import until

pytestmark = pytest.mark.lab

DESKTOP, LAPTOP, AGENT = "bureau-finances-03", "portable-041", "m.durand"
# What the icon starts, on a screen that nobody sees; the password comes on standard input and stays there.
CONNECT = """\
size=$1; screen=$2
Xvfb $screen -screen 0 ${size}x24 -nolisten tcp > /dev/null 2>&1 &
trap "kill $! 2>/dev/null" EXIT
sleep 1
DISPLAY=$screen runuser -u m.durand -- /usr/local/bin/telekit-bureau --stdin
"""


def shell(town, script: str, place: str = DESKTOP, timeout: float = 60) -> str:
    done = town.lab.vantage(place).run(["bash", "-c", f"cd /; {script}"], timeout=timeout)
    return (done.stdout + done.stderr).strip()


def password(town) -> str:
    from toolkit.inventory import load
    from toolkit.secrets import Vault, identities_for

    operators = [operator.public_key for operator in load(town.inventory).commune.operators]
    vault = Vault.open(town.inventory, operators, identities_for(town.inventory, None))
    found = vault.get(f"password/{AGENT}")
    assert found is not None
    return found.reveal()


@contextmanager
def client(town, size: str = "1280x800", screen: str = ":83") -> Iterator[None]:
    """The agent's client, from the laptop through the tunnel, connected as long as the block lasts."""
    running = town.lab.machine(LAPTOP).popen(["bash", "-c", CONNECT, "bash", size, screen])
    try:
        running.stdin.write(f"{password(town)}\n".encode())
        running.stdin.close()
        yield
    finally:
        shell(town, f"pkill -u {AGENT} xfreerdp; pkill -f 'Xvfb {screen}'", place=LAPTOP)
        running.kill()
        running.wait()


def session(town) -> str:
    """The process that is the agent's session on the desktop, if there is one."""
    return shell(town, f"pgrep -u {AGENT} -x xfce4-session").split("\n")[0]


def log_out(town) -> None:
    shell(town, f"loginctl terminate-user {AGENT} 2>/dev/null")
    assert until(lambda: shell(town, f"pgrep -u {AGENT}") == "")


@pytest.fixture
def desktop(provisioned) -> Iterator:
    """The town, with no session of the agent's before and after."""
    log_out(provisioned)
    assert until(lambda: "0 s" not in shell(provisioned, "wg show wg0 latest-handshakes", place=LAPTOP))
    yield provisioned
    log_out(provisioned)


def test_the_session_is_in_french_on_a_french_keyboard_without_a_word_of_error(desktop) -> None:
    with client(desktop):
        assert until(lambda: session(desktop) != ""), "no session"
        assert until(lambda: "xfce4-panel" in shell(desktop, f"ps -o comm= -u {AGENT}"))
        environment = shell(desktop, f"tr '\\0' '\\n' < /proc/{session(desktop)}/environ")
        assert "LANG=fr_FR.UTF-8" in environment.splitlines()
        screen = next(line for line in environment.splitlines() if line.startswith("DISPLAY="))
        ask = f"runuser -u {AGENT} -- env {screen} XAUTHORITY=/home/{AGENT}/.Xauthority setxkbmap -query"
        # Xorg starts with a layout of its own, and has the town hall's once the connection is complete.
        assert until(lambda: "layout:     fr" in shell(desktop, ask), 10)
        assert "Bureau" in shell(desktop, f"ls /home/{AGENT}")
        assert shell(desktop, "date +%Z") in ("CET", "CEST")
        comm = shell(desktop, f"ps -o comm= -u {AGENT}").split()
        assert not {"xfce4-display-s", "polkit-mate-aut", "xfce4-screensav", "light-locker"} & set(comm)


def test_coming_back_with_another_screen_finds_the_same_session(desktop) -> None:
    with client(desktop, "1280x800"):
        assert until(lambda: session(desktop) != "")
        first = session(desktop)
        time.sleep(2)
    time.sleep(2)
    assert session(desktop) == first, "the session did not outlive its connection"
    with client(desktop, "1600x900", ":84"):
        assert until(lambda: ":3389" in shell(desktop, "ss -Hnt state established 'sport = :3389'"))
        time.sleep(3)
        assert shell(desktop, f"pgrep -u {AGENT} -x xfce4-session").split() == [first]


def test_an_agent_cannot_shut_the_desktop_down(desktop) -> None:
    with client(desktop):
        assert until(lambda: session(desktop) != "")
        keep = f"tr '\\0' '\\n' < /proc/{session(desktop)}/environ | grep -E '^(XDG_SESSION_ID|XDG_RUNTIME_DIR)='"
        refused = shell(desktop, f"runuser -u {AGENT} -- env $({keep}) systemctl poweroff").lower()
        assert "denied" in refused or "authentication" in refused
    assert shell(desktop, "echo here") == "here"


def test_an_agents_home_is_nobody_elses(desktop) -> None:
    assert shell(desktop, f"stat -c %U:%a /home/{AGENT}") == f"{AGENT}:700"
    assert "Permission denied" in shell(desktop, f"runuser -u nobody -- ls /home/{AGENT}")


def test_neither_the_administrator_nor_root_has_a_remote_desktop(desktop) -> None:
    assert "telekit-agents" not in shell(desktop, "id -nG telekit; id -nG root")
    assert shell(desktop, "grep -E '^(AlwaysGroupCheck|TerminalServerUsers|AllowRootLogin)' /etc/xrdp/sesman.ini").split() == [
        "AllowRootLogin=false", "TerminalServerUsers=telekit-agents", "AlwaysGroupCheck=true",
    ]  # fmt: skip


def test_another_policy_reaches_the_session_manager_without_ending_a_session(desktop) -> None:
    inventory = desktop.inventory / "commune.toml"
    before = inventory.read_text(encoding="utf-8")
    with client(desktop):
        assert until(lambda: session(desktop) != "")
        first = session(desktop)
        inventory.write_text(before + '\n[policy]\nclipboard = "none"\nidle_minutes = 30\n', encoding="utf-8")
        try:
            desktop.telekit("provision", "--yes", "--only", DESKTOP)
            assert "IdleTimeLimit=1800" in shell(desktop, "cat /etc/xrdp/sesman.ini")
            assert session(desktop) == first
            again = desktop.telekit("provision", "--yes", "--only", DESKTOP, "--json")
            assert all(machine["changes"] == [] for machine in json.loads(again.stdout)["machines"])
        finally:
            inventory.write_text(before, encoding="utf-8")
            desktop.telekit("provision", "--yes", "--only", DESKTOP)


def test_the_key_of_the_certificate_is_for_root_and_xrdp_alone(desktop) -> None:
    assert shell(desktop, "stat -c %U:%G:%a /etc/xrdp/telekit.key") == "root:xrdp:640"
    assert "Permission denied" in shell(desktop, f"runuser -u {AGENT} -- cat /etc/xrdp/telekit.key")


def test_a_leavers_account_comes_back_with_the_password_it_had(desktop) -> None:
    agents = desktop.inventory / "agents.csv"
    before = agents.read_text(encoding="utf-8")
    kept = shell(desktop, f"getent shadow {AGENT} | cut -d: -f2")
    shell(desktop, f"touch /home/{AGENT}/travail.odt")
    try:
        with client(desktop):
            assert until(lambda: session(desktop) != "")
            agents.write_text("".join(line for line in before.splitlines(keepends=True) if AGENT not in line), encoding="utf-8")
            desktop.telekit("provision", "--yes", "--only", DESKTOP)
            assert session(desktop) == ""
        assert shell(desktop, f"passwd -S {AGENT} | cut -d ' ' -f 2") == "L"
        assert shell(desktop, "systemctl --failed --no-legend") == ""
        assert "account has expired" in shell(desktop, f"runuser -u nobody true; su {AGENT} -c true").lower()
        assert shell(desktop, f"ls /home/{AGENT}/travail.odt") == f"/home/{AGENT}/travail.odt"
    finally:
        agents.write_text(before, encoding="utf-8")
        desktop.telekit("provision", "--yes", "--only", DESKTOP)
    assert shell(desktop, f"getent shadow {AGENT} | cut -d: -f2") == kept
    assert shell(desktop, f"chage -l {AGENT} | grep 'Account expires'").endswith("never")
