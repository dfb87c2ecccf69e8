"""The verbs of daily work: check, plan, provision, verify, drift, status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from toolkit.cli.options import Scope, example, scoped
from toolkit.errors import UsageError
from toolkit.result import Result, counted

if TYPE_CHECKING:
    from toolkit.model import Commune

CHECK_EXAMPLE = "telekit check --commune lab"
PLAN_EXAMPLE = "telekit plan --commune lab --role gateway"
PROVISION_EXAMPLE = "telekit provision --commune lab --only gw-mairie --yes"


@click.command(epilog=example(CHECK_EXAMPLE))
@scoped(machines=False, identity=False)
def check(scope: Scope) -> Result:
    """Read the inventory alone and report every problem."""
    from toolkit.inventory import load

    loaded = load(scope.folder)
    commune = loaded.commune
    closing = f"The inventory of {commune.name} is valid: {_sizes(commune)}."
    return Result("check", commune.slug, summary=_counts(commune), problems=loaded.warnings, closing=closing)


def _counts(commune: Commune) -> dict[str, int]:
    return {
        "gateways": len(commune.gateways), "desktops": len(commune.desktops), "laptops": len(commune.laptops),
        "agents": len(commune.agents), "active_agents": len(commune.active_agents), "applications": len(commune.applications),
    }  # fmt: skip


def _sizes(commune: Commune) -> str:
    active, agents = len(commune.active_agents), len(commune.agents)
    parts = [
        counted(agents, "agent") + (f" ({active} with access today)" if active != agents else ""),
        counted(len(commune.gateways), "gateway"),
        counted(len(commune.desktops), "desktop"),
        counted(len(commune.laptops), "laptop"),
        counted(len(commune.applications), "application"),
    ]
    return ", ".join(parts)


@click.command(epilog=example(PLAN_EXAMPLE))
@click.option("--diff/--no-diff", default=True, show_default=True, help="Show how files would change.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 when changes are pending.")
@scoped()
def plan(scope: Scope, *, diff: bool, exit_code: bool) -> Result:
    """Show what provision would change; nothing is touched."""
    from toolkit.cli.outcome import pending
    from toolkit.provision import plan as make_plan

    scope.report.diff = diff
    result = make_plan(scope.job(), scope.report)
    return pending(result) if exit_code else result


@click.command(epilog=example(PROVISION_EXAMPLE))
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--diff/--no-diff", default=False, show_default=True, help="Show how files would change before asking.")
@scoped()
def provision(scope: Scope, *, yes: bool, diff: bool) -> Result:
    """Make the machines what the inventory says."""
    from toolkit.provision import provision as do

    if not yes and not scope.report.interactive:
        raise UsageError("there is no terminal to ask at", hint="say --yes, after looking at `telekit plan`")

    def confirm(planned: Result) -> bool:
        scope.report.preview(planned, diff=diff)
        return scope.report.confirm("Provision now?")

    return do(scope.job(), scope.report, None if yes else confirm)


DRIFT_EXAMPLE = "telekit drift --commune lab --json"


@click.command(epilog=example(DRIFT_EXAMPLE))
@click.option("--diff/--no-diff", default=True, show_default=True, help="Show how files changed.")
@scoped()
def drift(scope: Scope, *, diff: bool) -> Result:
    """Show what changed on the machines without telekit.

    Since their last provision, and by whom where their logs know.

    Exits with 3 when something did. Nothing is touched.
    """
    from toolkit.drift import drift as compare

    scope.report.diff = diff
    return compare(scope.job(), scope.report)


STATUS_EXAMPLE = "telekit status --commune lab --role laptop"


@click.command(epilog=example(STATUS_EXAMPLE))
@scoped()
def status(scope: Scope) -> Result:
    """Show machines, tunnels, ages and ends as they are now."""
    from toolkit.status import status as ask

    return ask(scope.job(), scope.report)
