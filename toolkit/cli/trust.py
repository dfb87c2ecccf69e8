"""`telekit trust`: compare fingerprints, pin them, and set up bare machines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from toolkit.cli.options import Scope, example, scoped
from toolkit.errors import UsageError
from toolkit.result import Result

if TYPE_CHECKING:
    from toolkit.model import Secret
    from toolkit.targets import Job
    from toolkit.trust import Bootstrap, Judge, Meeting

COMPARE = """\
Compare each fingerprint with what the machine itself shows at its console:
    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
"""


@click.command(epilog=example("telekit trust --commune lab --only gw-mairie --bootstrap root"))
@click.option("--fingerprint", metavar="SHA256:…", help="Pin the one machine of --only if this is its key; asks nothing.")
@click.option("--replace", "replacing", is_flag=True, help="Accept that a machine's key has changed (it was installed anew).")
@click.option(
    "--bootstrap", is_flag=False, flag_value="root", metavar="[LOGIN]",
    help="Then make the administrator's account, logging in once with LOGIN's password (root unless given).",
)  # fmt: skip
@click.option("--password-stdin", is_flag=True, help="Read that password from standard input instead of asking.")
@scoped()
def trust(scope: Scope, *, fingerprint: str | None, replacing: bool, bootstrap: str | None, password_stdin: bool) -> Result:
    """Compare and pin machines' SSH fingerprints.

    From then on no other key is accepted. Without a terminal it only shows them.
    """
    from toolkit.trust import expecting
    from toolkit.trust import trust as meet_and_pin

    job = scope.complete_job()
    if fingerprint and len(job.machines) != 1:
        raise UsageError("--fingerprint is for one machine", hint="name it with --only")
    if password_stdin and not bootstrap:
        raise UsageError("--password-stdin is for --bootstrap")
    judge = expecting(fingerprint) if fingerprint else _asking(scope)
    first = _bootstrapping(scope, job, bootstrap, stdin=password_stdin) if bootstrap else None
    return meet_and_pin(job, judge, replacing=replacing, bootstrap=first)


def _asking(scope: Scope) -> Judge:
    """Ask at the terminal; without one nothing is accepted, and the result shows the fingerprints."""
    report = scope.report
    told = False

    def ask(met: Meeting) -> bool:
        nonlocal told
        if not report.interactive:
            return False
        if not told:
            report.say(COMPARE)
            told = True
        report.say(f"{met.machine.name}  {met.machine.role}  {met.address}\n  {met.shown}")
        for old in met.pinned:
            report.say(f"  CHANGED: pinned before is {old}")
        if met.twins:
            report.say(f"  {', '.join(met.twins)} has the same key: was one disk copied from the other?")
        return report.confirm("Pin this key?")

    return ask


def _bootstrapping(scope: Scope, job: Job, login: str, *, stdin: bool) -> Bootstrap:
    from toolkit.bootstrap import bootstrap

    commune = job.commune
    operators = [operator.public_key for operator in commune.operators]
    if not operators:
        raise UsageError(
            "no operator's key would be let in", where=str(job.folder / "operators.keys"), hint="add your ~/.ssh/*.pub"
        )
    typed: list[Secret] = []

    def first_time(met: Meeting) -> None:
        if not typed:
            typed.append(_password(scope, login, stdin=stdin))
        bootstrap(
            met.address, met.shown, login, typed[0], user=commune.admin_user, operators=operators, identities=job.identities
        )

    return first_time


def _password(scope: Scope, login: str, *, stdin: bool) -> Secret:
    from toolkit.model import Secret

    if stdin:
        return Secret(sys.stdin.readline().rstrip("\n"))
    if not scope.report.interactive:
        raise UsageError("there is no terminal to ask the password at", hint="--password-stdin")
    return Secret(scope.report.secret(f"Password of {login} (used once, never kept)"))
