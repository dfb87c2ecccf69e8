"""Two small commands: an agent's password as a letter, and shell completion."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from toolkit.cli.options import Scope, example, reporting, scoped
from toolkit.errors import UsageError
from toolkit.report import Report
from toolkit.result import Result

COMPLETE = "_TELEKIT_COMPLETE"


@click.command(epilog=example("telekit password m.durand --commune lab --output lettre-m.durand.txt"))
@click.argument("agent")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A new file, readable by you alone."
)
@scoped(machines=False)
def password(scope: Scope, *, agent: str, output: Path) -> Result:
    """Write an agent's first desktop password into a letter."""
    from toolkit.letter import write

    return write(scope.job(), agent, output)


@click.command(epilog=example("telekit completion fish > ~/.config/fish/completions/telekit.fish"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@reporting
@click.pass_context
def completion(context: click.Context, shell: str) -> Result | None:
    """Print what makes a shell complete telekit's words."""
    report: Report = context.obj
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"there is no completion for {shell}")
    script = found(context.find_root().command, {}, "telekit", COMPLETE).source()
    if report.json:
        return Result("completion", summary={"shell": shell, "script": script})
    report.raw(script)
    return None
