"""docs/performance.md and its plots, from the results and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ROOT
from benchmarks.aims import ANSIBLE, CHANGE, ENGINE, FAR, FLOOR, FRESH, MITOGEN, NEAR, NOTHING, ONE, PYINFRA, TELEKIT, aims_of
from benchmarks.kept import failed, read
from benchmarks.plot import amount, bars, lines

DOCS = ROOT / "docs"
# A whole measurement: part → its pieces.
WHOLE = {"startup": (), "town": (FRESH, NOTHING, ONE, "verify"), "scale": ("50", "200", "500", "1000")}
NAMES = {
    TELEKIT: "`telekit provision`", "telekit plan": "`telekit plan`", ENGINE: "telekit's engine, recipes alone",
    PYINFRA: "pyinfra", ANSIBLE: "Ansible", MITOGEN: "Ansible with Mitogen", FLOOR: "physical floor",
}  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns after the first stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


# -- parts of the page -------------------------------------------------------------------------------------------------


def scenario(found: Mapping[str, Any], name: str) -> str:
    rows = []
    for tool in NAMES:
        measured = [found[name].get(at, {}).get(tool) for at in (NEAR, FAR)]
        if any(measured):
            ours = [found[name].get(at, {}).get(TELEKIT) for at in (NEAR, FAR)]
            cells = [cell for row, own in zip(measured, ours, strict=True) for cell in _beside(row, own)]
            made = next(row["changes"][0] for row in measured if row)
            rows.append([NAMES[tool], *cells, str(made) if tool != FLOOR else ""])
    head = ("", "0 ms", "against telekit", "40 ms", "against telekit", "changes it says it made")
    return table(head, rows)


def _beside(row: Mapping[str, Any] | None, ours: Mapping[str, Any] | None) -> tuple[str, str]:
    """A tool's time, and how many times telekit's it is; a dash for what was not measured."""
    if row is None:
        return "–", "–"
    return f"{amount(row['median'])} s", f"{amount(row['median'] / ours['median'])} ×" if ours else "–"


def equality(found: Mapping[str, Any]) -> str:
    text = []
    for pair, result in found.get("equality", {}).items():
        different = result["differences"]
        text.append(f"- {pair}: {result['items']} things compared, {len(different)} differ.")
        text += [f"  - {machine}: `{what}`: {one} / {other}" for machine, what, one, other in different[:40]]
    crossed = [
        f"- on the machines that {NAMES[tool]} made, "
        + " and ".join(f"{NAMES[other]} would change {number}" for other, number in by.items())
        for tool, by in found.get("still to change", {}).items()
    ]
    return "\n".join([*text, *crossed]) + "\n"


def scale_table(found: Mapping[str, Any], name: str) -> str:
    rows = []
    for count, scenarios in found.items():
        for tool, row in scenarios.get(name, {}).items():
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
  telekit's own operations and templates. The first run makes them, the second learns what is asked of files that are there;
  neither is in the tables. Beyond 200 there is one run of each kind: it takes minutes, most of them the targets' own. Client
  CPU is user and system time of the tool and its children; memory is its largest resident set, for tools with children the
  sum of their proportional shares.
"""


def write(results: Path, docs: Path = DOCS) -> None:
    """The page and its plots, from what was measured; what was not is named."""
    parts = {part: content for part in WHOLE if (content := read(results, part))}
    found = {part: dict(content["results"]) for part, content in parts.items()}
    if "scale" in found:
        found["scale"] = dict(sorted(found["scale"].items(), key=lambda item: int(item[0])))
    text = [
        INTRODUCTION,
        _about(parts),
        _missing(found),
        "## Targets\n\n",
        table(("target", "asked", "measured", "met"), [a.row() for a in aims_of(found)]),
    ]
    if "town" in found:
        text.append(_town(found["town"], docs))
    if "scale" in found:
        text.append(_scale(found["scale"], docs))
    if "connections" in found.get("town", {}).get("verify", {}):
        text.append("\n## verify\n\n" + verify_text(found["town"]))
    if "startup" in found:
        rows = [[f"`{name}`", f"{row['median'] * 1000:.0f} ms"] for name, row in found["startup"].items()]
        text.append("\n## Start-up\n\n" + table(("command", "median"), rows))
    (docs / "performance.md").write_text("".join([*text, "\n", METHOD]), encoding="utf-8")


def _about(parts: Mapping[str, Any]) -> str:
    rows = []
    for part, content in parts.items():
        days = sorted(set(content.get("dates", {}).values()) or {content["date"]})
        rows.append([part, " – ".join(dict.fromkeys((days[0], days[-1]))), content["computer"]])
    versions = {", ".join(f"{n} {v}" for n, v in content["versions"].items()): part for part, content in parts.items()}
    told = [f"With {v}." if len(versions) == 1 else f"{part.capitalize()}: with {v}." for v, part in versions.items()]
    return table(("measured", "date", "on"), rows) + "\n" + "\n\n".join(told) + "\n\n"


def _missing(found: Mapping[str, Any]) -> str:
    """What a whole measurement would have beside this, and what failed: neither has a time here."""
    absent = [
        f"{part}: {piece}" if pieces else part
        for part, pieces in WHOLE.items()
        for piece in (pieces or ("",))
        if part not in found or (piece and piece not in found[part])
    ]
    failures = [line for pieces in found.values() for line in failed(pieces)]
    text = f"Not measured: {'; '.join(absent)}.\n\n" if absent else ""
    if failures:
        text += "Failed, and so without a time:\n\n" + "".join(f"- {line}\n" for line in failures) + "\n"
    return text


def _town(found: Mapping[str, Any], docs: Path) -> str:
    text = ["\n## A town of five machines\n"]
    for name in (NOTHING, ONE, FRESH):
        if name not in found:
            continue
        text.append(f"\n### {name.capitalize()}\n\n{scenario(found, name)}\n")
        rows = {NAMES[tool].strip("`"): row["median"] for tool, row in found[name].get(FAR, {}).items()}
        if rows:
            slug = name.replace(" ", "-")
            plot = bars(f"{name.capitalize()}, round trip of 40 ms", rows, "s")
            (docs / f"performance-{slug}.svg").write_text(plot, encoding="utf-8")
            text.append(f"![{name}](performance-{slug}.svg)\n")
    idle = found.get(NOTHING, {}).get(FAR, {})
    if ENGINE in idle:
        runs = idle[ENGINE]["inside"]
        connect, rest = (amount(median(run[part] for run in runs)) for part in ("connect", "apply"))
        commands = max(run["executions"] for run in runs)
        floor = f"; the floor is {amount(idle[FLOOR]['median'])} s" if FLOOR in idle else ""
        text.append(
            f"\nInside the engine's no-op at 40 ms: {connect} s to connect, {rest} s for the rest, {commands}"
            f" commands on the busiest machine{floor}.\n"
        )
    if "equality" in found:
        text.append("\n### The same machines in the end\n\n" + equality(found))
    return "".join(text)


def _scale(found: Mapping[str, Any], docs: Path) -> str:
    def series(scenario: str, tool: str, value: str) -> list[tuple[float, float]]:
        return [(int(n), rows[scenario][tool][value]) for n, rows in found.items() if tool in rows.get(scenario, {})]

    tools = [tool for tool in ("telekit", PYINFRA, ANSIBLE, MITOGEN) if any(tool in rows[NOTHING] for rows in found.values())]
    walls = {tool: series(NOTHING, tool, "median") for tool in tools}
    alone = {name: series(name, "telekit", "median") for name in (NOTHING, CHANGE)}
    alone["client CPU"] = series(NOTHING, "telekit", "cpu_median")
    alone = {name: line for name, line in alone.items() if line}
    plots = {
        "scale": lines("No-op of many light targets", walls, "targets", "seconds"),
        "scale-telekit": lines("telekit alone", alone, "targets", "seconds"),
    }
    for name, svg in plots.items():
        (docs / f"performance-{name}.svg").write_text(svg, encoding="utf-8")
    pictures = "\n![No-op of many light targets](performance-scale.svg)\n\n![telekit alone](performance-scale-telekit.svg)\n"
    tables = "".join(f"\n### {name.capitalize()}\n\n{scale_table(found, name)}" for name in (NOTHING, CHANGE))
    return f"\n## Many light targets\n{tables}{pictures}"
