"""What an unexpected exception leaves for whoever mends it."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from toolkit import __version__


def record(arguments: Sequence[str], error: BaseException) -> Path:
    """Write the traceback into a file that only this user can read; variables' values are not in it."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "telekit"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        state = Path(tempfile.gettempdir())
    descriptor, name = tempfile.mkstemp(prefix="bug-", suffix=".log", dir=state)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"telekit {__version__}: telekit {' '.join(arguments)}\n")
        stream.write("".join(traceback.format_exception(error)))
    return Path(name)
