"""Daemons that read a changed file again without a restart, which would end what people have open."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host


class HasRead(FactBase[bool]):
    """Whether the unit does not run, or started or was told to read again after the file was last written."""

    def command(self, unit: str, file: str) -> str:
        return (
            f"systemctl --quiet is-active {unit} || echo yes;"
            f" started=$(systemctl show --timestamp=unix -p ExecMainStartTimestamp --value {unit});"
            f" written=$(stat -c %Y {file} 2>/dev/null || echo 0);"
            f' [ "${{started#@}}" -gt "$written" ] 2>/dev/null && echo yes;'
            f" [ {_stamp(unit)} -nt {file} ] && echo yes; true"
        )

    def process(self, output: list[str]) -> bool:
        return "yes" in output


def _stamp(unit: str) -> str:
    return f"/run/telekit/{unit}.read"


@operation()
def reread(unit: str, file: str, command: str) -> Generator[str, None, None]:
    """Have a unit that runs know what is in the file; command: what makes it read."""
    if not host.get_fact(HasRead, unit=unit, file=file):
        yield f"{command} && mkdir -p /run/telekit && touch {_stamp(unit)}"
