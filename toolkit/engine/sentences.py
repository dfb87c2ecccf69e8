"""What the batch engine's errors mean to an operator, and what to do next."""

from __future__ import annotations

from toolkit.engine.batch import reach
from toolkit.engine.batch.questions import SudoRefusedError

# Where a machine is that is not at any operation yet.
NOWHERE = "Read the machine's state"


def unreachable(error: reach.UnreachableError) -> str:
    """Why a machine was not reached."""
    match error:
        case reach.HostKeyUnknownError():
            return f"{error}: compare it and run telekit trust"
        case reach.HostKeyChangedError():
            return f"{error}. If the machine was installed anew, run telekit trust; if not, somebody may stand in between"
        case reach.AuthenticationRefusedError():
            return f"{error}: run telekit trust to set up the account, or give the right key with --identity"
        case _:
            return str(error)


def failed(error: Exception) -> str:
    """Why an operation or a recipe failed."""
    if isinstance(error, SudoRefusedError):
        return f"{error}. The account needs NOPASSWD in sudoers: telekit trust sets it up"
    return str(error) or type(error).__name__


def short(name: str) -> str:
    """An operation's own name, without the recipes that it stands in ("gateway | baseline | Set the time zone")."""
    return name.rpartition(" | ")[2]
