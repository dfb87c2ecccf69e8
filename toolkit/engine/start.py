"""What comes before the engine in a process: gevent takes the place of what would block, and nothing is done in vain."""

from __future__ import annotations

import functools
import gc

# Python's own 700 make a tenth of the work on a thousand machines, which leave little behind that does not go by itself.
COLLECT_AFTER = 10_000, 10, 10


@functools.cache
def prepare() -> None:
    """Import pyinfra and paramiko, which block on sockets and threads, so that they let other machines go on meanwhile."""
    gc.disable()
    try:
        from gevent import events, monkey

        # Packages may ask to be told of each of two dozen patches: gevent would search all that is installed each time.
        events.notify_and_call_entry_points = events.notify
        monkey.patch_all()
        from toolkit.engine import session  # noqa: F401 - it imports the rest
    finally:
        # What was loaded stays.
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        gc.enable()
