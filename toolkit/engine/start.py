"""What comes before the engine in a process: gevent takes the place of what would block, and nothing is done in vain."""

from __future__ import annotations

import functools
import gc

# At Python's own 700, the search for garbage was a tenth of the work on a thousand machines, and found little.
COLLECT_AFTER = 10_000, 10, 10


@functools.cache
def prepare() -> None:
    """Import pyinfra and paramiko, which block on sockets and threads, so that they let other machines go on meanwhile."""
    collects = gc.isenabled()
    gc.disable()
    try:
        _patch()
        from toolkit.engine import session  # noqa: F401 - it imports the rest
    finally:
        if collects:
            gc.enable()
    # What was loaded stays.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _patch() -> None:
    """Have gevent patch Python, and not search all that is installed for packages to tell at each of two dozen patches."""
    from gevent import events, monkey

    told = events.notify_and_call_entry_points
    events.notify_and_call_entry_points = events.notify
    try:
        monkey.patch_all()
    finally:
        events.notify_and_call_entry_points = told
