"""The two files of a commune that telekit edits, changed together: tried first, written whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from toolkit.atomic import replace_file
from toolkit.errors import InventoryError, Problem, UsageError
from toolkit.inventory import Loaded, load
from toolkit.inventory.agents import Row, parse
from toolkit.inventory.folder import CSV, TOML
from toolkit.inventory.problems import Problems, guess
from toolkit.inventory.text import decode
from toolkit.model import Agent, Commune
from toolkit.register import document, table
from toolkit.register.document import Document
from toolkit.register.table import Table


@dataclass(frozen=True)
class Register:
    """A commune as its files say it, and the bytes that were read."""

    folder: Path
    commune: Commune
    found: Mapping[str, bytes]

    def edit(self) -> Edit:
        return Edit(self)

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Identifier → the agent as agents.csv says it, without what commune.toml adds, and the line."""
        return {row.agent.identifier: row for row in parse(decode(self.found[CSV]), Problems(CSV))}

    def row(self, identifier: str) -> Row:
        """The agent with this identifier; UsageError with the likeliest one that there is."""
        return self.rows[named(self.commune, identifier).identifier]


def open_register(folder: Path) -> Register:
    """The commune in this folder; InventoryError holds all that is wrong with it."""
    found = {name: _bytes(folder / name) for name in (TOML, CSV)}
    return Register(folder, load(folder, instead=found).commune, found)


def named(commune: Commune, identifier: str) -> Agent:
    """The agent with this identifier; UsageError with the likeliest one that there is."""
    found = {agent.identifier: agent for agent in commune.agents}
    if identifier in found:
        return found[identifier]
    raise UsageError(f"{commune.slug} has no agent `{identifier}`", hint=guess(identifier, found) or "telekit agent list")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # `load` says it with a hint, as `check` does.
        load(path.parent)
        raise


class Edit:
    """Changes to the two files, in memory until `save`."""

    def __init__(self, register: Register) -> None:
        self.register = register

    @cached_property
    def table(self) -> Table:
        return table.read(self.register.found[CSV], str(self.register.folder / CSV))

    @cached_property
    def document(self) -> Document:
        return document.read(self.register.found[TOML], str(self.register.folder / TOML))

    @property
    def contents(self) -> dict[str, bytes]:
        """By file name, what is no longer as it was. commune.toml first: agents.csv names what it adds."""
        made = {}
        if "document" in self.__dict__:
            made[TOML] = self.document.content()
        if "table" in self.__dict__:
            made[CSV] = self.table.content()
        return {name: content for name, content in made.items() if content != self.register.found[name]}

    def tried(self) -> Loaded:
        """The commune as it would be; InventoryError holds all that would be wrong."""
        try:
            return load(self.register.folder, instead={**self.register.found, **self.contents})
        except InventoryError as error:
            here = f"{self.register.folder}/"
            told = (replace(p, where=p.where.replace(here, "after this change, ", 1)) for p in error.problems if not p.warning)
            raise InventoryError(tuple(told), subject="after this change the inventory") from error

    def save(self) -> tuple[Problem, ...]:
        """Write what changed, if the commune would be valid and nobody wrote meanwhile; what is to be told of the files."""
        self.tried()
        for name, before in self.register.found.items():
            if _bytes(self.register.folder / name) != before:
                where = str(self.register.folder / name)
                raise UsageError("somebody has just changed it; nothing was written", where=where, hint="run the command again")
        for name, content in self.contents.items():
            path = (self.register.folder / name).resolve()
            replace_file(path, content, mode=path.stat().st_mode & 0o777)
        if "table" in self.__dict__ and self.table.converted:
            what = "is now UTF-8: it holds a character that Windows-1252 does not have"
            return (Problem(what, CSV, warning=True),)
        return ()
