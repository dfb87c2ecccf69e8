"""What pyinfra keeps once a process, made to fit many States side by side."""

from __future__ import annotations

import functools
from typing import Any

from pyinfra.context import ctx_host, ctx_state


class _StateOfHost:
    """The container behind `pyinfra.state`: the State of the host in context, else the one that was set."""

    def __init__(self) -> None:
        self.given: Any = None

    @property
    def module(self) -> Any:
        host = ctx_host.get()
        return getattr(host, "state", None) or self.given

    @module.setter
    def module(self, state: Any) -> None:
        self.given = state


@functools.cache
def install() -> None:
    """Make `pyinfra.state`, of which pyinfra has one in context a process, follow `pyinfra.host`, which is a greenlet's own."""
    container = _StateOfHost()
    container.given = ctx_state.get()
    ctx_state.context._container = container
