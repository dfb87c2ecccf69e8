"""Many light targets: what one of them costs the client, and whether a thousand cost a thousand times that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import peers
from benchmarks.aims import CHANGE, NOTHING
from benchmarks.ansible_inputs import light_inputs
from benchmarks.commune import CONTACTS
from benchmarks.kept import FAILURES
from benchmarks.light import light_targets
from benchmarks.measure import Cost, ToolFailedError

BOTH = (NOTHING, CHANGE)
# How many targets the tools with a cost of their own are asked to bear, and for what, once each: Ansible takes ten minutes for
# fifty, some forty for two hundred. Plain pyinfra is compared in the town: for fifty it takes five minutes, in which it waits.
PEERS = {"ansible": {50: BOTH, 200: (NOTHING,)}, "ansible + mitogen": {50: BOTH}}
# Beyond this many a run takes minutes, most of them the targets' own: then one of each kind must do.
REPEATED_UP_TO = 200


class Scale:
    """One number of targets."""

    def __init__(self, folder: Path, count: int, runs: int, log: Callable[[str], None]) -> None:
        self.folder, self.count, self.runs, self.log = folder, count, runs, log
        self.results: dict[str, Any] = {}

    def everything(self) -> dict[str, Any]:
        self._note("first time", "telekit", self._engine(change=False), changes=None)
        # It asked what there is before there are files; only the next run learns what is asked of those.
        self._settle()
        if self.count > REPEATED_UP_TO:
            self._once()
            return self.results
        for number in range(self.runs):
            self._note(NOTHING, "telekit", self._engine(change=number % 2 == 1), changes=0)
            self._note(CHANGE, "telekit", self._engine(change=number % 2 == 0), changes=self.count)
        self._settle()
        self._note("memory", "telekit", self._engine(change=False, memory=True), changes=0)
        for tool, asked in PEERS.items():
            self._attempt(tool, asked.get(max(self.count, min(asked)), ()))
        return self.results

    def _once(self) -> None:
        idle = self._engine(change=False, memory=True)
        for scenario in (NOTHING, "memory"):
            self._note(scenario, "telekit", idle, changes=0)
        self._note(CHANGE, "telekit", self._engine(change=True), changes=self.count)

    def _attempt(self, tool: str, scenarios: Sequence[str]) -> None:
        """A peer that fails is reported, has no time, and takes nothing from the others."""
        try:
            self._peer(tool, scenarios)
        except ToolFailedError as error:
            told = f"{self.count} targets, {tool}: {error}"
            self.log(f"FAILED: {told}")
            self.results.setdefault(FAILURES, []).append(told.splitlines()[0])
            for rows in self.results.values():
                if isinstance(rows, dict):
                    rows.pop(tool, None)
            self._settle()

    def _settle(self) -> None:
        self._engine(change=False)

    def _engine(self, *, change: bool, memory: bool = False) -> Cost:
        return peers.engine("light", self.folder, str(self.count), *(["changed"] if change else []), memory=memory)

    def _peer(self, tool: str, scenarios: Sequence[str]) -> None:
        for scenario in scenarios:
            change = scenario != NOTHING
            inventory = light_inputs(self.folder, self.count, CONTACTS[change])
            # As with the engine beyond a few hundred: a run of its own for the memory would take as long again.
            cost = peers.playbook("light.yml", inventory, mitogen="mitogen" in tool, memory=not change)
            self._note(scenario, tool, cost, changes=self.count if change else 0)
            if not change:
                self._note("memory", tool, cost, changes=0)
        if scenarios:
            self._settle()

    def _note(self, scenario: str, tool: str, cost: Cost, changes: int | None) -> None:
        made = changes_of(tool, cost)
        if changes is not None and made != changes:
            raise ToolFailedError(
                f"{tool}, {scenario}, {self.count} targets: {made} changes instead of {changes}\n{cost.stdout[-2000:]}"
            )
        row = self.results.setdefault(scenario, {}).setdefault(tool, {"runs": [], "cpu": [], "memory": 0})
        row["runs"].append(round(cost.seconds, 3))
        row["cpu"].append(round(cost.cpu, 3))
        row["memory"] = max(row["memory"], cost.memory)
        row["median"], row["cpu_median"] = median(row["runs"]), median(row["cpu"])
        if tool == "telekit":
            row.setdefault("inside", []).append(json.loads(cost.stdout))
        each = f"client {cost.cpu / self.count * 1000:.1f} ms a machine, {cost.memory / 1e6:.0f} MB"
        self.log(f"{self.count} targets, {scenario}, {tool}: {cost.seconds:.2f} s, {each}")


def changes_of(tool: str, cost: Cost) -> int:
    """How many changes a tool says it made."""
    if tool == "telekit":
        summary = json.loads(cost.stdout)
        if summary["failed"] or summary["unreachable"]:
            raise ToolFailedError(f"the engine failed: {summary}")
        return int(summary["changes"])
    return sum(int(number) for number in re.findall(r"changed=(\d+)", cost.stdout))


def measure(counts: tuple[int, ...], runs: int, log: Callable[[str], None], keep: Callable[[Mapping[str, Any]], None]) -> None:
    """Number of targets → scenario → tool → what it took; each number is kept when it ends."""
    for count in counts:
        log(f"starting {count} light targets")
        with light_targets(count) as targets:
            keep({str(count): Scale(targets.identity.parent, count, runs, log).everything()})
