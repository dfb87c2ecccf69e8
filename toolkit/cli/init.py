"""`telekit init`: a new commune's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.options import FOLDER, INVENTORIES, example, reporting
from toolkit.report import Report
from toolkit.result import Result, counted

if TYPE_CHECKING:
    from toolkit.scaffold import Answers

EXAMPLE = "telekit init --name Alfortville --insee 94002 --domain alfortville.example --lan 10.94.0.0/20 --gateway-ssh 10.94.0.1"


@click.command(epilog=example(EXAMPLE))
@click.option("--name", help="The commune's name.")
@click.option("--slug", help="Its short name: the folder, and --commune.")
@click.option("--insee", help="Its INSEE code.")
@click.option("--domain", help="The town hall's Internet domain.")
@click.option("--contact", help="Whom agents call when something does not work.")
@click.option("--lan", metavar="CIDR[,CIDR…]", help="The town hall's networks.")
@click.option("--admin", metavar="CIDR[,CIDR…]", help="From where administrators use SSH.")
@click.option("--dns", metavar="ADDRESS[,…]", help="The town hall's DNS servers.")
@click.option("--tunnel", metavar="CIDR", help="A network for the tunnel; one that is free is proposed.")
@click.option("--gateway", metavar="NAME", help="The gateway's name.")
@click.option("--gateway-ssh", metavar="HOST[:PORT]", help="Where the gateway's SSH answers.")
@click.option("--endpoint", metavar="HOST:PORT", help="Public name and UDP port of the VPN.")
@click.option("--keys", type=FOLDER, default=Path("~/.ssh"), show_default=True, help="Whose *.pub become operators' keys.")
@click.option("--inventories", type=FOLDER, envvar=INVENTORIES, default=Path("inventories"), show_envvar=True, show_default=True,
              help="Where to make the folder.")  # fmt: skip
@reporting
@click.pass_obj
def init(report: Report, /, *, keys: Path, inventories: Path, **given: str | None) -> Result:
    """Start a new commune: ask what only the town hall knows."""
    from toolkit.scaffold import answered, public_keys, write

    answers: Answers = answered(given, inventories, report.ask if report.interactive else None)
    lines = public_keys(keys.expanduser())
    folder, warnings = write(inventories, answers, lines)
    closing = f"Wrote {folder}: commune.toml, agents.csv" + (
        f" and operators.keys with {counted(len(lines), 'key')}." if lines
        else f".\nThere is no public key in {keys}: write yours into {folder / 'operators.keys'} (ssh-keygen makes one)."
    )  # fmt: skip
    closing += "\nAdd the machines to commune.toml and the agents to agents.csv."
    summary = {"folder": str(folder), "operators": len(lines)}
    following = f"telekit check --commune {answers['slug']}"
    return Result("init", answers["slug"], summary=summary, problems=warnings, closing=closing, next=following)
