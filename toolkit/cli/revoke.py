"""`telekit agent revoke`: the bad day."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from toolkit.cli.options import Scope, example, scoped
from toolkit.errors import UsageError
from toolkit.result import Result

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.revocation.gateway import Knock


@click.command(epilog=example("telekit agent revoke m.durand --commune lab --stolen"))
@click.argument("agent")
@click.option("--stolen", is_flag=True, help="The device is stolen or lost: it leaves the inventory, the password is void too.")
@click.option(
    "--laptop", metavar="LAPTOP", help="This device, if it is not the one that agents.csv names; the access stays open."
)
@click.option("--reason", default="", help="Why, for the journal and the record.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@scoped(machines=False)
def revoke(scope: Scope, *, agent: str, stolen: bool, laptop: str | None, reason: str, yes: bool) -> Result:
    """Shut an agent out now: tunnel, session, account.

    The gateway first, within seconds; the key is never accepted again. Then it is proved, and written down
    for the data-protection officer.
    """
    from toolkit.revocation.act import revoke
    from toolkit.revocation.case import Wish

    if not yes and not scope.report.interactive:
        raise UsageError("there is no terminal to ask at", hint="say --yes")

    def confirm(announced: Result) -> bool:
        scope.report.preview(announced)
        return scope.report.confirm("Revoke now?")

    wish = Wish(agent, laptop, stolen=stolen, reason=reason)
    return revoke(scope.job(), wish, scope.report, _knock(scope.folder), None if yes else confirm)


def _knock(folder: Path) -> Knock:
    """From the Internet's side: from the lab's, when one is up here for this inventory; else from this computer."""

    def knock(question: Mapping[str, str]) -> bool:
        from toolkit.cli.verify import internet
        from toolkit.revocation.handshake import asked

        place = internet(folder)
        if place is None:
            return asked(question)
        done = place.run([sys.executable, "-m", "toolkit.revocation.handshake"], stdin=json.dumps(dict(question)))
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        return done.stdout.strip() == "answered"

    return knock
