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
    checks: the files of `toolkit/checks` that concern such a machine.
    """

    module: str
    enrol: str
    recipe: str
    checks: tuple[str, ...]

    def enrolment(self) -> Callable[[], None]:
        return self._load(self.enrol)

    def deploy(self) -> Callable[[], None]:
        return self._load(self.recipe)

    def _load(self, name: str) -> Callable[[], None]:
        function: Callable[[], None] = getattr(import_module(self.module), name)
        return function


# The last one takes the tunnel down for a moment.
LAPTOP_CHECKS = (
    "test_baseline.py", "test_access.py", "test_matrix.py", "test_antivirus.py", "test_laptop.py", "test_session.py",
    "test_pace.py", "test_tunnel.py",
)  # fmt: skip

GATEWAY_CHECKS = ("test_baseline.py", "test_gateway.py", "test_outside.py", "test_profiles.py")

ROLES = {
    Role.GATEWAY: Recipe("deploys.gateway", "enrol", "gateway", GATEWAY_CHECKS),
    Role.DESKTOP: Recipe("deploys.desktop", "enrol", "desktop", ("test_baseline.py", "test_desktop.py")),
    Role.LAPTOP: Recipe("deploys.laptop", "enrol", "laptop", LAPTOP_CHECKS),
}
