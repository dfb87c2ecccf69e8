"""`python -m toolkit.lab`: the lab without the rest of telekit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from toolkit.errors import TelekitError
from toolkit.lab import PROVIDERS, MachineStatus, box, create, requirements
from toolkit.lab.base import RELEASES
from toolkit.lab.ports import copy_inventory
from toolkit.model import Role

name_option = click.option("--name", default="lab", show_default=True, help="Which lab.")
inventory_option = click.option(
    "--inventory", type=click.Path(path_type=Path, file_okay=False), help="The commune's folder, if not the provider's own."
)
provider_option = click.option(
    "--provider", type=click.Choice(PROVIDERS), default=PROVIDERS[0], show_default=True, help="What machines are."
)
release_option = click.option("--release", type=click.Choice(RELEASES), default=RELEASES[0], show_default=True)
INVENTORIES = {"nspawn": Path("inventories/lab"), "vagrant": Path("inventories/vagrant")}


@click.group()
def lab() -> None:
    """Build, look at and remove the test town."""


@lab.command()
@name_option
@inventory_option
@provider_option
@release_option
@click.option("--only", multiple=True, help="Boot this machine alone (repeatable).")
@click.option("--bare", multiple=True, help="Leave this machine without administrator's account (repeatable).")
@click.option("--port", type=int, help="Copy the provider's inventory to --inventory first, with ports from here on.")
def up(
    name: str,
    inventory: Path | None,
    provider: str,
    release: str,
    only: tuple[str, ...],
    bare: tuple[str, ...],
    port: int | None,
) -> None:
    """Build and boot."""
    own = INVENTORIES[provider]
    if port is not None:
        if inventory is None:
            raise click.UsageError("--port needs an --inventory to copy to")
        copy_inventory(own, inventory, port)
    create(name, inventory or own, provider).up(release, only=only, bare=bare, say=lambda text: click.echo(text, err=True))
    _print_status(name)


@lab.command()
@name_option
@click.option("--purge", is_flag=True, help="Remove root images and package cache too.")
def down(name: str, *, purge: bool) -> None:
    """End and remove everything."""
    create(name).down(purge=purge, say=lambda text: click.echo(text, err=True))


@lab.command()
@name_option
def status(name: str) -> None:
    """Show the machines."""
    _print_status(name)


@lab.command()
@name_option
@click.argument("machine")
@click.argument("command", nargs=-1)
def ssh(name: str, machine: str, command: tuple[str, ...]) -> None:
    """Open a shell on a machine, or run a command."""
    argv = create(name).ssh_command(machine)
    os.execvp(argv[0], [*argv, *command])  # noqa: S606 - becoming ssh is the point


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@name_option
@click.argument("place")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(name: str, place: str, command: tuple[str, ...]) -> None:
    """Run a command at a vantage point (internet, home, admin) or in a machine as root, whatever its firewall."""
    argv = create(name).vantage(place).command(command)
    os.execvp(argv[0], argv)  # noqa: S606 - becoming the command is the point


@lab.command("box")
@release_option
def make_box(release: str) -> None:
    """Make Vagrant boxes for libvirt from Debian packages."""
    requirements.require("vagrant")
    for role, made in box.ensure(release, set(Role), lambda text: click.echo(text, err=True)).items():
        click.echo(f"{role:8} {made.name}")


@lab.command()
@provider_option
@click.option("--install", is_flag=True, help="Install what is missing with apt.")
def packages(provider: str, *, install: bool) -> None:
    """List the Debian packages that the lab needs."""
    if install:
        requirements.install(provider)
    else:
        click.echo("\n".join(requirements.VIRTUAL_PACKAGES if provider == "vagrant" else requirements.PACKAGES))


def _print_status(name: str) -> None:
    found = create(name).status()
    how = f"{found.provider}, {found.acceleration}" if found.acceleration else found.provider
    click.echo(f"lab {found.name}: {'up' if found.up else 'not up'} ({how})")
    for m in found.machines:
        click.echo(
            f"{m.name:20} {m.role:8} {m.release:9} {m.state:9} {m.ssh:16} {m.memory >> 20:5} MiB {_tunnel(m)}{m.error}".rstrip()
        )
    if found.missing:
        click.echo(f"missing: apt-get install {' '.join(found.missing)}")


def _tunnel(machine: MachineStatus) -> str:
    return f"WireGuard: {machine.wireguard} " if machine.wireguard else ""


def main() -> int:
    """Run, with errors as sentences."""
    try:
        lab.main(standalone_mode=False)
    except TelekitError as error:
        click.echo(f"telekit: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
