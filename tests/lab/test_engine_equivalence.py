"""The batch engine and plain pyinfra do the same: same plans, same changes, same machines afterwards, same place of failure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from difflib import unified_diff
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from toolkit.engine import Options, Session, Target
from toolkit.inventory import load
from toolkit.lab import create
from toolkit.lab.ports import copy_inventory

pytestmark = pytest.mark.lab
HERE = Path(__file__).parent
BATCHED, PLAIN = "bureau-finances-03", "bureau-partage-01"
PORTS = {"trixie": 23170, "bookworm": 23270}

# Tests are no package: the corpus is loaded from its file, which plain pyinfra runs as a program.
_spec = spec_from_file_location("engine_corpus", HERE / "engine_corpus.py")
assert _spec is not None
assert _spec.loader is not None
engine_corpus = module_from_spec(_spec)
_spec.loader.exec_module(engine_corpus)

# Everything that the corpus may have to do with; what differs from machine to machine anyway is left out.
SNAPSHOT = r"""
cd /
find etc home opt tmp/corpus-* usr/local -xdev \
  ! -path 'etc/ssh/ssh_host_*' ! -name '*-' ! -name '*.cache' ! -path 'opt/corpus/*/.git/*' \
  ! -path etc/hostname ! -path etc/hosts \
  ! -path etc/machine-id ! -path etc/resolv.conf ! -path 'etc/network*' ! -path 'etc/systemd/network*' ! -name random-seed \
  -printf '%y %m %u %g %p -> %l ' \( -type f -exec sh -c 'sed "s/$(hostname)/NAME/g" "$1" | sha256sum' sh {} \; \
  -o -printf '\n' \) | sort -k5
dpkg-query -W -f '${Package} ${Status}\n'
getent passwd; getent group; crontab -l
for unit in corpus cron; do systemctl show -p ActiveState -p UnitFileState -p Description "$unit"; done
sysctl net.ipv4.conf.lo.accept_redirects
"""


@pytest.fixture(scope="module")
def pair(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The inventory of two machines that are alike."""
    name, folder = f"pair-{release}", tmp_path_factory.mktemp(f"pair-{release}") / "lab"
    create(name).down()
    copy_inventory(HERE.parents[1] / "inventories" / "lab", folder, PORTS[release])
    lab = create(name, folder)
    try:
        lab.up(release, only=(BATCHED, PLAIN))
        yield folder
    finally:
        lab.down()


class Two:
    """The two machines, one for each way."""

    def __init__(self, folder: Path, session: Session) -> None:
        self.folder = folder
        self.session = session
        self.targets = {target.name: target for target in session.targets}

    def both(self, script: str) -> tuple[str, str]:
        done = self.session.run_all(lambda _: script, seconds=120)
        assert [c.stderr for c in done.values() if c.code] == []
        return done[BATCHED].stdout, done[PLAIN].stdout

    def assert_alike(self) -> None:
        batched, plain = self.both(SNAPSHOT)
        one, other = batched.replace(BATCHED, "NAME").splitlines(), plain.replace(PLAIN, "NAME").splitlines()
        assert "\n".join(unified_diff(one, other, "batched", "plain", lineterm="", n=0)) == ""
        assert "opt/corpus" in batched

    def batched(self, deploy: Callable[[], None]) -> Any:
        return self.session.apply(lambda target: [deploy] if target.name == BATCHED else [])[BATCHED]

    def planned(self, deploy: Callable[[], None], name: str = BATCHED) -> Any:
        return self.session.plan(lambda target: [deploy] if target.name == name else [])[name]

    def plain(self, variant: str, what: str, name: str = PLAIN) -> dict[str, Any]:
        """What plain pyinfra does, in a process of its own."""
        ssh = self.targets[name].ssh
        keys = [str(self.folder / "operator_ed25519"), str(self.folder / "known_hosts")]
        arguments = [ssh.host, str(ssh.port), "telekit", *keys]
        command = [sys.executable, engine_corpus.__file__, *arguments, variant, what]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


@pytest.fixture(scope="module")
def two(pair: Path) -> Iterator[Two]:
    folder = pair
    commune = load(folder).commune
    machines = [m for m in commune.desktops if m.name in (BATCHED, PLAIN)]
    targets = [Target(m.name, "desktop", m.ssh, "telekit", {}) for m in machines]
    with Session(targets, Options(folder / "known_hosts", (folder / "operator_ed25519",)), lambda _: None) as session:
        session.connect()
        assert session.unreachable == {}
        two = Two(folder, session)
        two.both("apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -q install -y git nano >/dev/null 2>&1")
        two.both(engine_corpus.SEED + engine_corpus.ORIGIN)
        yield two


def test_both_ways_plan_the_same_and_leave_the_same_machine(two: Two) -> None:
    two.assert_alike()
    planned = two.planned(engine_corpus.corpus)
    assert planned.error == ""
    plain = two.plain("one", "apply")
    conditional = {operation.name for operation in planned.operations if operation.kind == "conditional"}
    changes = [operation.name for operation in planned.operations if operation.kind == "change"]
    assert changes == [name for name in plain["planned"] if name not in conditional]
    batched = two.batched(engine_corpus.corpus)
    assert (batched.failed, plain["failed"]) == (None, None)
    two.assert_alike()
    assert [n for n in batched.changed if n not in engine_corpus.ALWAYS] == [
        n for n in plain["changed"] if n not in engine_corpus.ALWAYS and n != "Run inside"
    ]


def test_each_way_finds_nothing_to_do_where_the_other_has_been(two: Two) -> None:
    settled = two.planned(engine_corpus.corpus, PLAIN)
    assert {operation.name for operation in settled.operations} <= engine_corpus.ALWAYS
    plain = two.plain("one", "plan", BATCHED)
    assert set(plain["planned"]) <= engine_corpus.ALWAYS | {"Read units again", "Restart the unit"}


def test_both_ways_change_the_same_from_one_state_to_another(two: Two) -> None:
    plain = two.plain("two", "apply")
    batched = two.batched(partial(engine_corpus.corpus, "two"))
    assert (batched.failed, plain["failed"]) == (None, None)
    two.assert_alike()
    assert [n for n in batched.changed if n not in engine_corpus.ALWAYS] == [
        n for n in plain["changed"] if n not in engine_corpus.ALWAYS and n != "Run inside"
    ]


def test_both_ways_stop_at_the_same_failure_with_the_same_machine(two: Two) -> None:
    two.both(engine_corpus.SEED + engine_corpus.ORIGIN)
    plain = two.plain("one-broken", "apply")
    batched = two.batched(partial(engine_corpus.corpus, "one", broken=True))
    assert plain["failed"] == "Break"
    assert (batched.failed.name, batched.failed.output) == ("Break", "broken\nexit status 3")
    assert list(batched.changed) == plain["changed"]
    two.assert_alike()


def test_both_ways_finish_what_was_left(two: Two) -> None:
    plain = two.plain("one", "apply")
    batched = two.batched(engine_corpus.corpus)
    assert (batched.failed, plain["failed"]) == (None, None)
    two.assert_alike()
