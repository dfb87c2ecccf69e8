"""What a machine was last given is what its last whole provision knew, whatever was edited since."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from toolkit import journal, snapshot
from toolkit.inventory import load
from toolkit.result import Change, MachineReport, Result, State

LAB = Path(__file__).parents[2] / "inventories" / "lab"
FILES = ("commune.toml", "agents.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lab"
    made.mkdir()
    for name in FILES:
        (made / name).write_bytes((LAB / name).read_bytes())
    return made


def provision(folder: Path, *, keep: bool = True, **states: State) -> None:
    """A run that left these machines so; a failed one had changed something."""
    machines = tuple(
        MachineReport(name.replace("_", "-"), "gateway", state, changes=(Change("Write"),) if state is State.FAILED else ())
        for name, state in states.items()
    )
    with journal.run(folder, "provision", "lab", selected=[m.name for m in machines]) as run:
        by_hand = snapshot.written_by_hand(folder)
        run.finish(Result("provision", "lab", machines), given=snapshot.keep(folder, by_hand) if keep else "")


def given(folder: Path, name: str = "gw-mairie") -> object:
    return snapshot.last_given(folder, [name])[name]


def test_it_is_the_inventory_of_that_day_under_the_communes_name(folder):
    provision(folder, gw_mairie=State.CHANGED)
    (folder / "agents.csv").write_text("identifiant;nom\n")
    found = given(folder)
    assert isinstance(found, snapshot.Given)
    assert found.day == date.today()
    commune = load(found.folder, today=found.day).commune
    assert (commune.slug, len(commune.agents)) == ("lab", 2)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (State.UNREACHABLE, snapshot.Given),
        (State.UNCHANGED, snapshot.Given),
        (State.FAILED, str),
        (State.UNFINISHED, snapshot.Given),
    ],
)
def test_a_run_that_did_not_touch_the_machine_changes_nothing(folder, later, expected):
    provision(folder, gw_mairie=State.CHANGED)
    provision(folder, gw_mairie=later)
    assert isinstance(given(folder), expected)


def test_a_run_that_was_killed_says_nothing_about_its_machines(folder):
    provision(folder, gw_mairie=State.CHANGED)
    with pytest.raises(RuntimeError), journal.run(folder, "provision", "lab", selected=["gw-mairie"]):
        raise RuntimeError
    assert given(folder) == snapshot.HALF


def test_a_machine_without_a_run_was_never_provisioned(folder):
    provision(folder, gw_mairie=State.CHANGED)
    assert given(folder, "portable-041") == snapshot.NEVER


def test_a_run_of_an_older_telekit_kept_nothing(folder):
    provision(folder, keep=False, gw_mairie=State.CHANGED)
    assert given(folder) == snapshot.FORGOTTEN


def test_what_no_machine_speaks_of_any_more_is_dropped(folder):
    provision(folder, gw_mairie=State.CHANGED, portable_041=State.CHANGED)
    (folder / "agents.csv").write_bytes((folder / "agents.csv").read_bytes() + b"\n")
    provision(folder, gw_mairie=State.UNCHANGED)
    kept = folder / "journal" / "given"
    assert len(list(kept.iterdir())) == 2
    provision(folder, portable_041=State.UNCHANGED)
    snapshot.prune(folder, ["gw-mairie", "portable-041"])
    assert len(list(kept.iterdir())) == 1
    assert isinstance(given(folder), snapshot.Given)
