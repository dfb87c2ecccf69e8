"""docs/performance.md and its plots, from the results and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ROOT
from benchmarks.plot import amount, bars, lines

DOCS = ROOT / "docs"
FAR, NEAR = "40 ms", "0 ms"
NOTHING, ONE, FRESH = "no-op", "one-agent change", "fresh machine"
TELEKIT, ENGINE, PYINFRA, ANSIBLE, MITOGEN, FLOOR = (
    "telekit provision", "telekit engine", "pyinfra", "ansible", "ansible + mitogen", "floor",
)  # fmt: skip
NAMES = {
    TELEKIT: "`telekit provision`", "telekit plan": "`telekit plan`", ENGINE: "telekit's engine, recipes alone",
    PYINFRA: "pyinfra", ANSIBLE: "Ansible", MITOGEN: "Ansible with Mitogen", FLOOR: "physical floor",
}  # fmt: skip


@dataclass(frozen=True)
class Aim:
    """A target: what was asked, what was measured, whether it is met."""

    what: str
    asked: str
    measured: str
    met: bool

    def row(self) -> tuple[str, ...]:
        return self.what, self.asked, self.measured, "yes" if self.met else "**no**"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns after the first stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def at_least(what: str, times: float, slow: float, fast: float) -> Aim:
    return Aim(what, f"≥ {times:g} ×", f"{amount(slow / fast)} ×", slow / fast >= times)


def at_most(what: str, most: float, value: float, unit: str) -> Aim:
    return Aim(what, f"≤ {most:g} {unit}", f"{amount(value)} {unit}", value <= most)


# -- parts of the page -------------------------------------------------------------------------------------------------


def town_aims(found: Mapping[str, Any]) -> list[Aim]:
    idle, change = found[NOTHING][FAR], found[ONE][FAR]
    engine = inside(idle[ENGINE])
    aims = [
        at_least("No-op at 40 ms, against Ansible", 15, idle[ANSIBLE]["median"], idle[TELEKIT]["median"]),
        at_least("No-op at 40 ms, against plain pyinfra", 10, idle[PYINFRA]["median"], idle[TELEKIT]["median"]),
        at_least("One-agent change at 40 ms, against Ansible", 12, change[ANSIBLE]["median"], change[TELEKIT]["median"]),
        at_most("No-op at 40 ms, engine against the physical floor", 2, engine / idle[FLOOR]["median"], "×"),
    ]
    verify = found["verify"]
    simple = verify["simple"]["telekit"]["median"] * 1000
    most = max(verify["connections"].values())
    return [
        *aims,
        at_most("A check of `verify` on the LAN", 15, simple, "ms"),
        at_most("Connections a machine in a whole `verify`", 1, most, ""),
    ]


def inside(row: Mapping[str, Any]) -> float:
    """Seconds from the first connection to the last answer, without the program's start."""
    return median(run["connect"] + run["apply"] for run in row["inside"])


def scale_aims(found: Mapping[str, Any]) -> list[Aim]:
    most = max(found, key=int)
    idle = found[most][NOTHING]["telekit"]
    aims = [
        at_most(f"Client CPU a machine, no-op of {most}", 25, idle["cpu_median"] / int(most) * 1000, "ms"),
        at_most(f"Client memory at {most}", 200, found[most]["memory"]["telekit"]["memory"] / 1e6, "MB"),
    ]
    least = min(found, key=int)
    each = {n: found[n][NOTHING]["telekit"]["median"] / int(n) for n in (least, most)}
    aims.append(
        at_most(f"Growth from {least} to {most}: seconds a machine, against those at {least}", 1.1, each[most] / each[least], "×")
    )
    for count, rows in found.items():
        if ANSIBLE in rows[NOTHING]:
            slow, fast = rows[NOTHING][ANSIBLE]["median"], rows[NOTHING]["telekit"]["median"]
            aims.append(at_least(f"No-op of {count} light targets, against Ansible", 25, slow, fast))
    return aims


def startup_aims(found: Mapping[str, Any]) -> list[Aim]:
    most = {"telekit --help": 150, "telekit check --commune lab": 300}
    return [at_most(f"`{name}`", limit, found[name]["median"] * 1000, "ms") for name, limit in most.items()]


def scenario(found: Mapping[str, Any], name: str) -> str:
    tools = [tool for tool in NAMES if tool in found[name][FAR]]
    rows = []
    for tool in tools:
        near, far = found[name][NEAR][tool], found[name][FAR][tool]
        times = [f"{amount(side['median'] / found[name][at][TELEKIT]['median'])} ×" for at, side in ((NEAR, near), (FAR, far))]
        made = str(near["changes"][0]) if tool != FLOOR else ""
        rows.append([NAMES[tool], f"{amount(near['median'])} s", times[0], f"{amount(far['median'])} s", times[1], made])
    head = ("", "0 ms", "against telekit", "40 ms", "against telekit", "changes it says it made")
    return table(head, rows)


def equality(found: Mapping[str, Any]) -> str:
    text = []
    for pair, result in found["equality"].items():
        different = result["differences"]
        text.append(f"- {pair}: {result['items']} things compared, {len(different)} differ.")
        text += [f"  - {machine}: `{what}`: {one} / {other}" for machine, what, one, other in different[:40]]
    crossed = [
        f"- on the machines that {NAMES[tool]} made, "
        + " and ".join(f"{NAMES[other]} would change {number}" for other, number in by.items())
        for tool, by in found["still to change"].items()
    ]
    return "\n".join([*text, *crossed]) + "\n"


def scale_table(found: Mapping[str, Any], name: str) -> str:
    rows = []
    for count, scenarios in found.items():
        for tool, row in scenarios[name].items():
            memory = scenarios["memory"].get(tool, row)["memory"]
            each = row["cpu_median"] / int(count) * 1000
            times = row["median"] / scenarios[name]["telekit"]["median"]
            cells = [f"{amount(row['median'])} s", f"{amount(times)} ×", f"{amount(each)} ms", f"{memory / 1e6:.0f} MB"]
            rows.append([f"{count}, {NAMES.get(tool, tool)}", *cells, str(len(row["runs"]))])
    return table(("targets", "wall", "against telekit", "client CPU a machine", "client memory", "runs"), rows)


def verify_text(found: Mapping[str, Any]) -> str:
    verify = found["verify"]
    slow = sorted(verify["check_seconds"])
    simple = [[name, f"{row['median'] * 1000:.1f} ms"] for name, row in verify["simple"].items()]
    counted = ", ".join(map(str, verify["connections"].values()))
    return (
        f"The whole of `telekit verify` on the town: {verify['checks']} checks in {amount(verify['seconds'])} s, half of them in"
        f" under {median(slow) * 1000:.0f} ms; the slowest ({amount(slow[-1])} s) opens a remote desktop or waits for a virus to"
        f" be noticed. Connections made to each machine meanwhile, counted on the way: {counted}.\n"
        "\nA simple check (a file, its content, a package, a service, an account), median:\n\n"
        + table(("over", "a check"), simple)
    )


# -- the page ----------------------------------------------------------------------------------------------------------

INTRODUCTION = """\
# Performance

<!-- Written by benchmarks/page.py from benchmarks/results/; `make bench` measures anew. -->

How long telekit takes, beside the tools that do such work, with the same work on the same machines in the same run. Everything
here comes from `make bench`, which needs root and a Debian machine with nothing else to do; the raw numbers are in
[benchmarks/results](../benchmarks/results).

"""
METHOD = """\
## How it is measured

- **The town** is the lab's: a gateway, two desktops, two laptops, real Debian machines under systemd-nspawn. They, the tools
  and the relay share the computer's processors, so every time includes the machines' own work. A relay on 127.0.0.1 holds
  every byte back for half a round trip each way, and a new connection for a whole one.
- **The same work**: pyinfra runs telekit's own recipes with its own command, as it comes (`-y`, which spares it a planning
  phase). Ansible runs a playbook of equal effect (`benchmarks/ansible/town.yml`): the files' texts are taken from telekit, as
  they are not what is measured; loops where Ansible allows them, handlers, pipelining, ControlPersist, 50 forks, no gathering
  of facts. Every run makes its own connections; nobody's are left open from the run before.
- `telekit provision` does more than the others: it looks at each machine before it touches it (release, disk, clock, package
  mirror), makes and collects keys, keeps a journal. "telekit's engine, recipes alone" is the like-for-like row.
- **No-op**: the machines are as they should be. **One-agent change**: an agent leaves (their tunnel, firewall entries,
  account and sessions go), and in the next run comes back. **Fresh machine**: nobody has touched it; one run each, mostly the
  package manager's.
- **The physical floor** is OpenSSH: one `ssh` a machine, side by side, which sends the very scripts that telekit's engine
  sent in that scenario, all in one command, and one round trip more: handshake + 3 round trips + the machines' own work. It
  is held against the engine from its first connection to its last answer, without Python's start.
- Tools take turns within a round; the median of the rounds counts. Machines are made anew, with the same keys, between tools
  on fresh machines, and afterwards compared: files, modes, owners, packages, units, accounts, firewall, tunnels, kernel
  settings.
- **Light targets** are Debian roots in memory with an sshd each and no init. Their recipe is some forty operations by
  telekit's own operations and templates. Client CPU is user and system time of the tool and its children; memory is its
  largest resident set, for tools with children the sum of their proportional shares.
"""


def write(results: Path) -> None:
    """The page and its plots, from the parts that were measured."""
    parts = {
        p: json.loads((results / f"{p}.json").read_text(encoding="utf-8"))
        for p in ("startup", "town", "scale")
        if (results / f"{p}.json").exists()
    }
    found = {part: content["results"] for part, content in parts.items()}
    text = [
        INTRODUCTION,
        _about(parts),
        "## Targets\n\n",
        table(("target", "asked", "measured", "met"), [a.row() for a in _aims(found)]),
    ]
    if "town" in found:
        text.append(_town(found["town"]))
    if "scale" in found:
        text.append(_scale(found["scale"]))
    if "town" in found:
        text.append("\n## verify\n\n" + verify_text(found["town"]))
    if "startup" in found:
        rows = [[f"`{name}`", f"{row['median'] * 1000:.0f} ms"] for name, row in found["startup"].items()]
        text.append("\n## Start-up\n\n" + table(("command", "median"), rows))
    (DOCS / "performance.md").write_text("".join([*text, "\n", METHOD]), encoding="utf-8")


def _about(parts: Mapping[str, Any]) -> str:
    rows = [[part, content["date"], content["computer"]] for part, content in parts.items()]
    versions = ", ".join(f"{name} {version}" for name, version in next(iter(parts.values()))["versions"].items())
    return table(("measured", "date", "on"), rows) + f"\nWith {versions}.\n\n"


def _aims(found: Mapping[str, Any]) -> list[Aim]:
    makers = {"town": town_aims, "scale": scale_aims, "startup": startup_aims}
    return [aim for part, make in makers.items() if part in found for aim in make(found[part])]


def _town(found: Mapping[str, Any]) -> str:
    text = ["\n## A town of five machines\n"]
    for name in (NOTHING, ONE, FRESH):
        slug = name.replace(" ", "-")
        rows = {NAMES[tool].strip("`"): row["median"] for tool, row in found[name][FAR].items()}
        (DOCS / f"performance-{slug}.svg").write_text(
            bars(f"{name.capitalize()}, round trip of 40 ms", rows, "s"), encoding="utf-8"
        )
        text.append(f"\n### {name.capitalize()}\n\n{scenario(found, name)}\n![{name}](performance-{slug}.svg)\n")
    runs = found[NOTHING][FAR][ENGINE]["inside"]
    connect, rest = (amount(median(run[part] for run in runs)) for part in ("connect", "apply"))
    commands = max(run["executions"] for run in runs)
    text.append(
        f"\nInside the engine's no-op at 40 ms: {connect} s to connect, {rest} s for the rest, {commands}"
        f" commands on the busiest machine; the floor is {amount(found[NOTHING][FAR][FLOOR]['median'])} s.\n"
    )
    return "".join(text) + "\n### The same machines in the end\n\n" + equality(found)


def _scale(found: Mapping[str, Any]) -> str:
    def series(scenario: str, tool: str, value: str) -> list[tuple[float, float]]:
        return [(int(n), rows[scenario][tool][value]) for n, rows in found.items() if tool in rows[scenario]]

    tools = [tool for tool in ("telekit", PYINFRA, ANSIBLE, MITOGEN) if any(tool in rows[NOTHING] for rows in found.values())]
    walls = {tool: series(NOTHING, tool, "median") for tool in tools}
    alone = {name: series(name, "telekit", "median") for name in (NOTHING, "one change")}
    alone["client CPU"] = series(NOTHING, "telekit", "cpu_median")
    plots = {
        "scale": lines("No-op of many light targets", walls, "targets", "seconds"),
        "scale-telekit": lines("telekit alone", alone, "targets", "seconds"),
    }
    for name, svg in plots.items():
        (DOCS / f"performance-{name}.svg").write_text(svg, encoding="utf-8")
    pictures = "\n![No-op of many light targets](performance-scale.svg)\n\n![telekit alone](performance-scale-telekit.svg)\n"
    tables = "".join(f"\n### {name.capitalize()}\n\n{scale_table(found, name)}" for name in (NOTHING, "one change"))
    return f"\n## Many light targets\n{tables}{pictures}"
