"""Daemons that read a changed file again without a restart, which would end what people have open."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from hashlib import sha256

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host


@dataclass(frozen=True, slots=True)
class Reading:
    """The digest of a file, and whether its reader needs nothing: it does not run, or read the file after it was written."""

    digest: str = ""
    current: bool = False


class ReadingState(FactBase[Reading]):
    """What a unit knows of a file."""

    default = Reading

    def command(self, unit: str, file: str) -> str:
        return (
            f"sha256sum < {file} 2>/dev/null;"
            f" systemctl --quiet is-active {unit} || echo current;"
            f" started=$(systemctl show --timestamp=unix -p ExecMainStartTimestamp --value {unit});"
            f" written=$(stat -c %Y {file} 2>/dev/null || echo 0);"
            f' [ "${{started#@}}" -gt "$written" ] 2>/dev/null && echo current;'
            f" [ {_stamp(unit)} -nt {file} ] && echo current; true"
        )

    def process(self, output: list[str]) -> Reading:
        digest = next((line.split()[0] for line in output if line.endswith("  -")), "")
        return Reading(digest, "current" in output)


def _stamp(unit: str) -> str:
    return f"/run/telekit/{unit}.read"


@operation()
def reread(unit: str, file: str, text: str, command: str) -> Generator[str, None, None]:
    """Have a unit that runs know that the file holds this text, written before; command: what makes it read.

    Facts may be older than the writing: a file that does not hold the text yet will have to be read.
    """
    found = host.get_fact(ReadingState, unit=unit, file=file)
    if not found.current or found.digest != sha256(text.encode()).hexdigest():
        test = f"! systemctl --quiet is-active {unit}"
        yield f"{test} || {{ {command}; }} && mkdir -p /run/telekit && touch {_stamp(unit)}"
