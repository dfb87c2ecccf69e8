"""The one error that reaches an operator: what is wrong, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with what the operator gave: `where` is "file:line" or a machine's name."""

    what: str
    where: str = ""
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.what}{hint}"


class TelekitError(Exception):
    """Something the operator can act on; `exit_code` 2 is bad usage or inventory, 1 a machine's failure."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.problem = Problem(what, where, hint)
        super().__init__(str(self.problem))


class UsageError(TelekitError):
    """The command or a file it needs is not usable as given."""

    exit_code = 2


class InventoryError(TelekitError):
    """The inventory, or what `subject` names, is refused; `problems` holds every problem found, in file order."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...], *, subject: str = "the inventory") -> None:
        self.problems = problems
        errors = sum(not p.warning for p in problems)
        super().__init__(f"{subject} has {errors} problem{'s' if errors != 1 else ''}")
