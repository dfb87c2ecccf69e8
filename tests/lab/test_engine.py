"""The engine and a real machine: who is let in, what breaks in the middle, and what is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pyinfra.operations import files, server

from toolkit.engine import Completed, Options, Session, Target, events
from toolkit.inventory import load
from toolkit.lab import Lab, create
from toolkit.lab.ports import copy_inventory
from toolkit.model import SshAddress

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
NAME = "bureau-partage-01"
PORTS = {"trixie": 23180, "bookworm": 23280}
LEFT = "ls -d /tmp/pyinfra-batch.* /etc/.pyinfra-batch.* /opt/try/.pyinfra-batch.* 2>/dev/null; true"


@dataclass
class Bench:
    """One machine, and how to reach it."""

    lab: Lab
    folder: Path
    ssh: SshAddress

    def target(self, user: str = "telekit") -> Target:
        return Target(NAME, "desktop", self.ssh, user, {})

    def options(self, **changes: Any) -> Options:
        usual: dict[str, Any] = {"known_hosts": self.folder / "known_hosts", "identities": (self.folder / "operator_ed25519",)}
        return Options(**{**usual, **changes})

    def session(self, emit: Callable[[Any], None] = lambda _: None, user: str = "telekit", **changes: Any) -> Session:
        session = Session([self.target(user)], self.options(**changes), emit)
        session.connect()
        return session

    def here(self, script: str) -> str:
        """Run a script on the machine, not through the engine."""
        return self.lab.machine(NAME).run(["sh", "-c", script], check=True).stdout


@pytest.fixture(scope="module")
def bench(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    name, folder = f"engine-{release}", tmp_path_factory.mktemp(f"engine-{release}") / "lab"
    create(name).down()
    copy_inventory(ROOT / "inventories" / "lab", folder, PORTS[release])
    lab = create(name, folder)
    try:
        lab.up(release, only=(NAME,))
        yield Bench(lab, folder, load(folder).commune.desktop_named[NAME].ssh)
    finally:
        lab.down()


@pytest.fixture
def session(bench: Bench) -> Iterator[Session]:
    with bench.session() as session:
        assert session.unreachable == {}
        yield session


# -- who is let in -----------------------------------------------------------------------------------------------------


def test_a_machine_whose_key_is_not_pinned_is_not_spoken_to(bench: Bench, tmp_path: Path) -> None:
    told: list[Any] = []
    with bench.session(told.append, known_hosts=tmp_path / "none") as session:
        reason = session.unreachable[NAME]
        shown = bench.here("ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
        assert f"no host key is pinned for [127.0.0.1]:{bench.ssh.port}" in reason
        assert "SHA256:" in reason
        assert "run telekit trust" in reason
        assert shown.startswith("SHA256:")
        assert told == [events.Unreachable(NAME, reason)]


def test_a_machine_that_shows_another_key_is_not_spoken_to(bench: Bench, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = (tmp_path / "other.pub").read_text()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{bench.ssh.port} {other}")
    with bench.session(known_hosts=tmp_path / "known_hosts") as session:
        assert "is not the pinned one" in session.unreachable[NAME]
        assert "somebody may stand in between" in session.unreachable[NAME]


def test_a_key_that_the_machine_does_not_know_is_refused(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "mine")], check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "locked", "-f", str(tmp_path / "locked")], check=True)
    with bench.session(identities=(tmp_path / "mine", tmp_path / "locked")) as session:
        assert "lets telekit in with none of our keys" in session.unreachable[NAME]
        assert f"{tmp_path}/locked has a passphrase: add it to an agent" in session.unreachable[NAME]


def test_a_key_in_the_agent_opens_the_machine(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")])
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    try:
        for _ in range(100):
            if (tmp_path / "agent").exists():
                break
            time.sleep(0.05)
        subprocess.run(["ssh-add", "-q", str(bench.folder / "operator_ed25519")], check=True)
        with bench.session(identities=()) as session:
            assert session.unreachable == {}
    finally:
        agent.terminate()
        agent.wait()


def test_a_jump_host_must_be_pinned_too(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    # To the machine by way of itself: what the hop calls "inside" is its own sshd.
    (tmp_path / ".ssh/config").write_text(f"Host inside\n  ProxyJump telekit@127.0.0.1:{bench.ssh.port}\n  HostName 127.0.0.1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    line = (bench.folder / "known_hosts").read_text()
    key = next(words for words in line.splitlines() if f"]:{bench.ssh.port} " in words).split(" ", 1)[1]
    inside = Target("inside", "desktop", SshAddress("inside"), "telekit", {})

    def reach(known: str) -> tuple[dict[str, str], str]:
        (tmp_path / "known_hosts").write_text(known)
        with Session([inside], bench.options(known_hosts=tmp_path / "known_hosts"), lambda _: None) as session:
            session.connect()
            return session.unreachable, session.run(inside, "hostname").stdout.strip() if session.reachable else ""

    assert reach(f"127.0.0.1 {key}\n[127.0.0.1]:{bench.ssh.port} {key}\n") == ({}, NAME)
    unreachable, _ = reach(f"127.0.0.1 {key}\n")
    assert "no host key is pinned for [127.0.0.1]" in unreachable["inside"]


def test_callers_that_sshd_drops_for_their_number_come_back(bench: Bench) -> None:
    bench.here("echo 'MaxStartups 2:100:2' > /etc/ssh/sshd_config.d/few.conf && systemctl reload ssh")
    try:
        targets = [Target(f"m{n}", "desktop", bench.ssh, "telekit", {}) for n in range(12)]
        with Session(targets, bench.options(), lambda _: None) as session:
            session.connect()
            assert session.unreachable == {}
            assert len(session.run_all(lambda target: f"echo {target.name}")) == 12
    finally:
        bench.here("rm /etc/ssh/sshd_config.d/few.conf && systemctl reload ssh")


def test_sudo_that_wants_a_password_is_said(bench: Bench) -> None:
    bench.here(
        "id plain >/dev/null 2>&1 || useradd -m -G sudo plain; install -d -o plain /home/plain/.ssh;"
        " cp /home/telekit/.ssh/authorized_keys /home/plain/.ssh/; chown plain /home/plain/.ssh/authorized_keys"
    )
    with bench.session(user="plain") as session:
        plan = session.plan(lambda _: [lambda: files.directory(name="Look", path="/root/x")])[NAME]
        assert "sudo does not work without a password here" in plan.error
        assert "NOPASSWD" in plan.error
        result = session.apply(lambda _: [lambda: server.shell(name="Do", commands=["true"])])[NAME]
        assert result.failed is not None
        assert "NOPASSWD" in result.failed.output


def test_root_needs_no_sudo(bench: Bench) -> None:
    bench.here(
        "install -d -m 700 /root/.ssh; cp /home/telekit/.ssh/authorized_keys /root/.ssh/; mv /usr/bin/sudo /usr/bin/sudo.off"
    )
    try:
        with bench.session(user="root") as session:
            assert session.run(session.targets[0], "id -un").stdout == "root\n"
            result = session.apply(lambda _: [lambda: files.put(name="Write", src=StringIO("x"), dest="/opt/by-root")])[NAME]
            assert (result.failed, result.changed) == (None, ("Write",))
    finally:
        bench.here("mv /usr/bin/sudo.off /usr/bin/sudo; rm -r /root/.ssh")


# -- scripts and checks ------------------------------------------------------------------------------------------------


def test_scripts_come_back_with_everything(session: Session) -> None:
    target = session.targets[0]
    done = session.run(target, "echo out; echo err >&2; cat; exit 7")
    assert done == Completed(7, "out\n", "err\n")
    assert session.run(target, "id -un").stdout == "root\n"
    assert session.run(target, "id -un", sudo=False).stdout == "telekit\n"
    assert session.run(target, "").code == 0
    assert session.run(target, "if").code == 2
    assert session.run(target, "kill -9 $$").code != 0
    large = session.run(target, "seq 1 300000").stdout
    assert large.splitlines()[-1] == "300000"
    script = "# " + "x" * 3_000_000 + "\necho read"
    assert session.run(target, script).stdout == "read\n"


def test_a_script_that_takes_too_long_is_ended_and_the_connection_goes_on(session: Session) -> None:
    target = session.targets[0]
    began = time.monotonic()
    assert session.run(target, "echo begun; sleep 61; echo ended", seconds=1) == Completed(124, "begun\n", "no end after 1 s")
    assert time.monotonic() - began < 5
    assert session.run(target, "pgrep -f '[s]leep 61'").code == 1, "nothing of it goes on"
    assert session.run(target, "echo on").stdout == "on\n"


def test_a_scripts_words_are_in_no_argument_list_there(session: Session) -> None:
    done = session.run(session.targets[0], ": hunter2; tr '\\0' ' ' < /proc/*/cmdline 2>/dev/null; cat /proc/[0-9]*/cmdline")
    assert "sh\0-s" in done.stdout
    assert "hunter2" not in done.stdout


def test_checks_are_testinfras_over_the_same_connection_one_command_each(session: Session) -> None:
    host = session.host(session.targets[0])
    link = session._machines[NAME].link
    assert host.user("telekit").exists
    before = link.executions
    assert host.file("/etc/shadow").contains("root:")
    assert host.file("/etc/shadow").mode == 0o640
    assert host.run("exit 3").rc == 3
    assert host.check_output("printf %s été") == "été"
    assert link.executions - before == 4


# -- what breaks in the middle -----------------------------------------------------------------------------------------

LONG = """
import sys
from io import StringIO
from pathlib import Path
from toolkit.engine import Interrupted, Options, Session, Target
from toolkit.model import SshAddress

def recipe():
    from pyinfra.operations import files, server
    files.put(name="Write first", src=StringIO("first"), dest="/opt/try/first", mode="600")
    server.shell(name="Take long", commands=["touch /opt/try/begun; sleep 3; touch /opt/try/ended; seq 1 200000"])
    files.put(name="Write last", src=StringIO("last"), dest="/opt/try/last", mode="600")

folder, port = Path(sys.argv[1]), int(sys.argv[2])
target = Target("bureau-partage-01", "desktop", SshAddress("127.0.0.1", port), "telekit", {})
options = Options(folder / "known_hosts", (folder / "operator_ed25519",))
with Session([target], options, lambda event: None) as session:
    session.connect()
    try:
        result = session.apply(lambda _: [recipe])
    except Interrupted as interrupted:
        print(dict(interrupted.machines))
        sys.exit(130)
    print(result["bureau-partage-01"].changed)
"""


def begin(bench: Bench) -> subprocess.Popen[str]:
    """Start a run and wait until it is in the middle of an operation."""
    bench.here("rm -rf /opt/try; mkdir /opt/try")
    command = [sys.executable, "-c", LONG, str(bench.folder), str(bench.ssh.port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(300):
        if "begun" in bench.here("ls /opt/try"):
            return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate())


def settle(bench: Bench) -> None:
    """Wait until what still runs on the machine has ended."""
    for _ in range(100):
        if not bench.here("pgrep -f '^sh -s' || true").strip():
            return
        time.sleep(0.1)
    raise AssertionError("the script goes on")


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_half_way_leaves_whole_files_and_the_next_one_finishes(bench: Bench, kind: signal.Signals) -> None:
    process = begin(bench)
    process.send_signal(kind)
    out, errors = process.communicate(timeout=30)
    if kind == signal.SIGINT:
        assert (process.returncode, out, errors) == (130, "{'bureau-partage-01': 'Take long'}\n", "")
    settle(bench)
    assert bench.here("ls /opt/try").split() == ["begun", "ended", "first"], "the operation ends, the next does not begin"
    assert bench.here(LEFT) == ""
    command = [sys.executable, "-c", LONG, str(bench.folder), str(bench.ssh.port)]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert again.stdout == "('Take long', 'Write last')\n"
    assert bench.here("cat /opt/try/last") == "last"


def test_temporary_files_of_a_script_that_was_killed_there_go_with_the_next(bench: Bench) -> None:
    process = begin(bench)
    bench.here("pkill -9 -f '^sh -s'; sleep 0.5; pkill sleep; true")
    process.communicate(timeout=30)
    assert "/tmp/pyinfra-batch." in bench.here(LEFT)
    with bench.session() as session:
        session.apply(lambda _: [lambda: server.shell(name="Do", commands=["true"])])
    assert bench.here(LEFT) == ""


def test_a_script_that_was_killed_there_is_a_failure_of_the_operation_it_was_at(bench: Bench) -> None:
    with bench.session() as session:
        commands = ["kill -9 $(pgrep -f '^sh -s')"]
        result = session.apply(lambda _: [lambda: server.shell(name="Saw off the branch", commands=commands)])[NAME]
        assert result.failed is not None
        assert result.failed.name == "Saw off the branch"
        assert "the script ended early" in result.failed.output


def test_a_machine_that_falls_silent_is_given_up_and_said(bench: Bench) -> None:
    from toolkit.engine.batch import Connector, LinkLostError

    connector = Connector(bench.folder / "known_hosts", [bench.folder / "operator_ed25519"], silence_seconds=1)
    link = connector.open(bench.ssh.host, bench.ssh.port, "telekit")
    assert link.execute("sleep 4; echo quiet is no silence").stdout == b"quiet is no silence\n"
    sshd = bench.here("pgrep -f '[s]shd.*: telekit' | tr '\\n' ' '")
    bench.here(f"kill -STOP {sshd}")
    began = time.monotonic()
    try:
        with pytest.raises(LinkLostError, match="fell silent"):
            link.execute("true")
        assert time.monotonic() - began < 6
    finally:
        bench.here(f"kill -CONT {sshd}")
        link.close()


def test_a_machine_that_takes_too_long_is_given_up(bench: Bench) -> None:
    told: list[Any] = []
    with bench.session(told.append, deadline_seconds=3) as session:
        began = time.monotonic()
        result = session.apply(lambda _: [lambda: server.shell(name="Take long", commands=["sleep 60"])])[NAME]
        assert time.monotonic() - began < 10
        assert result.failed is not None
        assert result.failed.name == "Take long"
        assert "not finished after 3 s" in result.failed.output
        assert NAME in session.unreachable
        assert told[-1].outcome == "failed"
    bench.here("pkill sleep; true")


def test_a_connection_that_breaks_is_a_failure_and_not_an_unchanged_machine(bench: Bench) -> None:
    with bench.session() as session:
        commands = ["kill $(pgrep -f '[s]shd.*: telekit')", "sleep 1"]
        result = session.apply(lambda _: [lambda: server.shell(name="Break the line", commands=commands)])[NAME]
        assert result.failed is not None
        assert result.failed.name == "Break the line"
        assert "the connection broke" in result.failed.output
        assert NAME in session.unreachable
        assert session.reachable == ()


def test_nothing_of_a_secret_is_left_on_the_machine(bench: Bench, session: Session) -> None:
    from deploys.secret import secret_file
    from toolkit.model import Secret

    def recipe() -> None:
        secret_file(name="Write the key", dest="/opt/try-key", content=Secret("battery-staple"))
        server.shell(name="Fail", commands=["exit 1"])

    result = session.apply(lambda _: [recipe])[NAME]
    assert (result.changed, result.failed is not None) == (("Write the key",), True)
    assert bench.here("cat /opt/try-key; stat -c %a /opt/try-key").split() == ["battery-staple600"]
    assert (
        bench.here("grep -rls battery-staple /tmp /var/tmp /var/log /run /home /root; journalctl | grep battery-staple; true")
        == ""
    )


def test_a_settled_machine_costs_one_command_and_a_small_change_two(session: Session) -> None:
    words = ["one"]

    def recipe() -> None:
        for number in range(20):
            files.put(name=f"Write {number}", src=StringIO(words[0]), dest=f"/opt/many/{number}", mode="640", user="daemon")
        server.shell(name="React", commands=["true"], _if=lambda: words[0] == "two")

    link, facts = session._machines[NAME].link, session._machines[NAME].facts

    def commands() -> int:
        facts.forget()
        before = link.executions
        assert session.apply(lambda _: [recipe])[NAME].failed is None
        return link.executions - before

    commands()
    commands()
    assert commands() == 1
    words[0] = "two"
    assert commands() == 2
