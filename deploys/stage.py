"""Where a recipe's later facts depend on what comes before having been done."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.operation import operation

PREFIX = "Stage: "


@operation()
def _stage() -> Generator[str, None, None]:
    """Issue no command."""
    yield from ()


def stage(name: str) -> None:
    """Say that everything above is done before a fact below is read: "packages are installed".

    Plain pyinfra reads facts one operation after another and loses nothing; an engine that reads them ahead splits here.
    """
    _stage(name=f"{PREFIX}{name}")
