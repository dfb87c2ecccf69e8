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
@click.option("--gateway", is_flag=True, help="The gateway's own key instead.")
@click.option("--authority", is_flag=True, help="The key of the commune's certificate authority instead.")
@click.option("--conclude", is_flag=True, help="With one of the two: the old key goes now, whoever still needs it.")
@DAYS
@YES
@scoped(machines=False)
def rotate(
    scope: Scope,
    *,
    laptops: tuple[str, ...],
    everything: bool,
    older_than: int,
    gateway: bool,
    authority: bool,
    conclude: bool,
    days: int,
    yes: bool,
) -> Result:
    """Replace keys, and lock nobody out.

    Laptops' keys, or with --gateway the gateway's own, or with --authority that of the certificate authority.

    The old key works until the new one has shaken hands. Gateways and the laptops named are provisioned on the way; one that is
    off is asked at its next provision.

    With --gateway, the gateway answers both of its keys until every device uses the new one; the next provision then ends it.
    Given again, it gives more time. Nothing but --conclude shuts out a device that still uses the old key.

    With --authority, laptops trust another authority beside the present one; when all do, and people with kits have had their
    days, desktops get its certificates; when all have theirs, it is alone. Later provisions go on with what this command begins.
    """
    from toolkit.rotation import Wish

    if sum((gateway, authority, bool(laptops or everything))) > 1:
        raise UsageError("one after the other: laptops, --gateway, or --authority")
    if gateway or authority:
        return _shared(scope, authority=authority, days=days, conclude=conclude, yes=yes)
    if conclude:
        raise UsageError("--conclude goes with --gateway or --authority: a laptop's old key goes by itself")
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


def _shared(scope: Scope, *, authority: bool, days: int, conclude: bool, yes: bool) -> Result:
    """A key that everybody relies on."""
    from toolkit import authority_change, succession

    if not yes and not scope.report.interactive:
        raise UsageError("there is no terminal to ask at", hint="say --yes")

    def ask(planned: Result, question: str) -> bool:
        scope.report.preview(planned)
        return scope.report.confirm(question)

    job, asked = scope.job(), None if yes else ask
    if authority:
        return authority_change.change(job, authority_change.Wish(days, conclude), scope.report, asked)
    return succession.succeed(job, succession.Wish(days, conclude), scope.report, asked)


def _rotate(scope: Scope, wish: Wish, *, yes: bool) -> Result:
    from toolkit.rotation import rotate

    if not yes and not scope.report.interactive:
        raise UsageError("there is no terminal to ask at", hint="say --yes")

    def confirm(planned: Result) -> bool:
        scope.report.preview(planned)
        return scope.report.confirm("Replace these keys now?")

    return rotate(scope.job(), wish, scope.report, None if yes else confirm)
