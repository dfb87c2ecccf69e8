"""The second factor: what opens a remote desktop of which one is required, and what does not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.lab.at_work import vault
from toolkit.model import Secret
from toolkit.second_factor import STEP, code

pytestmark = pytest.mark.lab
RELEASES = ("trixie",)

DESKTOP, LAPTOP, AGENT = "bureau-partage-01", "portable-042", "k.benali"
FILE, TALLY = f"/etc/telekit/totp/{AGENT}", f"/run/faillock/{AGENT}"
CONNECT = f"""\
Xvfb :85 -screen 0 1024x768x24 -nolisten tcp > /dev/null 2>&1 &
trap "kill $! 2>/dev/null" EXIT
sleep 0.7
DISPLAY=:85 runuser -u {AGENT} -- /usr/local/bin/telekit-bureau --stdin
"""
# What was noted down happened eleven minutes ago: records of 64 bytes that end in seconds since 1970.
LATER = """\
import struct
data = bytearray(open(path, "rb").read())
for end in range(64, len(data) + 1, 64):
    struct.pack_into("Q", data, end - 8, struct.unpack_from("Q", data, end - 8)[0] - 660)
open(path, "wb").write(data)
"""


def shell(town, script: str, place: str = DESKTOP) -> str:
    done = town.lab.vantage(place).run(["bash", "-c", f"cd /; {script}"], timeout=60)
    return (done.stdout + done.stderr).strip()


def secret(town, name: str) -> str:
    found = vault(town).get(f"{name}/{AGENT}")
    assert found is not None
    return found.reveal()


def session(town) -> str:
    return shell(town, f"pgrep -u {AGENT} -x xfce4-session")


@contextmanager
def client(town, typed: str) -> Iterator[None]:
    """The agent's client from the laptop through the tunnel, with what was typed in its one prompt."""
    running = town.lab.machine(LAPTOP).popen(["bash", "-c", CONNECT])
    try:
        running.stdin.write(f"{typed}\n".encode())
        running.stdin.close()
        yield
    finally:
        shell(town, f"pkill -u {AGENT} xfreerdp; pkill -f 'Xvfb :85'", place=LAPTOP)
        running.kill()
        running.wait()


def refusals(town) -> int:
    """How often the session manager has refused somebody."""
    return int(shell(town, "journalctl -u xrdp-sesman -o cat --no-pager | grep -c AUTHFAIL"))


def opens(town, typed: str) -> bool:
    """Whether it opens a session; the session is ended again."""
    before = refusals(town)
    with client(town, typed):
        deadline = time.monotonic() + 30
        while not session(town) and refusals(town) == before:
            assert time.monotonic() < deadline, "neither refused nor let in"
            time.sleep(0.3)
    opened = session(town) != ""
    assert opened == (refusals(town) == before)
    log_out(town)
    return opened


def log_out(town) -> None:
    shell(town, f"loginctl terminate-user {AGENT} 2>/dev/null; for i in $(seq 50); do pgrep -u {AGENT} || break; sleep 0.2; done")


def fresh(town, step: int = 0) -> str:
    """The code of now, or so many steps from now, as the telephone shows it; nothing used before stands in its way."""
    shell(town, f"sed -i 's/^\" DISALLOW_REUSE.*/\" DISALLOW_REUSE/' {FILE}")
    # Far enough from the end of a step that the desktop is still in it when it looks.
    while time.time() % STEP > STEP - 8:
        time.sleep(0.5)
    return code(Secret(secret(town, "totp")), time.time() + step * STEP).reveal()


@pytest.fixture
def town(provisioned) -> Iterator:
    log_out(provisioned)
    shell(provisioned, f"faillock --user {AGENT} --reset")
    yield provisioned
    shell(provisioned, f"faillock --user {AGENT} --reset")
    log_out(provisioned)


def test_password_and_code_in_one_prompt_open_a_session_and_the_code_opens_no_other(town) -> None:
    password, number = secret(town, "password"), fresh(town)
    assert opens(town, password + number)
    assert not opens(town, password + number)


def test_neither_half_opens_anything(town) -> None:
    assert not opens(town, secret(town, "password"))
    assert not opens(town, "certainly-not-this" + fresh(town))
    assert not opens(town, fresh(town))


@pytest.mark.parametrize(("step", "good"), [(-1, True), (1, True), (-3, False)])
def test_a_telephone_may_be_half_a_minute_off_and_no_more(town, step: int, good: bool) -> None:
    assert opens(town, secret(town, "password") + fresh(town, step)) is good


def test_coming_back_to_an_open_session_takes_a_code_too(town) -> None:
    password, number = secret(town, "password"), fresh(town)
    with client(town, password + number):
        deadline = time.monotonic() + 30
        while not session(town) and time.monotonic() < deadline:
            time.sleep(0.3)
        first = session(town)
        assert first
    before = refusals(town)
    with client(town, password):
        deadline = time.monotonic() + 30
        while refusals(town) == before and time.monotonic() < deadline:
            time.sleep(0.3)
    assert refusals(town) == before + 1
    assert session(town) == first


def test_an_emergency_code_works_once_and_provision_does_not_bring_it_back(town) -> None:
    password = secret(town, "password")
    left = shell(town, f"grep -E '^[0-9]{{8}}$' {FILE}").split()
    assert set(left) <= set(secret(town, "totp-codes").split())
    assert opens(town, password + left[0])
    again = json.loads(town.telekit("provision", "--yes", "--only", DESKTOP, "--json").stdout)
    assert [machine["changes"] for machine in again["machines"]] == [[]]
    assert not opens(town, password + left[0])
    assert shell(town, f"grep -E '^[0-9]{{8}}$' {FILE}").split() == left[1:]


def test_five_failures_lock_the_agent_out_for_ten_minutes(town) -> None:
    password = secret(town, "password")
    for _ in range(5):
        assert not opens(town, password + "000000")
    good = fresh(town)
    assert not opens(town, password + good)
    # Attempts meanwhile do not make it longer, and the code was not even looked at.
    assert shell(town, f"stat -c %s {TALLY}") == str(5 * 64)
    town.lab.vantage(DESKTOP).run(["python3", "-c", f"path = {TALLY!r}\n{LATER}"], timeout=20)
    assert opens(town, password + good)
    assert shell(town, f"stat -c %s {TALLY}") == "0"


def test_the_secrets_are_roots_alone_and_the_remote_desktop_alone_asks_for_codes(town) -> None:
    assert shell(town, f"stat -c %U:%G:%a /etc/telekit/totp {FILE}").split() == ["root:root:700", "root:root:400"]
    assert shell(town, "grep -l google_authenticator /etc/pam.d/*") == "/etc/pam.d/xrdp-sesman"
    assert "Permission denied" in shell(town, f"runuser -u {AGENT} -- cat {FILE}")
    seed = secret(town, "totp")
    assert seed not in shell(town, "journalctl --no-pager -o cat")


def test_a_new_seed_replaces_the_old_and_no_policy_leaves_nothing(town) -> None:
    password, old = secret(town, "password"), secret(town, "totp")
    done = town.telekit("agent", "second-factor", AGENT, "--renew")
    new = secret(town, "totp")
    assert new != old
    assert not any(word in done.stdout + done.stderr for word in (old, new, *secret(town, "totp-codes").split()))
    assert shell(town, f"head -n 1 {FILE}") == new
    assert opens(town, password + fresh(town))
    inventory = town.inventory / "commune.toml"
    before = inventory.read_text(encoding="utf-8")
    try:
        inventory.write_text(before.replace('second_factor = "required"', 'second_factor = "off"'), encoding="utf-8")
        town.telekit("provision", "--yes", "--only", DESKTOP)
        assert shell(town, "ls -A /etc/telekit/totp; ls /etc/telekit/password-alone").endswith("No such file or directory")
        assert "google" not in shell(town, "cat /etc/pam.d/xrdp-sesman")
        assert opens(town, password)
    finally:
        inventory.write_text(before, encoding="utf-8")
        town.telekit("provision", "--yes", "--only", DESKTOP)
    assert not opens(town, password)


@contextmanager
def watched(words: Sequence[str]) -> Iterator[set[str]]:
    """The arguments and environments of all processes, this computer's and so the machines' too, in which a word appeared."""
    found: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for file in (*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")):
                with suppress(OSError):
                    content = file.read_bytes().decode(errors="replace")
                    found.update(content[:200] for word in words if word in content)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def test_neither_processes_nor_output_nor_the_operators_files_show_a_secret(town) -> None:
    words = [secret(town, "totp"), *secret(town, "totp-codes").split()]
    shell(town, f"rm {FILE}")
    with watched(words) as shown:
        done = town.telekit("provision", "--yes", "--only", DESKTOP, "--debug")
    assert shown == set()
    said = done.stdout + done.stderr
    kept = [path.read_bytes() for path in town.inventory.rglob("*") if path.is_file()]
    for word in words:
        assert word not in said
        assert not any(word.encode() in content for content in kept)
    assert shell(town, f"head -n 1 {FILE}") == words[0]
    assert (town.inventory / "secrets.age").stat().st_mode & 0o077 == 0
