"""--json: one document on standard output, for every command and every way to end, as docs/telekit.schema.json says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from toolkit.errors import Problem
from toolkit.report.document import document
from toolkit.result import Change, Check, MachineReport, Result, State

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "telekit.schema.json").read_text(encoding="utf-8"))
Telekit = Callable[..., subprocess.CompletedProcess[str]]


def valid(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_knows_every_state() -> None:
    assert set(SCHEMA["$defs"]["state"]["enum"]) == {str(state) for state in State}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check", "--commune", "lab"), 0),
        (("check",), 2),
        (("check", "--commune", "nowhere"), 2),
        (("plan", "--commune", "lab", "--only", "gw-mairie"), 1),
        (("plan", "--commune", "lab", "--nonsense"), 2),
        (("provision", "--commune", "lab"), 2),
        (("status", "--commune", "lab", "--only", "gw-mairie"), 1),
        (("trust", "--commune", "lab", "--role", "gateway"), 1),
        (("completion", "bash"), 0),
        (("lab", "status", "--name", "never-up"), 0),
        (("nonsense",), 2),
        ((), 2),
    ],
)
def test_every_command_writes_one_document_also_when_it_fails(telekit: Telekit, arguments: tuple[str, ...], code: int) -> None:
    done = telekit(*arguments, "--json")
    assert done.returncode == code, done.stderr
    found = valid(done.stdout)
    assert found["exit_code"] == code
    assert code != 2 or found["problems"]


def test_a_refused_inventory_lists_every_problem(telekit: Telekit, inventories: Path) -> None:
    (inventories / "lab" / "agents.csv").write_text("identifiant\nx\n", encoding="utf-8")
    done = telekit("check", "--commune", "lab", "--json")
    found = valid(done.stdout)
    assert found["problems"]
    assert any("agents.csv:1" in problem["where"] for problem in found["problems"])


def test_a_plan_with_everything_in_it_is_valid() -> None:
    machine = MachineReport(
        "gw-mairie", "gateway", State.PENDING, "",
        (Change("Write wg0.conf", "change", "+ peer", "+x"), Change("Apply", "conditional")),
        (Check("It answers", "not checked", "why", 0.25),), ("its clock is 40 s ahead",), 1.23456, {"ssh": "10.94.0.1"},
    )  # fmt: skip
    result = Result(
        "plan", "lab", (machine,), {"seconds": 1.5}, (Problem("what", "where", "hint", warning=True),), "Done.", "next", 3
    )
    found = valid(json.dumps(document(result)))
    assert found["summary"] == {"states": {"pending": 1}, "seconds": 1.5}
    assert found["machines"][0]["changes"][1] == {"name": "Apply", "kind": "conditional", "detail": None, "diff": None}


def test_the_example_in_the_documentation_is_what_check_writes(telekit: Telekit) -> None:
    page = (DOCS / "json.md").read_text(encoding="utf-8")
    example = page.split("```json\n")[1].split("```")[0]
    assert json.loads(example) == json.loads(telekit("check", "--commune", "lab", "--json").stdout)
