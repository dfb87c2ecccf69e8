"""Which commands a whole script under one `sudo` can carry, instead of one `sudo` a command."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS
from pyinfra.connectors.util import make_unix_command

ROOT = "sudo -H -n sh -s"
SELF = "sh -s"


def limited(seconds: float | None) -> str:
    """The command that reads a script as whoever says it; with `seconds`, it ends it and all it started after that time."""
    return f"timeout -k 2 {math.ceil(seconds)} {SELF}" if seconds is not None else SELF


def shell(*, sudo: bool, seconds: float | None = None) -> str:
    """The command that reads a script, as root with `sudo`. seconds: as for `limited`."""
    return f"sudo -H -n {limited(seconds)}" if sudo else limited(seconds)


# What else changes who a command runs as, or in what environment sudo starts it.
_OTHER = (
    "_sudo_user", "_use_sudo_login", "_sudo_password", "_preserve_sudo_env", "_su_user", "_use_su_login",
    "_preserve_su_env", "_su_shell", "_su_password", "_doas", "_doas_user", "_dzdo", "_dzdo_user",
)  # fmt: skip
# How a command is run and judged, which is not part of the command itself.
CONTROL = ("_success_exit_codes", "_timeout", "_get_pty", "_stdin", "_retries", "_retry_delay", "_retry_until")

_SHAPING = tuple(key for key in CONNECTOR_ARGUMENT_KEYS if key not in CONTROL)


def is_plain_sudo(arguments: Mapping[str, Any]) -> bool:
    """Whether `sudo -H -n` is all that stands before the command: then `sudo -H -n sh -s` around the script is the same."""
    return bool(arguments.get("_sudo")) and not any(arguments.get(key) for key in _OTHER)


def connector_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that shape the command line."""
    return {key: arguments[key] for key in _SHAPING if key in arguments}


def command_line(command: Any, arguments: Mapping[str, Any], *, inside_sudo: bool) -> str:
    """The shell command line for a pyinfra command; `inside_sudo`: for a script that runs under `sudo` already."""
    shaping = connector_arguments(arguments)
    if inside_sudo:
        shaping["_sudo"] = False
    return str(make_unix_command(command, **shaping).get_raw_value())
