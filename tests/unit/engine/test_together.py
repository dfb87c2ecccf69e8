"""Several machines side by side: recipes of their own, and what they must agree on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gevent
from pyinfra import host
from pyinfra.operations import server

from toolkit.engine.batch import LocalLink, Machine, Together


def side_by_side(recipe: Callable[[], None], count: int = 4) -> list[Machine]:
    together = Together()
    machines = [Machine(f"m{n}", LocalLink(), data={"number": n}, together=together) for n in range(count)]
    done = gevent.joinall([gevent.spawn(machine.apply, [recipe]) for machine in machines], raise_error=True)
    assert [greenlet.value.failure for greenlet in done] == [None] * count
    return machines


def test_recipes_that_differ_from_machine_to_machine_do_not_mix(tmp_path: Path) -> None:
    def recipe() -> None:
        for word in range(host.data.number + 1):
            server.shell(name=f"Write {word} of {host.name}", commands=[f"echo {word} >> {tmp_path}/{host.name}"])

    side_by_side(recipe)
    assert [(tmp_path / f"m{n}").read_text().split() for n in range(4)] == [
        ["0"],
        ["0", "1"],
        ["0", "1", "2"],
        ["0", "1", "2", "3"],
    ]


def test_what_is_to_run_once_runs_on_one_machine(tmp_path: Path) -> None:
    def recipe() -> None:
        once = server.shell(name="Once", commands=[f"echo {host.name} >> {tmp_path}/log"], _run_once=True)
        server.shell(name="After", commands=[f"echo {host.name} >> {tmp_path}/after"], _if=once.did_change)

    machines = side_by_side(recipe)
    assert len((tmp_path / "log").read_text().split()) == 1
    assert (tmp_path / "after").read_text() == (tmp_path / "log").read_text()
    assert sum(len(machine.plan([recipe])) for machine in machines) == 2


def test_what_is_serial_runs_on_one_machine_at_a_time(tmp_path: Path) -> None:
    def recipe() -> None:
        script = f"mkdir {tmp_path}/taken && sleep 0.1 && rmdir {tmp_path}/taken"
        server.shell(name="Take turns", commands=[script], _serial=True)

    side_by_side(recipe)
    assert not list(tmp_path.iterdir())
