"""The town of five machines: every tool, the same work, the same machines, one after the other in each round."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import floor, peers
from benchmarks.equality import compare, portrait
from benchmarks.kept import FAILURES
from benchmarks.measure import Cost, ToolFailedError, run
from benchmarks.town import AGENT, BenchTown, town
from toolkit.inventory import load

ROUND_TRIPS = (0.0, 0.040)
# As one asks for them → as the results name them.
SCENARIOS = {"fresh": "fresh machine", "no-op": "no-op", "one-agent": "one-agent change", "verify": "verify"}
Tool = Callable[[BenchTown, str], Cost]
Portraits = dict[str, dict[tuple[str, str], str]]

TOOLS: dict[str, Tool] = {
    "telekit provision": lambda t, _: t.telekit("provision", "--yes", "--json"),
    "telekit engine": lambda t, _: t.engine(),
    "pyinfra": lambda t, _: t.pyinfra(),
    "ansible": lambda t, staff: t.playbook(staff),
    "ansible + mitogen": lambda t, staff: t.playbook(staff, mitogen=True),
}
LOOKING: dict[str, Tool] = {"telekit plan": lambda t, _: t.telekit("plan", "--json")}


def changes(tool: str, cost: Cost) -> int:
    """How many changes a tool says it made."""
    if tool == "telekit engine":
        summary = json.loads(cost.stdout)
        if summary["failed"] or summary["unreachable"]:
            raise ToolFailedError(f"the engine failed: {summary}")
        return int(summary["changes"])
    if tool.startswith("telekit"):
        return sum(len([c for c in m["changes"] if c["kind"] == "change"]) for m in json.loads(cost.stdout)["machines"])
    if tool == "pyinfra":
        return _pyinfra_changes(cost)
    return sum(int(number) for number in re.findall(r"changed=(\d+)", cost.stdout))


def _pyinfra_changes(cost: Cost) -> int:
    """From the table that pyinfra ends with, on standard error: hosts, successes, errors, no changes; a dash is none."""
    (total,) = re.findall(r"^ *Grand total +(.+)$", cost.stderr, re.MULTILINE)
    _, succeeded, failed, _ = (0 if word == "-" else int(word) for word in total.split())
    if failed:
        raise ToolFailedError(f"pyinfra failed\n{cost.stderr[-2000:]}")
    return succeeded


class Scenarios:
    """What is measured on the town, a scenario at a time. `log` is told of every run as it ends."""

    def __init__(self, found: BenchTown, runs: int, log: Callable[[str], None]) -> None:
        self.town, self.runs, self.log = found, runs, log
        self.results: dict[str, Any] = {}

    def of(self, scenario: str) -> dict[str, Any]:
        """Measure a scenario, on a town that `prepare` or another scenario left: its results by name."""
        self.results = {}
        if scenario == "fresh":
            self.fresh()
        elif scenario == "verify":
            with self._attempt(scenario, 0.0, "telekit verify"):
                self.results[scenario] = self.verify()
        else:
            self.steady(SCENARIOS[scenario])
        return self.results

    @contextmanager
    def _attempt(self, scenario: str, round_trip: float, tool: str, settle: Callable[[], object] | None = None) -> Iterator[None]:
        """A tool that fails is reported, has no time, and takes nothing from the others. settle: rights what it left."""
        try:
            yield
        except ToolFailedError as error:
            told = f"{scenario}, {_at(round_trip)}, {tool}: {error}"
            self.log(f"FAILED: {told}")
            self.results.setdefault(scenario, {}).setdefault(FAILURES, []).append(told.splitlines()[0])
            if settle is not None:
                with suppress(ToolFailedError):
                    settle()

    # -- a town to begin with ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """A first town that fills the package cache, gives the others their keys, and the playbook its inputs."""
        self.log("first town: provision, keys, inputs")
        self.town.rebuild()
        self.town.telekit("provision", "--yes")
        self.town.remember_keys()
        self.town.inputs("with")
        self.town.staff(without=AGENT)
        self.town.inputs("without")
        self.town.staff()

    # -- fresh machines ----------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """Each tool on machines that nobody has touched; what they come to is compared."""
        portraits: dict[str, Portraits] = {}
        for round_trip in ROUND_TRIPS:
            for tool in ("telekit provision", "pyinfra", "ansible"):
                with self._attempt("fresh machine", round_trip, tool):
                    self._fresh(tool, round_trip)
                    if round_trip == 0:
                        portraits[tool] = {name: portrait(self.town.lab.machine(name)) for name in self.town.machines}
                        self._cross(tool)
        ours = portraits.pop("telekit provision", None)
        self.results["equality"] = {f"telekit and {tool}": vars(compare(ours, made)) for tool, made in portraits.items() if ours}

    def _fresh(self, tool: str, round_trip: float) -> None:
        self.town.relay.set(0)
        self.town.rebuild()
        self.town.relay.set(round_trip)
        bootstrap = self.town.playbook("with", book="bootstrap.yml").seconds if tool == "ansible" else 0.0
        self._note("fresh machine", round_trip, tool, TOOLS[tool](self.town, "with"), bootstrap)
        self.town.relay.set(0)

    def _cross(self, tool: str) -> None:
        """What the other tools would still change on the machines that one has made."""
        found = self.results.setdefault("still to change", {}).setdefault(tool, {})
        for other in ("telekit plan", "ansible"):
            with self._attempt("fresh machine", 0.0, f"{other} on the machines of {tool}"):
                found[other] = changes(other, (TOOLS | LOOKING)[other](self.town, "with"))

    # -- machines that are right, and one agent who comes or goes ----------------------------------------------------

    def steady(self, scenario: str) -> None:
        """Rounds in which every tool has its turn."""
        tools = TOOLS | LOOKING if scenario == "no-op" else TOOLS
        self.town.relay.set(0)
        self.town.engine()
        for round_trip in ROUND_TRIPS:
            self.town.relay.set(round_trip)
            for number in range(self.runs):
                for tool in tools:
                    with self._attempt(scenario, round_trip, tool, self.town.engine), self._staffed(scenario, number) as staff:
                        self._note(scenario, round_trip, tool, tools[tool](self.town, staff))
                with self._attempt(scenario, round_trip, "floor"):
                    self._floor(scenario, number, round_trip)

    @contextmanager
    def _staffed(self, scenario: str, number: int) -> Iterator[str]:
        """For a change: the machines as before it, agents.csv as after it. One round the agent goes, the next they come back."""
        if scenario == "no-op":
            yield "with"
            return
        goes = number % 2 == 0
        self.town.staff(without="" if goes else AGENT)
        self.town.engine()
        self.town.staff(without=AGENT if goes else "")
        try:
            yield "without" if goes else "with"
        finally:
            self.town.staff()

    def _floor(self, scenario: str, number: int, round_trip: float) -> None:
        with tempfile.TemporaryDirectory() as name, self._staffed(scenario, number):
            command = ["benchmarks.engine", "town", self.town.inventory]
            run([peers.PYTHON, "-m", *command], env={"BENCH_CAPTURE": name})
            scripts = floor.capture(Path(name))
            inventory = self.town.inventory
            machines = load(inventory).commune.machines
            ways = {
                m.name: floor.Way("telekit", m.ssh.port, scripts[m.ssh.port]) for m in machines if m.ssh and m.ssh.port in scripts
            }
            seconds = floor.measure(ways, inventory / "known_hosts", inventory / "operator_ed25519", round_trip)
        self._note(scenario, round_trip, "floor", Cost(seconds, 0.0, 0, ""))

    def _note(self, scenario: str, round_trip: float, tool: str, cost: Cost, before: float = 0.0) -> None:
        made = changes(tool, cost) if tool != "floor" else 0
        at = _at(round_trip)
        row = self.results.setdefault(scenario, {}).setdefault(at, {}).setdefault(tool, {"runs": [], "cpu": [], "changes": []})
        row["runs"].append(round(cost.seconds + before, 3))
        row["cpu"].append(round(cost.cpu, 3))
        row["changes"].append(made)
        row["median"] = median(row["runs"])
        if tool == "telekit engine":
            row.setdefault("inside", []).append(json.loads(cost.stdout))
        self.log(f"{scenario}, {at}, {tool}: {cost.seconds + before:.2f} s, {made} changes")

    # -- verify ------------------------------------------------------------------------------------------------------

    def verify(self) -> dict[str, Any]:
        """The whole of `telekit verify`, with the connections that it makes; and what a simple check takes, by itself."""
        self.town.relay.set(0)
        self.town.staff()
        self.town.engine()
        before = self.town.relay.connections()
        cost = self.town.telekit("verify", "--json", codes=(0, 1))
        after = self.town.relay.connections()
        made = {port: after[port] - before.get(port, 0) for port in after}
        result = json.loads(cost.stdout)
        checks = [check["seconds"] for machine in result["machines"] for check in machine["checks"]]
        simple = json.loads(run([peers.PYTHON, "-m", "benchmarks.checks", self.town.inventory]).stdout)
        self.log(f"verify: {len(checks)} checks in {cost.seconds:.1f} s; a simple one: {simple}")
        return {
            "seconds": cost.seconds, "checks": len(checks), "check_seconds": checks, "connections": made, "simple": simple,
        }  # fmt: skip


def _at(round_trip: float) -> str:
    return f"{round_trip * 1000:.0f} ms"


def measure(scenarios: Sequence[str], runs: int, log: Callable[[str], None], keep: Callable[[Mapping[str, Any]], None]) -> None:
    """The scenarios asked for, on one town; each is kept when it ends."""
    with town() as found:
        measured = Scenarios(found, runs, log)
        measured.prepare()
        for scenario in scenarios:
            keep(measured.of(scenario))
