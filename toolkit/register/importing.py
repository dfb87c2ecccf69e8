"""`telekit agent import`: a source's people, the difference they make, and the files written once it is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit import journal
from toolkit.errors import UsageError
from toolkit.inventory.problems import listed
from toolkit.model import Commune, Secret, System
from toolkit.register import ldap_source, ldif_source, table_source
from toolkit.register.difference import Difference, Wishes, compare
from toolkit.register.people import Listing
from toolkit.register.store import Edit, Register, open_register
from toolkit.register.told import closed, fields_of, note, shown, written
from toolkit.result import Result, counted

COMMAND = "agent import"
# More leavers than this part of those who have access is more often a wrong file than a bad year.
MANY_PERCENT = 20
Source = Callable[[Commune], Listing]
Confirm = Callable[[Result], bool]


@dataclass(frozen=True)
class Import:
    """What to import and how far it may go. new_laptops: what laptops run that commune.toml does not have; None: refuse them.

    confirm: is shown the difference and accepts it; None: accepted beforehand. rehearsal: write nothing.
    """

    source: Source
    wishes: Wishes
    new_laptops: System | None = None
    allow_many: bool = False
    rehearsal: bool = False
    confirm: Confirm | None = None


def from_file(path: Path) -> Source:
    """HR's file: LDIF where it looks like it, CSV otherwise."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=str(path)) from error

    def read(commune: Commune) -> Listing:
        if ldif_source.looks_like(content):
            return ldif_source.read(content, path.name, commune.directory, commune.policy.timezone)
        profiles = commune.directory.profiles if commune.directory else {}
        return table_source.read(content, path.name, profiles)

    return read


def from_directory(folder: Path, password: Callable[[str], Secret | None]) -> Source:
    """The commune's directory; password: asked for, given the account that asks."""

    def read(commune: Commune) -> Listing:
        bind = commune.directory.bind if commune.directory else None
        return ldap_source.read(commune, folder, password(bind) if bind else None)

    return read


def run(folder: Path, order: Import) -> Result:
    """Do it: nothing is written unless the whole of it is valid and accepted."""
    register = open_register(folder)
    with journal.run(folder, COMMAND, register.commune.slug) as entry:
        register = open_register(folder)
        found = order.source(register.commune)
        agents = {identifier: row.agent for identifier, row in register.rows.items()}
        difference = compare(agents, found, order.wishes)
        result = shown(register.commune, found, difference)
        edit = _edited(register, difference, order)
        refused = _guard(register.commune, difference, order)
        if order.rehearsal or difference.empty:
            entry.forget()
            return closed(result, refused, "" if difference.empty else "Nothing was written.")
        if refused is None and order.confirm is not None and not order.confirm(result):
            entry.forget()
            return closed(result, None, "Nothing was written.")
        if refused is not None:
            raise refused
        done = written(result, edit.save())
        entry.finish(done, note=note(difference))
        return done


def _guard(commune: Commune, difference: Difference, order: Import) -> UsageError | None:
    """Why an import that would close many accesses at once is refused; None if it is not."""
    losing, active = difference.losing(order.wishes.today), len(commune.active_agents)
    if order.allow_many or losing * 100 <= active * MANY_PERCENT:
        return None
    what = f"{losing} of {active} agents would lose their access; nothing was written"
    hint = "is the list complete? --partial if it lists only some people, --allow-many if they all leave"
    return UsageError(what, hint=hint)


def _edited(register: Register, difference: Difference, order: Import) -> Edit:
    """The files as they would be, proved valid."""
    edit = register.edit()
    _laptops(register, difference, order.new_laptops, edit)
    for change in (*difference.changes, *difference.leaves):
        edit.table.set(register.rows[change.agent.identifier].line, change.fields)
    for agent in difference.removed:
        edit.table.remove(register.rows[agent.identifier].line)
    for agent in difference.joins:
        edit.table.add(fields_of(agent))
    gone = {agent.identifier for agent in difference.removed}
    if any(extra.agent in gone for extra in register.commune.extras):
        edit.document.remove_extras(gone)
    edit.tried()
    return edit


def _laptops(register: Register, difference: Difference, system: System | None, edit: Edit) -> None:
    missing = [name for name in difference.laptops if name not in register.commune.laptop_named]
    if missing and system is None:
        what = f"{counted(len(missing), 'laptop')} not in commune.toml: {listed(missing)}"
        raise UsageError(what, hint="--new-laptops windows (or debian, phone) writes them there")
    if missing and system is not None:
        edit.document.add_laptops(missing, system)
