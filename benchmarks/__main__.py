"""Measure, and write down what was measured.

python -m benchmarks                 everything: some two hours on a quiet computer of two cores
python -m benchmarks startup town    parts of it: startup, town, scale
python -m benchmarks page            docs/performance.md and its plots from the results that are there
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import click

from benchmarks import page, peers, scale, small, startup

RESULTS = Path(__file__).parent / "results"
# The computer is quiet when no more than this many processes wanted to run, on average over the last minute.
QUIET = 0.6
COUNTS = (50, 200, 500, 1000)
PARTS = ("startup", "town", "scale")


def say(text: str) -> None:
    """Progress, with the time of day and how busy the computer is."""
    click.echo(f"{time.strftime('%H:%M:%S')} (load {os.getloadavg()[0]:.1f}) {text}", err=True)


def until_quiet() -> None:
    """Wait until nobody else keeps the computer busy."""
    told = False
    while os.getloadavg()[0] > QUIET:
        if not told:
            say(f"waiting until the load is below {QUIET}")
        told = True
        time.sleep(5)


def computer() -> str:
    """What was measured on, in neutral words."""
    release = platform.freedesktop_os_release()
    return f"{os.cpu_count()}-core virtual machine, {release['NAME'].split()[0]} {release['VERSION_ID']}"


def write(part: str, found: Mapping[str, Any]) -> None:
    """Keep a part's results."""
    RESULTS.mkdir(exist_ok=True)
    about = {"date": date.today().isoformat(), "computer": computer(), "versions": peers.versions()}
    (RESULTS / f"{part}.json").write_text(json.dumps({**about, "results": found}, indent=1) + "\n", encoding="utf-8")


@click.command(help=__doc__)
@click.argument("parts", nargs=-1, type=click.Choice((*PARTS, "page")))
@click.option("--runs", default=5, show_default=True, help="How often the short ones are repeated.")
@click.option("--counts", default=",".join(map(str, COUNTS)), show_default=True, help="Numbers of light targets.")
@click.option("--busy", is_flag=True, help="Do not wait for a quiet computer: to try the benchmark, not to publish it.")
def main(parts: tuple[str, ...], runs: int, counts: str, *, busy: bool) -> None:
    numbers = tuple(int(count) for count in counts.split(","))
    measures: dict[str, Callable[[], Mapping[str, Any]]] = {
        "startup": lambda: startup.measure(max(runs, 10)),
        "town": lambda: small.measure(runs, say),
        "scale": lambda: scale.measure(numbers, runs, say),
    }
    wanted = [part for part in PARTS if not parts or part in parts]
    if wanted:
        if os.geteuid():
            sys.exit("the lab and the light targets need root")
        peers.install()
    for part in wanted:
        if not busy:
            until_quiet()
        say(f"measuring: {part}")
        write(part, measures[part]())
    if not busy:
        page.write(RESULTS)


if __name__ == "__main__":
    main()
