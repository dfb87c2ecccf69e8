"""`telekit agent kit`: what the person needs, in one folder or zip."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli.options import FOLDER, Scope, example, scoped
from toolkit.errors import UsageError
from toolkit.result import Result


@click.command(epilog=example("telekit agent kit m.durand --commune lab --output kits"))
@click.argument("agents", nargs=-1, metavar="[AGENT]...")
@click.option("--all", "everybody", is_flag=True, help="Every active agent with a device, and an index in CSV.")
@click.option("--output", type=FOLDER, required=True, help="A folder for the kits, readable by you alone.")
@click.option("--zip", "archive", is_flag=True, help="One zip file a kit, instead of a folder.")
@scoped(machines=False)
def kit(scope: Scope, *, agents: tuple[str, ...], everybody: bool, output: Path, archive: bool) -> Result:
    """Make what an agent needs to connect.

    Configuration, remote desktop, certificate, installer for Windows, and a sheet in French.
    """
    if bool(agents) is everybody:
        raise UsageError("say whose kit: AGENT..., or --all")
    from toolkit.kit.make import Wish, make

    return make(scope.job(), Wish(tuple(dict.fromkeys(agents)), output, archive))
