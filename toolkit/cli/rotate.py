"""`telekit rotate` and `telekit agent rotate`: new keys, and nobody locked out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from toolkit.cli.options import Scope, example, laptops_named, scoped
from toolkit.errors import UsageError
from toolkit.result import Result

if TYPE_CHECKING:
    from toolkit.rotation import Wish

DAYS = click.option(
    "--days", type=click.IntRange(1, 90), default=14, show_default=True, help="How long the new key may take to shake hands."
)
YES = click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")


@click.command(epilog=example("telekit rotate portable-041 --commune lab"))
@click.argument("laptops", nargs=-1, metavar="[LAPTOP]...", shell_complete=laptops_named)
@click.option("--all", "everything", is_flag=True, help="Every laptop that opens a tunnel today.")
@click.option(
    "--older-than", type=click.IntRange(0), default=365, show_default=True, metavar="DAYS",
    help="Without names: the keys that are older, or of unknown age.",
)  # fmt: skip
@DAYS
@YES
@scoped(machines=False)
def rotate(scope: Scope, *, laptops: tuple[str, ...], everything: bool, older_than: int, days: int, yes: bool) -> Result:
    """Replace laptops' keys, and lock nobody out.

    The old key works until the new one has shaken hands. Gateways and the laptops named are provisioned on the way; one that is
    off is asked at its next provision. The gateway's own key is not replaced by this command.
    """
    from toolkit.rotation import Wish

    if laptops and everything:
        raise UsageError("say which keys: LAPTOP..., or --all")
    wish = Wish(names=tuple(dict.fromkeys(laptops)), everything=everything, older_than=older_than, days=days)
    return _rotate(scope, wish, yes=yes)


@click.command("rotate", epilog=example("telekit agent rotate m.durand --commune lab"))
@click.argument("agents", nargs=-1, required=True, metavar="AGENT...")
@DAYS
@YES
@scoped(machines=False)
def agent_rotate(scope: Scope, *, agents: tuple[str, ...], days: int, yes: bool) -> Result:
    """Replace the key of an agent's laptop.

    As `telekit rotate` does, by the name of who carries it. For a device that telekit does not log into, a kit follows.
    """
    from toolkit.rotation import Wish

    return _rotate(scope, Wish(agents=tuple(dict.fromkeys(agents)), days=days, command="agent rotate"), yes=yes)


def _rotate(scope: Scope, wish: Wish, *, yes: bool) -> Result:
    from toolkit.rotation import rotate

    if not yes and not scope.report.interactive:
        raise UsageError("there is no terminal to ask at", hint="say --yes")

    def confirm(planned: Result) -> bool:
        scope.report.preview(planned)
        return scope.report.confirm("Replace these keys now?")

    return rotate(scope.job(), wish, scope.report, None if yes else confirm)
