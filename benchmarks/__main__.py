"""Measure, and write down what was measured.

\b
python -m benchmarks                          everything: some two hours on a quiet computer of two cores
python -m benchmarks startup town             parts of it: startup, town, scale
python -m benchmarks town --scenario no-op    one scenario of the town; repeatable
python -m benchmarks scale --counts 500       one number of light targets
python -m benchmarks page                     docs/performance.md and its plots from the results that are there

Each scenario and each number of targets is kept when it ends, in the place of an earlier one: what is measured in several goes
comes to the same page, and one that is cut off loses what it was at.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks import kept, page, peers, scale, small, startup

RESULTS = Path(__file__).parent / "results"
# What was measured on a busy computer, lest it get among the numbers that are published.
TRIED = Path(__file__).parent / "tried"
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


class Keeper:
    """Keeps what is measured as it comes, and knows what failed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = {"computer": computer(), "versions": peers.versions()}
        self.failed: list[str] = []

    def keep(self, part: str, found: Mapping[str, Any]) -> None:
        self.failed += kept.failed(found)
        if not kept.keep(self.folder, part, found, self.about):
            say(f"{part}: what was measured on another computer or with other versions is given up")
        say(f"kept: {part}, {', '.join(found)}")


@click.command(help=__doc__)
@click.argument("parts", nargs=-1, type=click.Choice((*PARTS, "page")))
@click.option("--runs", default=5, show_default=True, help="How often the short ones are repeated.")
@click.option("--counts", default=",".join(map(str, COUNTS)), show_default=True, help="Numbers of light targets.")
@click.option(
    "--scenario", "scenarios", multiple=True, type=click.Choice(list(small.SCENARIOS)), help="Of the town, these alone."
)
@click.option("--busy", is_flag=True, help="Do not wait for a quiet computer: to try it. The results go to benchmarks/tried.")
def main(parts: tuple[str, ...], runs: int, counts: str, scenarios: tuple[str, ...], *, busy: bool) -> None:
    wanted = [part for part in PARTS if not parts or part in parts]
    failed: list[str] = []
    if wanted:
        if os.geteuid():
            sys.exit("the lab and the light targets need root")
        peers.install()
        keeper = Keeper(TRIED if busy else RESULTS)
        failed = keeper.failed
    for part in wanted:
        if not busy:
            until_quiet()
        say(f"measuring: {part}")
        if part == "startup":
            keeper.keep(part, startup.measure(max(runs, 10)))
        elif part == "town":
            small.measure(scenarios or tuple(small.SCENARIOS), runs, say, partial(keeper.keep, part))
        else:
            scale.measure(tuple(map(int, counts.split(","))), runs, say, partial(keeper.keep, part))
    if not busy:
        page.write(RESULTS)
    if failed:
        sys.exit("\n".join(["these runs failed and have no time:", *failed]))


if __name__ == "__main__":
    main()
