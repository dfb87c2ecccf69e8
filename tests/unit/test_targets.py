"""How long a machine may take is half an hour, or what the environment says; what machines were asked is kept by version."""

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.errors import UsageError
from toolkit.inventory import load
from toolkit.targets import DEADLINE, Job, deadline_seconds


def test_a_machine_may_take_half_an_hour(monkeypatch):
    monkeypatch.delenv(DEADLINE, raising=False)
    assert deadline_seconds() == 1800


def test_a_slow_machine_may_take_longer(monkeypatch):
    monkeypatch.setenv(DEADLINE, "90")
    assert deadline_seconds() == 5400


@pytest.mark.parametrize("said", ["", "soon", "0", "-3", "nan", "inf"])
def test_what_is_no_number_of_minutes_is_refused(monkeypatch, said):
    monkeypatch.setenv(DEADLINE, said)
    with pytest.raises(UsageError, match="TELEKIT_DEADLINE"):
        deadline_seconds()


def test_what_another_version_asked_and_another_folder_s_machines_were_asked_is_kept_apart(tmp_path, monkeypatch):
    commune = load(Path(__file__).parents[2] / "inventories" / "lab").commune
    job = Job(tmp_path / "lab", commune, (), ())
    before = job.edition
    assert replace(job, folder=tmp_path / "other").edition != before
    monkeypatch.setattr("toolkit.targets.__version__", "9.9")
    assert job.edition != before
