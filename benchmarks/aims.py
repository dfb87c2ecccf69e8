"""The targets of the measurement: what was asked, what was measured, whether it is met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.plot import amount

FAR, NEAR = "40 ms", "0 ms"
NOTHING, ONE, FRESH = "no-op", "one-agent change", "fresh machine"
# Of light targets: one file of each.
CHANGE = "one change"
TELEKIT, ENGINE, PYINFRA, ANSIBLE, MITOGEN, FLOOR = (
    "telekit provision", "telekit engine", "pyinfra", "ansible", "ansible + mitogen", "floor",
)  # fmt: skip


@dataclass(frozen=True)
class Aim:
    """A target: what was asked, what was measured, whether it is met."""

    what: str
    asked: str
    measured: str
    met: bool

    def row(self) -> tuple[str, ...]:
        return self.what, self.asked, self.measured, "yes" if self.met else "**no**"


def at_least(what: str, times: float, slow: float, fast: float) -> Aim:
    return Aim(what, f"≥ {times:g} ×", f"{amount(slow / fast)} ×", slow / fast >= times)


def at_most(what: str, most: float, value: float, unit: str) -> Aim:
    return Aim(what, f"≤ {most:g} {unit}", f"{amount(value)} {unit}", value <= most)


def town_aims(found: Mapping[str, Any]) -> list[Aim]:
    idle, change = (found.get(name, {}).get(FAR, {}) for name in (NOTHING, ONE))
    asked = (
        ("No-op at 40 ms, against Ansible", 15, idle, ANSIBLE),
        ("No-op at 40 ms, against plain pyinfra", 10, idle, PYINFRA),
        ("One-agent change at 40 ms, against Ansible", 12, change, ANSIBLE),
    )
    aims = [
        at_least(what, times, rows[other]["median"], rows[TELEKIT]["median"])
        for what, times, rows, other in asked
        if {other, TELEKIT} <= rows.keys()
    ]
    if {ENGINE, FLOOR} <= idle.keys():
        ratio = inside(idle[ENGINE]) / idle[FLOOR]["median"]
        aims.append(at_most("No-op at 40 ms, engine against the physical floor", 2, ratio, "×"))
    return aims + (verify_aims(found["verify"]) if "connections" in found.get("verify", {}) else [])


def verify_aims(found: Mapping[str, Any]) -> list[Aim]:
    return [
        at_most("A check of `verify` on the LAN", 15, found["simple"]["telekit"]["median"] * 1000, "ms"),
        at_most("Connections a machine in a whole `verify`", 1, max(found["connections"].values()), ""),
    ]


def inside(row: Mapping[str, Any]) -> float:
    """Seconds from the first connection to the last answer, without the program's start."""
    return median(run["connect"] + run["apply"] for run in row["inside"])


def scale_aims(found: Mapping[str, Any]) -> list[Aim]:
    most = max(found, key=int)
    aims = []
    for kind in (NOTHING, CHANGE):
        cost = {n: rows[kind]["telekit"]["cpu_median"] / int(n) * 1000 for n, rows in found.items() if kind in rows}
        highest = max(cost.values(), default=0)
        # The largest number of targets, and the one that costs most a machine.
        shown = (n for n in cost if n == most or cost[n] == highest)
        aims += [at_most(f"Client CPU a machine, {kind} of {n}", 25, cost[n], "ms") for n in shown]
    aims.append(at_most(f"Client memory at {most}", 200, found[most]["memory"]["telekit"]["memory"] / 1e6, "MB"))
    least = min(found, key=int)
    each = {n: found[n][NOTHING]["telekit"]["median"] / int(n) for n in (least, most)}
    if least != most:
        what = f"Growth from {least} to {most}: seconds a machine, against those at {least}"
        aims.append(at_most(what, 1.1, each[most] / each[least], "×"))
    for count, rows in found.items():
        if ANSIBLE in rows[NOTHING]:
            slow, fast = rows[NOTHING][ANSIBLE]["median"], rows[NOTHING]["telekit"]["median"]
            aims.append(at_least(f"No-op of {count} light targets, against Ansible", 25, slow, fast))
    return aims


def startup_aims(found: Mapping[str, Any]) -> list[Aim]:
    most = {"telekit --help": 150, "telekit check --commune lab": 300}
    return [at_most(f"`{name}`", limit, found[name]["median"] * 1000, "ms") for name, limit in most.items()]


def aims_of(found: Mapping[str, Any]) -> list[Aim]:
    makers = {"town": town_aims, "scale": scale_aims, "startup": startup_aims}
    return [aim for part, make in makers.items() if part in found for aim in make(found[part])]
