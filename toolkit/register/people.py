"""Somebody as HR's file or the directory tells of them: what the source does not say stays as the register says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.errors import InventoryError, Problem
from toolkit.inventory.problems import Problems, Refused, shown

# Cells that a spreadsheet would take for a formula and run.
FORMULAS = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Person:
    """said: fields of Agent with a value in the source, the identifier aside. disabled: the directory closed the account."""

    identifier: str
    said: Mapping[str, object]
    where: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Listing:
    """Everybody that a source lists, and what an operator should know of who is left out."""

    source: str
    people: tuple[Person, ...]
    warnings: tuple[Problem, ...] = field(default=())


def listing(source: str, people: list[Person], problems: Problems) -> Listing:
    """The listing, or InventoryError with all that is wrong with it; a list of nobody is a mistake."""
    found = problems.in_order()
    if all(problem.warning for problem in found) and not people:
        found = (*found, Problem("lists nobody", source, "is it the right file or filter?"))
    if any(not problem.warning for problem in found):
        raise InventoryError(found, subject=source)
    return Listing(source, tuple(people), found)


def harmless(values: Mapping[str, object]) -> None:
    """Refused if a spreadsheet would run a value as a formula, the day somebody opens agents.csv with it."""
    for value in values.values():
        if isinstance(value, str) and value.startswith(FORMULAS):
            raise Refused(f"{shown(value)} begins as a formula of a spreadsheet", "correct it at its source")
