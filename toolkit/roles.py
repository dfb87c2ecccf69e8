"""Role → recipe and checks: the one table that says what a kind of machine becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from toolkit.model import Role


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where a role's deploy functions and its checks are; imported when first asked for.

    enrol: makes the machine's own keys, whose public halves the ledger needs before `recipe` can be written.
    """

    module: str
    enrol: str
    recipe: str
    checks: str

    def enrolment(self) -> Callable[[], None]:
        return self._load(self.enrol)

    def deploy(self) -> Callable[[], None]:
        return self._load(self.recipe)

    def _load(self, name: str) -> Callable[[], None]:
        function: Callable[[], None] = getattr(import_module(self.module), name)
        return function


ROLES = {
    Role.GATEWAY: Recipe("deploys.gateway", "enrol", "gateway", "test_gateway.py"),
    Role.DESKTOP: Recipe("deploys.desktop", "enrol", "desktop", "test_desktop.py"),
    Role.LAPTOP: Recipe("deploys.laptop", "enrol", "laptop", "test_laptop.py"),
}
