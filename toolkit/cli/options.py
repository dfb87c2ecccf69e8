"""The options that commands share, and what they mean together."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from toolkit.errors import UsageError
from toolkit.model import Role
from toolkit.report import Report

if TYPE_CHECKING:
    from toolkit.inventory import Loaded
    from toolkit.model import Secret
    from toolkit.targets import Job

Command = TypeVar("Command", bound=Callable[..., Any])
INVENTORIES = "TELEKIT_INVENTORIES"
IDENTITY = "TELEKIT_IDENTITY"


@dataclass(frozen=True)
class Scope:
    """Which commune and machines a command is about, and where it reports."""

    report: Report
    commune: str | None
    inventories: Path
    only: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    identity: Path | None = None
    jobs: int = 50

    @property
    def folder(self) -> Path:
        """The commune's folder; without --commune, an error that lists the communes there are."""
        from toolkit.inventory import find, slugs

        if self.commune is not None:
            return find(self.inventories, self.commune)
        if not self.inventories.is_dir():
            raise UsageError(
                f"there is no folder {self.inventories}", hint="say --inventories DIR, or make a commune with `telekit init`"
            )
        known = ", ".join(slugs(self.inventories)) or "none yet: `telekit init` makes one"
        raise UsageError("say which commune: --commune NAME", hint=f"in {self.inventories}: {known}")

    def load(self) -> Loaded:
        """The commune as its files say it; its warnings go to the report."""
        from toolkit.inventory import load

        loaded = load(self.folder)
        if not self.report.json:
            self.report.warn(loaded.warnings)
        return loaded

    def job(self) -> Job:
        """The machines meant, and what is needed to reach them."""
        from toolkit.secrets import identities_for
        from toolkit.targets import Job, select

        commune = self.load().commune
        machines = select(commune, self.only, self.roles)
        identities = identities_for(self.folder, self.identity)
        ask = functools.cache(self._passphrase) if self.report.interactive else None
        return Job(self.folder, commune, machines, identities, self.jobs, debug=self.report.debug, ask=ask)

    def _passphrase(self, key: Path) -> Secret:
        from toolkit.model import Secret

        return Secret(self.report.secret(f"Passphrase of {key}"))

    def complete_job(self) -> Job:
        """The same, with the addresses and keys that the ledger knows."""
        from toolkit.enrolment import Enrolment

        return Enrolment(self.job()).job


def scoped(*, machines: bool = True, identity: bool = True) -> Callable[[Command], Command]:
    """Give a command the shared options, as its first argument `scope`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def call(**given: Any) -> Any:
            report = click.get_current_context().obj
            roles = tuple(Role(role) for role in given.pop("role", ()))
            scope = Scope(
                report, given.pop("commune"), given.pop("inventories"), given.pop("only", ()), roles,
                given.pop("identity", None), given.pop("jobs", 50),
            )  # fmt: skip
            return command(scope, **given)

        decorated: Any = reporting(call)
        for option in reversed([*PLACE, *(MACHINES if machines else ()), *(ACCESS if identity else ())]):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]  # click gives back what it was given

    return decorate


def example(line: str) -> str:
    """The end of a command's help: a line to copy, never wrapped."""
    return f"\b\nExample:\n  {line}"


def reporting(command: Command) -> Command:
    """--json and --debug: already read by `main`, which needs them to report an error in the options themselves."""
    decorated: Any = command
    for option in reversed(REPORT):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]  # click gives back what it was given


def _communes(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    folder = context.params.get("inventories") or Path("inventories")
    return [CompletionItem(f.parent.name) for f in sorted(folder.glob(f"{incomplete}*/commune.toml"))]


def _machines(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _named(context, incomplete, tuple(Role))


def _named(context: click.Context, incomplete: str, roles: tuple[Role, ...]) -> list[CompletionItem]:
    file = (context.params.get("inventories") or Path("inventories")) / (context.params.get("commune") or "") / "commune.toml"
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        names = [str(machine["name"]) for role in roles for machine in tables.get(role, ())]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def laptops_named(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The machines of the commune's laptop tables that begin so."""
    return _named(context, incomplete, (Role.LAPTOP,))


FOLDER = click.Path(path_type=Path, file_okay=False)
PLACE = (
    click.option("--commune", metavar="NAME", shell_complete=_communes, help="The commune: a folder's name in the inventories."),
    click.option("--inventories", type=FOLDER, envvar=INVENTORIES, default=Path("inventories"), show_envvar=True,
                 show_default=True, help="Where the communes' folders are."),
)  # fmt: skip
MACHINES = (
    click.option("--only", multiple=True, metavar="MACHINE", shell_complete=_machines, help="Only this machine (repeatable)."),
    click.option("--role", multiple=True, type=click.Choice(list(map(str, Role))), help="Only this role (repeatable)."),
)  # fmt: skip
ACCESS = (
    click.option("--identity", type=click.Path(path_type=Path, dir_okay=False), envvar=IDENTITY, show_envvar=True,
                 help="The private key for SSH and for the secrets; without it ~/.ssh/id_ed25519 and the like."),
    click.option("--jobs", type=click.IntRange(1, 500), default=50, show_default=True, help="Machines side by side."),
)  # fmt: skip
REPORT = (
    click.option("--json", is_flag=True, expose_value=False, help="One JSON document on standard output (docs/json.md)."),
    click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks."),
)  # fmt: skip
