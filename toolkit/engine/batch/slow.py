"""Which operations a script cannot carry: they go through plain pyinfra, one command after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyinfra.api.command import FileUploadCommand

from toolkit.engine.batch.machine import Operation, Run
from toolkit.engine.batch.script import arguments_of, is_compilable

# Such a file is streamed by itself instead of standing in a script.
INLINE_BYTES = 512 * 1024
_ALONE = (
    "_retries", "_retry_until", "_ignore_errors", "_continue_on_error", "_timeout", "_get_pty", "_sudo_password", "_su_password",
)  # fmt: skip
# These read facts again after their first command, and the answers from before it serve as well:
# tests/lab/test_engine_equivalence.py shows it.
INDEPENDENT = frozenset(
    f"pyinfra.operations.{name}"
    for name in (
        "files.put", "files.template", "files.directory", "files.file", "files.link", "files.line", "files.block",
        "server.sysctl", "server.user", "server.group", "systemd.service", "apt.packages", "apt.key", "apt.repo",
        "crontab.crontab",
    )
)  # fmt: skip


def fits_script(run: Run, operation: Operation) -> bool:
    """Whether the operation's commands, as they stand, may be lines of a script."""
    if run.shared(operation).get("_serial") or any(operation.arguments.get(key) for key in _ALONE):
        return False
    if operation.interleaved and operation.function not in INDEPENDENT:
        return False
    if upload_bytes(operation.commands) > INLINE_BYTES:
        return False
    return all(is_compilable(command) and _plain(arguments_of(operation, command)) for command in operation.commands)


def _plain(arguments: dict[str, Any]) -> bool:
    return isinstance(arguments.get("_shell_executable"), str) and not any(arguments.get(key) for key in _ALONE)


def upload_bytes(commands: Sequence[Any]) -> int:
    """How much the commands would upload."""
    return sum(_size(command.src) for command in commands if isinstance(command, FileUploadCommand))


def _size(source: Any) -> int:
    if isinstance(source, str | os.PathLike):
        return Path(source).stat().st_size
    source.seek(0, os.SEEK_END)
    size = int(source.tell())
    source.seek(0)
    return size
