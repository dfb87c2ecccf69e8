"""`telekit agent`: the life of an agent's access, one command each."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.days import DAY
from toolkit.cli.options import Scope, example, scoped
from toolkit.errors import UsageError
from toolkit.model import System
from toolkit.result import Result

if TYPE_CHECKING:
    from toolkit.model import Commune, Secret
    from toolkit.register.importing import Confirm, Source

STANDINGS = ("active", "ending", "suspended", "ended", "coming")
FILE = click.Path(path_type=Path, dir_okay=False)
SYSTEM = click.Choice(list(map(str, System)))


class InOrder(click.Group):
    """Lists its commands in the order of an access's life."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, epilog=example("telekit agent import agents-rh.csv --commune lab"))
def agent() -> None:
    """Who may telework: the register of agents."""


def _commune(scope: Scope) -> Commune:
    """The commune with its tunnel addresses; warnings are for `check`."""
    from toolkit import ledger
    from toolkit.inventory import load

    return ledger.read(scope.folder).complete(load(scope.folder).commune)


@agent.command("list", epilog=example("telekit agent list --commune lab --standing ending"))
@click.option("--standing", multiple=True, type=click.Choice(STANDINGS), help="Only whose access stands so (repeatable).")
@click.option("--profile", multiple=True, metavar="NAME", help="Only agents of this profile (repeatable).")
@click.option("--service", multiple=True, metavar="NAME", help="Only agents of this service (repeatable).")
@scoped(machines=False, identity=False)
def list_(scope: Scope, *, standing: tuple[str, ...], profile: tuple[str, ...], service: tuple[str, ...]) -> Result:
    """List agents and where their access stands."""
    from toolkit.register.listing import Standing, listing

    return listing(_commune(scope), tuple(map(Standing, standing)), profile, service)


@agent.command(epilog=example("telekit agent show m.durand --commune lab"))
@click.argument("agent")
@scoped(machines=False, identity=False)
def show(scope: Scope, *, agent: str) -> Result:
    """Show one agent: dates, device, what they reach."""
    from toolkit.register.listing import show

    return show(_commune(scope), agent)


@agent.command(epilog=example("telekit agent add p.martin --commune lab --first-name Paul --last-name Martin --profile accueil"))
@click.argument("agent")
@click.option("--last-name", required=True, help="Last name.")
@click.option("--first-name", required=True, help="First name.")
@click.option("--profile", required=True, help="A profile of commune.toml.")
@click.option("--service", help="The service they work in.")
@click.option("--laptop", help="The laptop they carry.")
@click.option("--new-laptop", type=SYSTEM, help="Write that laptop into commune.toml too, with this system.")
@click.option("--desktop", help="The desktop they work on.")
@click.option("--from", "starts", metavar="DAY", help="First day of access.")
@click.option("--until", "ends", metavar="DAY", help="Last day of access.")
@scoped(machines=False, identity=False)
def add(scope: Scope, *, agent: str, new_laptop: str | None, **written: str | None) -> Result:
    """Add an agent to the register."""
    from toolkit.register.edits import add

    return add(scope.folder, {"identifier": agent, **written}, System(new_laptop) if new_laptop else None)


@agent.command("import", epilog=example("telekit agent import agents-rh.csv --commune lab --last-day 31/08/2026"))
@click.argument("file", type=FILE, required=False)
@click.option("--directory", is_flag=True, help="Ask the directory that commune.toml names, instead of reading a file.")
@click.option("--last-day", type=DAY, default="yesterday", show_default=True, help="Last day of whoever is no longer listed.")
@click.option("--partial", is_flag=True, help="The list names only some agents: nobody leaves for it.")
@click.option("--remove-leavers", is_flag=True, help="Remove the lines of whoever is no longer listed.")
@click.option("--allow-many", is_flag=True, help="Accept that more than one agent in five leaves.")
@click.option("--reopen", is_flag=True, help="Give access back to listed agents who left or were suspended.")
@click.option("--new-laptops", type=SYSTEM, help="Write laptops that commune.toml does not have there, with this system.")
@click.option("--dry-run", is_flag=True, help="Show the difference and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option(
    "--bind-password-file",
    type=FILE,
    help="File, readable by you alone, with the password of the account that asks the directory.",
)
@click.option("--password-stdin", is_flag=True, help="Read that password from standard input instead of asking.")
@scoped(machines=False, identity=False)
def import_(
    scope: Scope, *, file: Path | None, directory: bool, last_day: date, partial: bool, remove_leavers: bool,
    allow_many: bool, reopen: bool, new_laptops: str | None, dry_run: bool, yes: bool,
    bind_password_file: Path | None, password_stdin: bool,
) -> Result:  # fmt: skip
    """Bring the register up to date with HR's list.

    FILE is CSV with the columns of agents.csv, or LDIF. Joins, leaves and changes are shown first.
    """
    from toolkit.register.difference import Wishes
    from toolkit.register.importing import Import, from_directory, from_file, run

    if (file is None) is not directory:
        raise UsageError("say what to import: a FILE, or --directory")
    if not (yes or dry_run or scope.report.interactive):
        raise UsageError("there is no terminal to ask at", hint="say --yes, after looking with --dry-run")
    source: Source = (
        from_file(file)
        if file
        else from_directory(scope.folder, lambda bind: _password(scope, bind, bind_password_file, stdin=password_stdin))
    )
    wishes = Wishes(date.today(), last_day, partial=partial, remove_leavers=remove_leavers, reopen=reopen)
    system = System(new_laptops) if new_laptops else None
    confirm = None if yes else _confirming(scope)
    return run(scope.folder, Import(source, wishes, system, allow_many=allow_many, rehearsal=dry_run, confirm=confirm))


def _confirming(scope: Scope) -> Confirm:
    def confirm(result: Result) -> bool:
        scope.report.preview(result)
        return scope.report.confirm("Write the register?")

    return confirm


def _password(scope: Scope, bind: str, file: Path | None, *, stdin: bool) -> Secret:
    from toolkit.model import Secret
    from toolkit.register.ldap_source import password_in

    if file is not None:
        return password_in(file)
    if stdin:
        return Secret(sys.stdin.readline().rstrip("\n"))
    if not scope.report.interactive:
        raise UsageError("there is no terminal to ask the password at", hint="--bind-password-file, or --password-stdin")
    return Secret(scope.report.secret(f"Password of {bind}"))


@agent.command(epilog=example("telekit agent renew m.durand k.benali --commune lab --until 31/08/2027"))
@click.argument("agents", nargs=-1, required=True, metavar="AGENT...")
@click.option("--until", type=DAY, help="Last day of access.")
@click.option("--no-end", is_flag=True, help="Access without end.")
@scoped(machines=False, identity=False)
def renew(scope: Scope, *, agents: tuple[str, ...], until: date | None, no_end: bool) -> Result:
    """Prolong an access, or open it again after its end."""
    from toolkit.register.edits import renew

    if (until is None) is not no_end:
        raise UsageError("say how long: --until DAY, or --no-end")
    return renew(scope.folder, agents, until, date.today())


@agent.command(epilog=example('telekit agent suspend m.durand --commune lab --reason "Congé de longue durée"'))
@click.argument("agents", nargs=-1, required=True, metavar="AGENT...")
@click.option("--from", "since", type=DAY, default="today", show_default=True, help="First day without access.")
@click.option("--reason", default="", help="Why, for the journal.")
@scoped(machines=False, identity=False)
def suspend(scope: Scope, *, agents: tuple[str, ...], since: date, reason: str) -> Result:
    """Close an access until it is resumed."""
    from toolkit.register.edits import suspend

    return suspend(scope.folder, agents, since, reason)


@agent.command(epilog=example("telekit agent resume m.durand --commune lab"))
@click.argument("agents", nargs=-1, required=True, metavar="AGENT...")
@scoped(machines=False, identity=False)
def resume(scope: Scope, *, agents: tuple[str, ...]) -> Result:
    """Open a suspended access again."""
    from toolkit.register.edits import resume

    return resume(scope.folder, agents, date.today())


@agent.command(
    epilog=example('telekit agent grant k.benali finances --commune lab --until 31/12/2026 --reason "Remplace m.durand"')
)
@click.argument("agent")
@click.argument("application")
@click.option("--until", type=DAY, required=True, help="Last day of it.")
@click.option("--reason", required=True, help="Why; shown by `telekit access` and at the yearly review.")
@scoped(machines=False, identity=False)
def grant(scope: Scope, *, agent: str, application: str, until: date, reason: str) -> Result:
    """Grant one application more, until a day."""
    from toolkit.model import Extra
    from toolkit.register.edits import grant

    return grant(scope.folder, Extra(agent, application, until, reason), date.today())


@click.command(epilog=example("telekit access --commune lab --application finances"))
@click.argument("agent", required=False)
@click.option("--application", metavar="NAME", help="Who reaches this application, instead of what an agent reaches.")
@scoped(machines=False, identity=False)
def access(scope: Scope, *, agent: str | None, application: str | None) -> Result:
    """Show what an agent reaches and why."""
    from toolkit.register.access import of_agent, of_application

    commune = _commune(scope)
    if agent and not application:
        return of_agent(commune, agent)
    if application and not agent:
        return of_application(commune, application)
    raise UsageError("say of what: an AGENT, or --application NAME")
