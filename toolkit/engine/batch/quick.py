"""pyinfra's busiest lookups, with what they find remembered: they are the same functions, in a fifth of the time.

Each operation and each fact looks up 35 global arguments in five places, asks `inspect` for the same signatures and
splits the same command templates again. tests/unit/engine/test_quick.py holds them against pyinfra's own.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any, TypeAlias

from pyinfra.api import arguments, command, connectors, facts
from pyinfra.api.exceptions import ArgumentTypeError
from pyinfra.api.host import extract_callable_datas
from pyinfra.api.util import raise_if_bad_type
from pyinfra.context import ctx_config

Popped: TypeAlias = tuple[dict[str, Any], list[str]]

_TYPES: dict[str, Any] = dict(arguments.all_global_arguments())
_HANDLERS = {key: meta.handler for key, meta in arguments.all_argument_meta.items() if meta.handler is not None}
EMPTY = inspect.Parameter.empty
# Of these, one value is as good as another.
_SCALARS = (str, bool, int)
_good: set[tuple[str, type]] = set()
_pop_global_arguments: Callable[..., Any] = arguments.pop_global_arguments


@cache
def install() -> None:
    """Put them in pyinfra's place."""
    # The package's attributes of these names are the decorators, not the modules.
    operation, deploy = (sys.modules[f"pyinfra.api.{name}"] for name in ("operation", "deploy"))
    replaced: dict[Any, dict[str, Any]] = {
        arguments: {"pop_global_arguments": pop_global_arguments, "all_global_arguments": lambda: list(_TYPES.items())},
        deploy: {"pop_global_arguments": pop_global_arguments},
        facts: {"pop_global_arguments": pop_global_arguments, "getcallargs": getcallargs},
        operation: {"pop_global_arguments": pop_global_arguments, "signature": lru_cache(4096)(inspect.signature)},
        command: {"shlex": SimpleNamespace(quote=shlex.quote, split=lru_cache(4096)(shlex.split))},
        connectors: {"get_all_connectors": cache(connectors.get_all_connectors)},
    }
    for module, functions in replaced.items():
        for name, function in functions.items():
            setattr(module, name, function)


def pop_global_arguments(state: Any, host: Any, kwargs: dict[str, Any]) -> Popped:
    """pyinfra's own, for hosts whose data hold no global argument; for others pyinfra's own indeed."""
    if not all(_TYPES.keys().isdisjoint(data) for data in extract_callable_datas(host.data.datas)):
        popped: Popped = _pop_global_arguments(state, host, kwargs)
        return popped
    config = ctx_config.get() if ctx_config.isset() else state.config
    defaults = _defaults_of(config)
    inherited = {key: value for key, value in (host.current_deploy_kwargs or {}).items() if key in _TYPES}
    keys = [key for key in _TYPES if key in kwargs] if not _TYPES.keys().isdisjoint(kwargs) else []
    given = {**inherited, **{key: kwargs.pop(key) for key in keys}}
    # Whoever gets a list may keep it.
    values = {**{key: list(value) if isinstance(value, list) else value for key, value in defaults.items()}, **given}
    for key, handler in _HANDLERS.items():
        given[key] = values[key] = handler(config, values[key])
    for key, value in given.items():
        if value != defaults[key]:
            _check(key, value)
    return values, keys


_last_defaults: tuple[dict[str, Any], dict[str, Any]] = ({}, {})


def _defaults_of(config: Any) -> dict[str, Any]:
    global _last_defaults
    settings, defaults = _last_defaults
    if settings != config.__dict__ or not defaults:
        defaults = {key: arguments.all_argument_meta[key].default(config) for key in _TYPES}
        _last_defaults = dict(config.__dict__), defaults
    return defaults


def _check(key: str, value: Any) -> None:
    kind = type(value)
    if (key, kind) not in _good:
        raise_if_bad_type(value, _TYPES[key], ArgumentTypeError, f"Invalid argument `{key}`:")
        if kind in _SCALARS:
            _good.add((key, kind))


def getcallargs(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
    """inspect's own, for methods that are given all they need by name; for others inspect's own indeed."""
    method = getattr(function, "__func__", None)
    names = _parameters(method) if method is not None and not args else None
    if names is None or not kwargs.keys() <= names.keys() or not all(n in kwargs or d is not EMPTY for n, d in names.items()):
        return inspect.getcallargs(function, *args, **kwargs)
    return {"self": function.__self__, **names, **kwargs}  # type: ignore[attr-defined]


@lru_cache(4096)
def _parameters(method: Callable[..., Any]) -> dict[str, Any] | None:
    """Name → default of a method's parameters; None for one that takes any."""
    first, *rest = inspect.signature(method).parameters.values()
    plain = first.name == "self" and all(p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for p in (first, *rest))
    return {p.name: p.default for p in rest} if plain else None
