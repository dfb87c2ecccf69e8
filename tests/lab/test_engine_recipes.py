"""telekit's recipes, batched in one town and by plain pyinfra in another: same plans, same machines, same place of failure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest

from toolkit import provision
from toolkit.enrolment import FILE, Enrolment
from toolkit.inventory import load
from toolkit.result import Result, State
from toolkit.roles import ROLES
from toolkit.secrets import identities_for
from toolkit.targets import Job, select, targets_of

pytestmark = pytest.mark.lab
HERE = Path(__file__).parent
RELEASES = ("trixie",)
PORTS = {"batched": 23120, "plain": 23140}
ONLY = ("gw-mairie", "bureau-finances-03", "portable-041")
# What each machine fails at in the middle: a unit that does not start.
BROKEN = {"gw-mairie": "unbound.service", "bureau-finances-03": "xrdp.service", "portable-041": "clamav-freshclam.service"}
BREAK = """\
systemctl stop {unit}; mkdir -p /etc/systemd/system/{unit}.d; rm {journal}
printf '[Service]\\nExecStartPre=/bin/false\\n' > /etc/systemd/system/{unit}.d/broken.conf; systemctl daemon-reload
"""
MEND = "rm -r /etc/systemd/system/{unit}.d; systemctl daemon-reload; systemctl reset-failed {unit}"
JOURNAL = "/etc/systemd/journald.conf.d/telekit.conf"

# What a recipe may have to do with; keys, certificates and passwords are each machine's own.
SNAPSHOT = r"""
cd /
find etc home root usr/local var/lib/telekit -xdev \
  ! -path 'etc/ssh/ssh_host_*' ! -path etc/wireguard/private.key ! -path 'etc/wireguard/preshared.key*' \
  ! -path 'etc/xrdp/*.pem' ! -path 'etc/xrdp/telekit.*' \
  ! -path etc/xrdp/rsakeys.ini ! -path etc/telekit/enrolment ! -path 'etc/*shadow' ! -path 'etc/chrony/*.keys' \
  ! -path 'etc/ssl/certs/*' ! -path 'etc/ssl/private/*' ! -path '*/ca-certificates/*' \
  ! -path etc/machine-id ! -path etc/resolv.conf ! -path etc/.pwd.lock ! -name '*-' ! -name '*.cache' ! -name random-seed \
  ! -path etc/telekit/tunnels ! -path var/lib/telekit/tunnels.json ! -path 'home/telekit/.local/state/*' \
  ! -name '.clamav-quarantine-lock.*' \
  -printf '%y %m %u %g %p -> %l ' \( -type f -exec sh -c 'sed "$0" "$1" | sha256sum' {sed} {} \; -o -printf '\n' \) | sort -k5
dpkg-query -W -f '${Package} ${db:Status-Status}\n'
getent passwd; getent group
for user in $(getent group telekit-agents | cut -d: -f4 | tr , ' '); do passwd -S "$user" | cut -d' ' -f1,2,4-; done
systemctl list-unit-files --no-legend --state=enabled,masked
systemctl --failed --no-legend --plain
systemctl list-units --no-legend --plain --type=service,timer,path --state=active | cut -d' ' -f1 | grep -v '^user'
nft --stateless list ruleset | sed 's/fe80::[0-9a-f:]*/fe80::own/'
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding kernel.dmesg_restrict
"""


class Nobody:
    """An observer that does not care."""

    def phase(self, title: str, machines: Sequence[str], *, last: bool) -> None:
        """Ignore it."""

    def emit(self, event: object) -> None:
        """Ignore it."""


@pytest.fixture(scope="module")
def towns(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Two towns that are alike, provisioned each in its own way."""
    standing = _conftest().standing
    folders = {way: tmp_path_factory.mktemp(way) for way in PORTS}
    with (
        standing("same-batched", release, PORTS["batched"], folders["batched"], only=ONLY) as batched,
        standing("same-plain", release, PORTS["plain"], folders["plain"], only=ONLY) as plain,
    ):
        yield {"batched": batched, "plain": plain}


def _conftest() -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("lab_conftest", HERE / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["lab_conftest"] = module
    spec.loader.exec_module(module)
    return module


def job_of(town: Any) -> Job:
    commune = load(town.inventory).commune
    return Job(town.inventory, commune, select(commune, ONLY), identities_for(town.inventory, None))


def plainly(town: Any, what: str) -> dict[str, dict[str, Any]]:
    """Machine → what plain pyinfra says, each in a process of its own."""

    def one(name: str) -> dict[str, Any]:
        command = [sys.executable, str(HERE / "plain_recipes.py"), str(town.inventory), name, what]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    with ThreadPoolExecutor() as pool:
        return dict(zip(ONLY, pool.map(one, ONLY), strict=True))


def planned(town: Any) -> dict[str, Any]:
    """Machine → what the batched way would change."""
    from toolkit.engine import Session

    enrolment = Enrolment(job_of(town))
    targets = targets_of(enrolment.job, enrolment.data())
    recipes = {str(role): (recipe.enrolment(), recipe.deploy()) for role, recipe in ROLES.items()}
    with Session(targets, enrolment.job.options(), lambda _: None) as session:
        session.connect()
        assert session.unreachable == {}
        return session.plan(lambda target: recipes[target.role])


def names(operations: Any, kind: str) -> list[str]:
    return [operation.name for operation in operations if operation.kind == kind]


def snapshots(town: Any) -> dict[str, str]:
    """Machine → its state, with what is the town's own by name."""
    ledger = json.loads((town.inventory / "ledger.json").read_text())
    keys = _keys(ledger)
    operator = (town.inventory / "operator_ed25519.pub").read_text().split()[1]
    own = {**keys, operator: "OPERATOR"}
    sed = ";".join(f"s|{value}|{name}|g" for value, name in own.items())
    script = SNAPSHOT.replace("{sed}", f"'{sed}'")

    def one(name: str) -> str:
        return str(town.lab.machine(name).run(["sh", "-c", script], check=True).stdout)

    with ThreadPoolExecutor() as pool:
        return dict(zip(ONLY, pool.map(one, ONLY), strict=True))


def _keys(entry: Any, path: str = "KEY") -> dict[str, str]:
    """Each WireGuard key of the ledger → where it stands there: towns enrol their machines in any order."""
    if isinstance(entry, dict):
        return {key: name for part, value in entry.items() for key, name in _keys(value, f"{path}-{part}").items()}
    return {entry: path} if isinstance(entry, str) and re.fullmatch(r"[A-Za-z0-9+/]{43}=", entry) else {}


def assert_alike(towns: dict[str, Any]) -> None:
    batched, plain = snapshots(towns["batched"]), snapshots(towns["plain"])
    different = [line for name in ONLY for line in _difference(name, batched[name], plain[name])]
    if different:
        pytest.fail("\n".join(different), pytrace=False)


def _difference(name: str, batched: str, plain: str) -> list[str]:
    ways = f"{name}, batched", f"{name}, plain"
    return list(unified_diff(batched.splitlines(), plain.splitlines(), *ways, lineterm="", n=0))


def everywhere(towns: dict[str, Any], script: Callable[[str], str]) -> None:
    for town in towns.values():
        for name in ONLY:
            town.lab.machine(name).run(["sh", "-c", script(name)], check=True)


def states(result: Result) -> dict[str, State]:
    return {machine.name: machine.state for machine in result.machines}


def test_both_ways_plan_the_same_for_bare_machines(towns: dict[str, Any]) -> None:
    batched, plain = planned(towns["batched"]), plainly(towns["plain"], "plan")
    for name in ONLY:
        assert batched[name].error == ""
        conditional = names(batched[name].operations, "conditional")
        assert names(batched[name].operations, "change") == [n for n in plain[name]["planned"] if n not in conditional]


def test_both_ways_make_the_same_machines(towns: dict[str, Any]) -> None:
    with ThreadPoolExecutor() as pool:
        batched = pool.submit(towns["batched"].telekit, "provision", "--yes", *(f"--only={name}" for name in ONLY))
        plain = pool.submit(_provision_plainly, towns["plain"])
        batched.result()
        assert [found["failed"] for found in plain.result().values()] == [None] * len(ONLY)
    assert_alike(towns)


def _provision_plainly(town: Any) -> dict[str, dict[str, Any]]:
    enrolment = Enrolment(job_of(town))
    enrolment.prepare()
    plainly(town, "enrol")
    assert enrolment.record({name: town.ssh(name, f"cat {FILE}").stdout for name in ONLY}) == {}
    return plainly(town, "apply")


def test_each_way_finds_nothing_to_do_where_the_other_has_been(towns: dict[str, Any]) -> None:
    batched, plain = planned(towns["plain"]), plainly(towns["batched"], "plan")
    for name in ONLY:
        assert batched[name].operations == ()
        # Plain pyinfra counts operations whose condition does not come true, too.
        conditional = {n for n in plain[name]["planned"] if n in CONDITIONAL}
        assert set(plain[name]["planned"]) == conditional


CONDITIONAL: frozenset[str] = frozenset()


def test_a_look_at_settled_machines_is_one_command_each(towns: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.engine import Session

    commands: dict[str, int] = {}
    let_go = Session._let_go

    def counted(session: Any) -> None:
        commands.update(session.executions)
        let_go(session)

    monkeypatch.setattr(Session, "_let_go", counted)
    town = towns["batched"]
    for what in (provision.plan, provision.provision):
        what(job_of(town), Nobody())
        assert set(states(what(job_of(town), Nobody())).values()) == {State.UNCHANGED}
        assert commands == dict.fromkeys(ONLY, 1)


def test_both_ways_stop_at_the_same_failure_with_the_same_machines(towns: dict[str, Any]) -> None:
    everywhere(towns, lambda name: BREAK.format(unit=BROKEN[name], journal=JOURNAL))
    plain = plainly(towns["plain"], "apply")
    batched = provision.provision(job_of(towns["batched"]), Nobody())
    assert set(states(batched).values()) == {State.FAILED}
    for machine in batched.machines:
        assert machine.reason.splitlines()[0] == plain[machine.name]["failed"]
        assert [change.name for change in machine.changes] == plain[machine.name]["changed"]
    assert_alike(towns)


def test_both_ways_finish_what_was_left(towns: dict[str, Any]) -> None:
    everywhere(towns, lambda name: MEND.format(unit=BROKEN[name]))
    plain = plainly(towns["plain"], "apply")
    batched = provision.provision(job_of(towns["batched"]), Nobody())
    assert set(states(batched).values()) == {State.CHANGED}
    for machine in batched.machines:
        assert [change.name for change in machine.changes] == plain[machine.name]["changed"]
    assert_alike(towns)
