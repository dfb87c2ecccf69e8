"""What the benchmark measured is kept piece by piece, and the page tells what there is and what there is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import kept, page
from benchmarks.aims import ANSIBLE, ENGINE, FLOOR, PYINFRA, TELEKIT
from benchmarks.measure import ToolFailedError
from benchmarks.small import Scenarios

ABOUT: dict[str, Any] = {"computer": "2 cores", "versions": {"pyinfra": "3.10.0"}}


def row(seconds: float) -> dict[str, Any]:
    inside = [{"connect": 0.1, "apply": seconds / 2, "executions": 2}]
    return {"runs": [seconds], "cpu": [seconds], "median": seconds, "changes": [0], "inside": inside}


def rows(*tools: str) -> dict[str, Any]:
    return {tool: row(1.0 + place) for place, tool in enumerate(tools)}


def test_what_is_measured_in_several_goes_comes_together(tmp_path: Path) -> None:
    assert kept.keep(tmp_path, "scale", {"500": {"no-op": 1}, "50": {"no-op": 1}}, ABOUT)
    assert kept.keep(tmp_path, "scale", {"50": {"no-op": 2}}, ABOUT)
    assert (kept.read(tmp_path, "scale") or {})["results"] == {"500": {"no-op": 1}, "50": {"no-op": 2}}


def test_numbers_from_other_versions_or_computers_are_not_held_beside_new_ones(tmp_path: Path) -> None:
    kept.keep(tmp_path, "town", {"no-op": {"0 ms": rows(TELEKIT)}}, ABOUT)
    assert not kept.keep(tmp_path, "town", {"verify": {}}, ABOUT | {"versions": {"pyinfra": "3.11.0"}})
    content = kept.read(tmp_path, "town") or {}
    assert (list(content["results"]), list(content["dates"])) == (["verify"], ["verify"])


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"no-op": {"0 ms": rows(TELEKIT, ANSIBLE)}},
        {"no-op": {"40 ms": rows(PYINFRA, ENGINE), "failures": ["no-op, 40 ms, ansible: ended with 2"]}},
        {"no-op": {"0 ms": rows(ENGINE, FLOOR), "40 ms": rows(TELEKIT, ENGINE, FLOOR, ANSIBLE)}},
        {"fresh machine": {"0 ms": rows(TELEKIT)}, "equality": {}},
        {"verify": {"failures": ["verify, 0 ms, telekit verify: ended with 3"]}},
    ],
)
def test_the_page_tells_what_there_is_and_names_what_there_is_not(found: dict[str, Any], tmp_path: Path) -> None:
    kept.keep(tmp_path, "town", found, ABOUT)
    page.write(tmp_path, tmp_path)
    text = (tmp_path / "performance.md").read_text(encoding="utf-8")
    (missing,) = (line for line in text.splitlines() if line.startswith("Not measured: "))
    assert [f"town: {piece}" in missing for piece in page.WHOLE["town"]] == [piece not in found for piece in page.WHOLE["town"]]
    assert [line in text for line in kept.failed(found)] == [True] * len(kept.failed(found))


def test_one_number_of_targets_without_peers_makes_a_page(tmp_path: Path) -> None:
    measured = row(2.0) | {"cpu_median": 1.0, "memory": 10**8}
    kept.keep(tmp_path, "scale", {"500": {"no-op": {"telekit": measured}, "memory": {"telekit": measured}}}, ABOUT)
    page.write(tmp_path, tmp_path)
    text = (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert "| 500, telekit | 2.00 s |" in text
    assert "scale: 1000" in text


def test_a_tool_that_fails_takes_nothing_from_the_others() -> None:
    told: list[str] = []
    scenarios = Scenarios(None, 1, told.append)  # type: ignore[arg-type]  # no town is needed for that
    for tool in (PYINFRA, ANSIBLE):
        with scenarios._attempt("no-op", 0.04, tool):
            scenarios.results.setdefault("no-op", {}).setdefault("40 ms", {})
            if tool == ANSIBLE:
                raise ToolFailedError("ended with 2\na long output")
            scenarios.results["no-op"]["40 ms"][tool] = row(1.0)
    assert list(scenarios.results["no-op"]["40 ms"]) == [PYINFRA]
    assert kept.failed(scenarios.results) == ["no-op, 40 ms, ansible: ended with 2"]
    assert "a long output" in told[-1]
