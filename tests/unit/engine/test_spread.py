"""Machines that are shared out among processes come to the same as in one: over real SSH, to a server on this computer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest
from pyinfra.api.host import Host

from toolkit.engine import Interrupted, Options, Session, Target, events
from toolkit.engine.crew import FarCrew
from toolkit.engine.spread import SpreadSession
from toolkit.model import SshAddress

HERE = Path(__file__).parent


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(HERE)
    import spread_recipes

    return spread_recipes


def processes_of(session: Any) -> list[Any]:
    """The processes that were started for a session's machines: one share is this process's own."""
    found = [crew.process for crew in session._crews if isinstance(crew, FarCrew)]
    assert len(found) == len(session._crews) - 1 > 0
    return found


def plain(event: Any) -> Any:
    """An event without what differs from run to run."""
    known = {key: getattr(event, key) for key in event.__dataclass_fields__ if key != "seconds"}
    return (type(event).__name__, tuple(known.items()))


def everything(farm: Any, recipes: Any, processes: int) -> Any:
    """All that can be done with a session: what was seen, and what is on the machines afterwards."""
    farm.clean()
    # pyinfra keeps it for as long as the process lives, for every host of that name.
    Host._get_temp_directory.cache.clear()
    seen: list[Any] = []
    targets = farm.targets()
    unpinned = Target("stranger", "laptop", SshAddress("127.0.0.1", 9), "root", {})
    targets[2].data["broken"] = True
    with farm.session([*targets, unpinned], processes, seen.append) as session:
        assert isinstance(session, SpreadSession) == (processes > 1)
        session.connect()
        found: list[Any] = [[target.name for target in session.reachable], dict(session.unreachable)]
        found.append(session.plan(lambda _: [recipes.write]))
        found.append([(r.machine, r.changed, r.unchanged, r.failed) for r in session.apply(lambda _: [recipes.write]).values()])
        targets[2].data["broken"] = False
        found.append([(r.changed, r.failed) for r in session.apply(lambda t: [recipes.write] if t.name != "m1" else []).values()])
        found.append(session.plan(lambda _: [recipes.write]))
        found.append(session.run_all(lambda target: f"echo {target.name}; exit 3"))
        found.append(session.read_all("cat written; cat none"))
        found.append(session.run(targets[1], "cat hidden", reads_only=True))
        found.append(session.host(targets[3]).file(f"{farm.place(3)}/written").content_string)
        found.append(session.executions)
    of_machine = {
        target.name: [plain(event) for event in seen if event.machine == target.name] for target in (*targets, unpinned)
    }
    return found, of_machine, farm.contents()


def test_two_processes_come_to_what_one_does(farm: Any, recipes: Any) -> None:
    in_one, in_two = everything(farm, recipes, 1), everything(farm, recipes, 2)
    for ours, theirs in zip((*in_two[0], *in_two[1:]), (*in_one[0], *in_one[1:]), strict=True):
        assert ours == theirs
    results = in_one[0][3]
    assert results[2][3].output == "broken\nexit status 3"
    assert results[0][1] == ("Write", "Hide")


def test_operations_in_turn_and_once_hold_over_all_processes(farm: Any, recipes: Any) -> None:
    with farm.session(farm.targets(), 3) as session:
        session.connect()
        assert all(result.failed is None for result in session.apply(lambda _: [recipes.in_turn]).values())
    assert (farm.folder / "log").read_text() == "in\nout\n" * farm.MACHINES
    assert (farm.folder / "log.once").read_text() == "once\n"


def test_a_process_that_dies_takes_no_other_machine_with_it(farm: Any, recipes: Any) -> None:
    targets, seen = farm.targets(), []
    targets[3].data["broken"] = True
    with farm.session(targets, 3, seen.append) as session:
        session.connect()
        results = session.apply(lambda _: [recipes.vanish])
        lost = {name for name, result in results.items() if result.failed is not None}
        assert lost == {"m0", "m3"}
        assert {"m0", "m3"} == set(session.unreachable)
        assert results["m0"].failed == events.OperationFailed(
            "m0", "Read the machine's state", "the process that worked on it ended: run it again"
        )
        assert session.run_all(lambda _: "echo here").keys() == {"m1", "m2"}
    assert {event.machine for event in seen if isinstance(event, events.MachineDone)} == {target.name for target in targets}


def test_ctrl_c_ends_all_processes_and_says_where_machines_are(farm: Any, recipes: Any) -> None:
    farm.clean()
    targets = farm.targets()

    def press() -> None:
        while len([place for place in range(farm.MACHINES) if (farm.place(place) / "lingers").exists()]) < farm.MACHINES:
            time.sleep(0.05)
        os.kill(os.getpid(), SIGINT)

    with farm.session(targets, 2) as session:
        session.connect()
        processes = processes_of(session)
        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(Interrupted) as stopped:
            session.apply(lambda _: [recipes.linger])
    assert stopped.value.machines == dict.fromkeys(sorted(t.name for t in targets), "Linger")
    assert [process.returncode for process in processes] == [0]


def test_a_deadline_holds_in_every_process(farm: Any, recipes: Any) -> None:
    with farm.session(farm.targets(), 2, deadline_seconds=1.0) as session:
        session.connect()
        results = session.apply(lambda _: [recipes.linger])
        assert {result.failed.output for result in results.values() if result.failed} == {"not finished after 1 s: given up"}
        assert len(session.unreachable) == farm.MACHINES


def test_secrets_reach_the_processes_by_no_argument_environment_or_file(farm: Any, recipes: Any) -> None:
    with farm.session(farm.targets(), 2, memory=farm.folder / "memory.json") as session:
        session.connect()
        session.apply(lambda _: [recipes.write])
        for started in processes_of(session):
            process = Path(f"/proc/{started.pid}")
            for part in ("cmdline", "environ"):
                assert farm.SECRET not in (process / part).read_bytes().decode(errors="replace")
            opened = [str(file.readlink()) for file in (process / "fd").iterdir() if int(file.name) > 2]
            assert not [name for name in opened if name.startswith(("/tmp", "/var/tmp", "/dev/shm"))]
    memory = (farm.folder / "memory.json").read_text()
    assert '"m3":[' in memory
    assert farm.SECRET not in memory


def test_recipes_that_cannot_travel_are_refused_before_anything_is_done(farm: Any) -> None:
    with farm.session(farm.targets(), 2) as session:
        session.connect()
        with pytest.raises(TypeError, match="must be functions of a module"):
            session.apply(lambda _: [lambda: None])


def test_few_machines_stay_in_one_process_and_many_do_not(farm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    options = Options(farm.folder / "known_hosts", ())
    many = [Target(str(number), "laptop", SshAddress("127.0.0.1", 9), "root", {}) for number in range(1000)]
    kinds = {count: type(Session(many[:count], options, print)).__name__ for count in (1, 60, 99, 100, 1000)}
    assert kinds == {1: "Session", 60: "Session", 99: "Session", 100: "SpreadSession", 1000: "SpreadSession"}
