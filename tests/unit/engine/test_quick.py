"""The remembered lookups answer what pyinfra's own do, also where nothing can be remembered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api import Config, Inventory, State
from pyinfra.api.arguments import all_argument_meta
from pyinfra.api.exceptions import ArgumentTypeError
from pyinfra.facts import files

from toolkit.engine.batch import quick

ONE_OF_EACH: dict[str, st.SearchStrategy[Any]] = {
    "name": st.text(max_size=3), "_sudo": st.booleans(), "_sudo_user": st.sampled_from(["daemon", None]),
    "_env": st.dictionaries(st.sampled_from("AB"), st.text(max_size=2)), "_if": st.sampled_from([[dict], dict]),
    "_retries": st.integers(0, 3),
    "_success_exit_codes": st.lists(st.integers(0, 3), max_size=2), "_chdir": st.just("/tmp"), "_serial": st.booleans(),
    "path": st.text(max_size=2), "other": st.integers(),
}  # fmt: skip
GIVEN = st.fixed_dictionaries({}, optional=ONE_OF_EACH)
CONFIGS = st.builds(Config, SUDO=st.booleans(), ENV=st.just({"C": "c"}), RETRY=st.integers(0, 2))


def host_of(data: dict[str, Any], config: Config) -> tuple[State, Any]:
    inventory = Inventory(([("machine", data)], {}))
    state = State(inventory, config)
    return state, inventory.get_host("machine")


def both(state: State, host: Any, kwargs: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    found = []
    for pop in (quick._pop_global_arguments, quick.pop_global_arguments):
        rest = dict(kwargs)
        values, keys = pop(state, host, rest)
        found.append((values, keys, rest))
    return found


@given(GIVEN, GIVEN, CONFIGS, st.sampled_from([{}, {"machine": 1}, {"_sudo": True}, {"_env": {"D": "d"}, "words": [1]}]))
def test_global_arguments_are_what_pyinfra_finds(kwargs: Any, inherited: Any, config: Config, data: dict[str, Any]) -> None:
    state, host = host_of(data, config)
    host.current_deploy_kwargs = {**{key: meta.default(config) for key, meta in all_argument_meta.items()}, **inherited}
    ours, theirs = both(state, host, kwargs)
    assert ours == theirs
    assert list(ours[0]) == list(theirs[0])


def test_a_list_that_an_operation_was_given_is_its_own() -> None:
    state, host = host_of({}, Config())
    first, _ = quick.pop_global_arguments(state, host, {})
    first["_success_exit_codes"].append(7)
    first["_if"].append(dict)
    second, _ = quick.pop_global_arguments(state, host, {})
    assert (second["_success_exit_codes"], second["_if"]) == ([0], [])


@pytest.mark.parametrize(
    "wrong", [{"_sudo": "yes"}, {"_retries": "x"}, {"name": 1}, {"_env": {1: "x"}}, {"_success_exit_codes": 1}]
)
def test_an_argument_of_the_wrong_type_is_refused_each_time(wrong: dict[str, Any]) -> None:
    state, host = host_of({}, Config())
    for pop in (quick._pop_global_arguments, quick.pop_global_arguments, quick.pop_global_arguments):
        with pytest.raises(ArgumentTypeError, match=next(iter(wrong))):
            pop(state, host, dict(wrong))


def signed(path: str, mode: int = 0, *, present: bool = True) -> None: ...


def plain(path: str, mode: int = 0) -> None: ...


@given(
    st.sampled_from([signed, plain, lambda **given: None]),
    st.lists(st.just("/x"), max_size=3),
    st.dictionaries(st.sampled_from(["path", "mode", "present", "wrong"]), st.just(1)),
)
def test_arguments_fit_where_inspect_says_so(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    refusals = []
    for signature in (inspect.signature, quick.signature):
        try:
            signature(function).bind(*args, **kwargs)
            refusals.append("")
        except TypeError as refusal:
            refusals.append(str(refusal))
    assert refusals[0] == refusals[1]


@given(st.one_of(st.lists(st.one_of(st.integers(0, 3), st.booleans(), st.text(max_size=2))), st.text(max_size=3)))
def test_hashes_are_pyinfras(value: Any) -> None:
    assert quick.make_hash(value) == quick.make_hash(value) == quick._make_hash(value)


@given(st.lists(st.sampled_from("rwx-"), min_size=9, max_size=9), st.one_of(st.integers(0, 2**32), st.none()))
def test_modes_and_times_of_files_are_pyinfras(mode: list[str], time: int | None) -> None:
    quick.install()
    for remembered, value in ((files._parse_mode, "".join(mode)), (files._parse_datetime, str(time or "-"))):
        own = remembered.__wrapped__  # type: ignore[attr-defined]  # it is one that remembers
        assert remembered(value) == remembered(value) == own(value)
