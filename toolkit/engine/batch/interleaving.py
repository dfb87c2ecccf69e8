"""Whether a fact that an operation reads after its first commands could be read before them as well."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api.command import FileUploadCommand, StringCommand
from pyinfra.facts.server import TmpDir

# These change nothing but the paths that they name, and let what lies below them be.
_MODEST = ("mkdir", "chmod", "chown", "chgrp", "touch")


def is_untouched(fact: Any, args: Sequence[Any], kwargs: Mapping[str, Any], commands: Sequence[Any]) -> bool:
    """Whether none of the commands can have changed the fact; where that cannot be told, they can."""
    if fact is TmpDir:
        return True
    path = kwargs.get("path")
    if args or not isinstance(path, str) or len(kwargs) != 1:
        return False
    return all(_spares(command, path) for command in commands)


def _spares(command: Any, path: str) -> bool:
    """Whether the command cannot have changed what is at `path`."""
    if isinstance(command, FileUploadCommand):
        return command.dest != path
    if not isinstance(command, StringCommand):
        return False
    try:
        words = shlex.split(str(command))
    except ValueError:
        return False
    # A directory made for a file does not make the file; a path of which ours is the beginning may make ours.
    named = [word for word in words[1:] if word.startswith("/")]
    if words[0] not in _MODEST or "-R" in words:
        return False
    return not any(f"{word}/".startswith(f"{path}/") for word in named)
