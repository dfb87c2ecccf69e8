"""What holds for all tests without machines."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says how busy the computer is, and nothing of what is tested.
settings.register_profile("telekit", deadline=None)
settings.load_profile("telekit")
