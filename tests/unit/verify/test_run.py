"""The packaged checks as `toolkit.verify.run` runs them, on a town hall where nothing answers."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit import verify
from toolkit.checks.declare import Theme
from toolkit.model import Commune


@pytest.fixture
def asleep(connections: Any, commune: Commune) -> Any:
    connections.unreachable = {m.name: "no answer" for m in commune.machines}
    return connections


def test_where_nothing_answers_nothing_passes(commune: Commune, asleep: Any) -> None:
    seen: list[verify.CheckDone] = []
    found = verify.run(commune, asleep, emit=seen.append)
    assert found.exit_code == 1
    assert {r.outcome for r in found.results} == {"not checked"}
    assert {r.machine for r in found.results} == {m.name for m in commune.machines} == set(found.unreachable)
    assert {r.theme for r in found.results} == {theme.value for theme in Theme}
    assert sorted(e.result.check for e in seen) == sorted(r.check for r in found.results)


def test_every_check_says_everything_in_both_languages_and_is_named_once(commune: Commune, asleep: Any) -> None:
    results = verify.run(commune, asleep).results
    assert all(r.title and r.titre and r.tried and r.expected and r.fix for r in results)
    assert not [r for r in results if "{" in r.title + r.titre + r.tried + r.expected + r.fix]
    assert len({(r.machine, r.check) for r in results}) == len(results)


def test_only_the_machines_named_are_examined(commune: Commune, asleep: Any) -> None:
    found = verify.run(commune, asleep, only=["gw"])
    assert {r.machine for r in found.results} == {"gw"} == set(found.machines)
