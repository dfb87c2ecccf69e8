"""Which lab belongs to an inventory, whatever other labs there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import toolkit.lab
from toolkit.lab import standing


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"inventory": 7}', '{"inventory": "/elsewhere", "of": "another version"}'])
def test_a_lab_that_cannot_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(toolkit.lab, "RUNTIME", tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "town.json").write_text(text, encoding="utf-8")
    (tmp_path / "coming").mkdir()
    assert standing(tmp_path / "inventory") is None


def test_the_lab_of_the_inventory_is_found_among_others_and_only_while_it_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = tmp_path / "inventory"
    up = {"mine": True, "mine-too": False}

    class Known:
        def __init__(self, name: str) -> None:
            self.name = name

        def status(self) -> toolkit.lab.LabStatus:
            return toolkit.lab.LabStatus(self.name, "nspawn", up=up[self.name], inventory=str(inventory))

    monkeypatch.setattr(toolkit.lab, "RUNTIME", tmp_path)
    monkeypatch.setattr(toolkit.lab, "create", Known)
    for name, where in {"aaa": "/elsewhere", "mine": inventory, "mine-too": inventory}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "town.json").write_text(json.dumps({"inventory": str(where)}), encoding="utf-8")
    found = standing(inventory)
    assert found is not None
    assert found.name == "mine"
    up["mine"] = False
    assert standing(inventory) is None
