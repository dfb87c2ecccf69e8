"""`telekit lab`: the test town on this computer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.options import FOLDER, INVENTORIES, example, reporting
from toolkit.report import Report
from toolkit.result import MachineReport, Result, State, counted

if TYPE_CHECKING:
    from toolkit.lab import LabStatus, MachineStatus

RELEASES = ("trixie", "bookworm")
# What machines are → the folder of their inventory, in the inventories.
PROVIDERS = {"nspawn": "lab", "vagrant": "vagrant"}
named = click.option("--name", default="lab", show_default=True, help="Which lab.")
inventories = click.option(
    "--inventories", type=FOLDER, envvar=INVENTORIES, default=Path("inventories"), show_envvar=True, show_default=True,
    help="Where the folder `lab` is, or `vagrant` for virtual machines.",
)  # fmt: skip


@click.group(epilog=example("telekit lab up"))
def lab() -> None:
    """Build, look at and remove a test town on this computer."""


@lab.command(epilog=example("telekit lab up --release bookworm"))
@click.option("--release", type=click.Choice(RELEASES), default=RELEASES[0], show_default=True, help="Which Debian.")
@click.option("--only", multiple=True, metavar="MACHINE", help="Boot only this machine (repeatable).")
@click.option("--bare", multiple=True, metavar="MACHINE", help="Leave this machine without administrator's account (repeatable).")
@click.option("--inventory", type=FOLDER, help="The commune's folder, where it is not `lab` (or `vagrant`) in the inventories.")
@click.option(
    "--provider",
    type=click.Choice(list(PROVIDERS)),
    default="nspawn",
    show_default=True,
    help="What machines are: containers, or virtual machines with kernels of their own.",
)
@named
@inventories
@reporting
@click.pass_obj
def up(
    report: Report,
    name: str,
    inventories: Path,
    release: str,
    only: tuple[str, ...],
    bare: tuple[str, ...],
    inventory: Path | None,
    provider: str,
) -> Result:
    """Build what is missing and boot."""
    from toolkit.lab import create

    create(name, inventory or inventories / PROVIDERS[provider], provider).up(release, only=only, bare=bare, say=report.say)
    return _shown("lab up", create(name).status())


@lab.command(epilog=example("telekit lab down --purge"))
@click.option("--purge", is_flag=True, help="Remove root images and the package cache too.")
@named
@reporting
@click.pass_obj
def down(report: Report, name: str, *, purge: bool) -> Result:
    """End and remove everything."""
    from toolkit.lab import create

    create(name).down(purge=purge, say=report.say)
    return Result("lab down", summary={"lab": name, "up": False}, closing=f"The lab `{name}` is gone.")


@lab.command(epilog=example("telekit lab status --json"))
@named
@reporting
def status(name: str) -> Result:
    """Show the machines."""
    from toolkit.lab import create

    return _shown("lab status", create(name).status())


@lab.command(epilog=example("telekit lab ssh gw-mairie -- sudo wg show"), context_settings={"ignore_unknown_options": True})
@named
@click.argument("machine")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, machine: str, command: tuple[str, ...]) -> None:
    """Open a shell on a machine, or run a command there."""
    from toolkit.lab import create

    argv = create(name).ssh_command(machine)
    os.execvp(argv[0], [*argv, *command])  # noqa: S606 - becoming ssh is the point


def _tunnel(machine: MachineStatus) -> str:
    return f", WireGuard: {machine.wireguard}" if machine.wireguard else ""


def _shown(command: str, found: LabStatus) -> Result:
    machines = tuple(
        MachineReport(
            m.name, m.role, State(m.state), m.error or f"{m.ssh}, Debian {m.release}, {m.memory >> 20} MiB{_tunnel(m)}",
            details={"ssh": m.ssh, "release": m.release, "memory": m.memory, "boots": m.boots, "wireguard": m.wireguard},
        )
        for m in found.machines
    )  # fmt: skip
    summary = {"lab": found.name, "provider": found.provider, "up": found.up, "inventory": found.inventory,
               "missing": list(found.missing), "acceleration": found.acceleration}  # fmt: skip
    if found.up:
        running = sum(m.state == State.RUNNING for m in found.machines)
        closing = f"The lab `{found.name}` is up: {running} of {counted(len(machines), 'machine')} running."
        if found.acceleration:
            closing += f" Virtual machines: {found.acceleration}."
    else:
        closing = f"The lab `{found.name}` is not up."
    if found.missing:
        closing += f"\nMissing here: apt-get install {' '.join(found.missing)}"
    # A machine that nobody booted is not in trouble.
    failed = any(m.state == State.FAILED for m in found.machines)
    following = "" if found.up else "telekit lab up"
    return Result(command, "", machines, summary, closing=closing, next=following, exit_code=int(failed))
