"""The short way to a fact: what pyinfra's own facts ask is worked out once for all machines that are asked the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS
from pyinfra.api.facts import FactBase
from pyinfra.context import ContextObject

from toolkit.engine.batch.connector import batchable
from toolkit.engine.batch.questions import Question, question_of
from toolkit.engine.batch.sudo import CONTROL

# The fact as it is once it has made its command, which some need to read the answer; and what it asks.
Asked = tuple[FactBase[Any], Question]

_KEYS = ("_success_exit_codes", *(key for key in CONNECTOR_ARGUMENT_KEYS if key not in CONTROL))
_PLAIN = ("requires_command", "check_preconditions", "shell_executable")


def asked(fact: Any, kwargs: Mapping[str, Any], operation: Mapping[str, Any]) -> Asked | None:
    """What a fact asks in an operation with these global arguments; None where only pyinfra can tell."""
    # Nothing that may be secret is remembered: passwords and standard input make a command that stands alone.
    if not batchable(operation) or operation.get("_env") or not _asks_all_alike(fact):
        return None
    if any(type(value) is not str for value in kwargs.values()):
        return None
    given = tuple((key, tuple(value) if type(value) is list else value) for key in _KEYS if (value := operation.get(key)))
    try:
        made, question = _asked(fact, tuple(kwargs.items()), given)
    except TypeError:
        # Arguments that the fact does not know.
        return None
    own = fact.__new__(fact)
    vars(own).update(vars(made))
    return own, question


@lru_cache(1024)
def _asks_all_alike(fact: Any) -> bool:
    """Whether a fact's question depends on its arguments alone. Other facts may look at the host, as some of pyinfra's do."""
    module = getattr(fact, "__module__", "")
    if not module.startswith("pyinfra.facts.") or not issubclass(fact, FactBase):
        return False
    knows_host = any(isinstance(value, ContextObject) for value in vars(sys.modules[module]).values())
    return not knows_host and all(getattr(fact, name) is getattr(FactBase, name) for name in _PLAIN)


@lru_cache(8192)
def _asked(fact: type[FactBase[Any]], kwargs: tuple[tuple[str, str], ...], given: tuple[tuple[str, Any], ...]) -> Asked:
    made = fact()
    command = made.command(**dict(kwargs)) if callable(made.command) else made.command
    return made, question_of(command, dict(given))
