"""`telekit agent second-factor`: after a lost telephone."""

from __future__ import annotations

import click

from toolkit.cli.options import Scope, example, scoped
from toolkit.result import Result


@click.command("second-factor", epilog=example("telekit agent second-factor k.benali --commune lab --renew"))
@click.argument("agent")
@click.option("--renew", "anew", is_flag=True, help="A new one: the old codes are void on the desktop at once.")
@scoped(machines=False)
def second_factor(scope: Scope, *, agent: str, anew: bool) -> Result:
    """Tell of an agent's second factor, or renew it."""
    from toolkit.renewal import renew, show

    return renew(scope.job(), agent, scope.report) if anew else show(scope.job(), agent)
