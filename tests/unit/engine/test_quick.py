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
from pyinfra.api.command import QuoteString
from pyinfra.api.exceptions import ArgumentTypeError
from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.facts import files
from pyinfra.facts.files import Block, FindInFile, Sha1File

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


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (Sha1File().command, (), {"path": "/x"}),
        (FindInFile().command, (), {"path": "/x", "pattern": "y"}),
        (FindInFile().command, (), {"pattern": "y", "path": "/x", "interpolate_variables": True}),
        (FindInFile().command, ("/x",), {"pattern": "y"}),
        (Block().command, (), {"path": "/x"}),
        (lambda path, mode=1: path, (), {"path": "/x"}),
    ],
)
def test_call_arguments_are_what_inspect_finds(function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    assert quick.getcallargs(function, *args, **kwargs) == inspect.getcallargs(function, *args, **kwargs)


@pytest.mark.parametrize("kwargs", [{}, {"path": "/x"}, {"path": "/x", "pattern": "y", "wrong": 1}])
def test_call_arguments_that_do_not_fit_are_refused_in_inspects_words(kwargs: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as theirs:
        inspect.getcallargs(FindInFile().command, **kwargs)
    with pytest.raises(TypeError) as ours:
        quick.getcallargs(FindInFile().command, **kwargs)
    assert str(ours.value) == str(theirs.value)


@given(
    GIVEN,
    CONFIGS,
    st.sampled_from([{}, {"machine": 1}, {"_sudo": True}]),
    st.sampled_from([{}, {"_sudo": True}, {"_if": [dict]}]),
)
def test_facts_take_over_what_pyinfra_lets_them(
    operation: Any, config: Config, data: dict[str, Any], own: dict[str, Any]
) -> None:
    state, host = host_of(data, config)
    host.current_op_global_arguments, _ = quick._pop_global_arguments(state, host, dict(operation))
    for _ in range(2):
        kwargs = {"path": "/x", **own}
        ours = quick.handle_fact_kwargs(state, host, Sha1File, [], dict(kwargs))
        theirs = quick._handle_fact_kwargs(state, host, Sha1File, [], dict(kwargs))
        assert [{**ours[0], "self": 0}, ours[1]] == [{**theirs[0], "self": 0}, theirs[1]]
        # A fact sets such things on what it was given.
        ours[1]["_shell_executable"] = "other"
        ours[1]["_success_exit_codes"].append(9)


def test_facts_notice_what_the_operation_changes_in_between() -> None:
    state, host = host_of({}, Config())
    host.current_op_global_arguments, _ = quick.pop_global_arguments(state, host, {"_sudo": True})
    assert quick.handle_fact_kwargs(state, host, Sha1File, [], {"path": "/x"})[1]["_sudo"] is True
    host.current_op_global_arguments["_sudo"] = False
    assert quick.handle_fact_kwargs(state, host, Sha1File, [], {"path": "/x"})[1]["_sudo"] is False


SECRET = HiddenValue("secret")
PLAIN = st.sampled_from(["/etc/x", "it's", "a b", ""])
FIELDS = st.one_of(PLAIN, PLAIN.map(QuoteString), st.just(SECRET), st.builds(QuoteString, st.just(SECRET)), st.integers(0, 2))


@given(st.lists(FIELDS, min_size=2, max_size=2), FIELDS)
def test_commands_from_templates_are_pyinfras(values: list[Any], named: Any) -> None:
    template = "if [ -e {0} ]; then cat {0} 'x {1}' {named}{1}; fi"
    ours = quick.make_formatted_string_command(template, *values, named=named)
    theirs = quick._make_formatted_string_command(template, *values, named=named)
    assert (ours.get_raw_value(), str(ours)) == (theirs.get_raw_value(), str(theirs))


def test_every_module_of_pyinfra_makes_commands_that_way() -> None:
    quick.install()
    assert files.make_formatted_string_command is quick.make_formatted_string_command
    path = Sha1File().command(path="/etc/x")
    assert path is Sha1File().command(path="/etc/x")
    assert path is not Sha1File().command(path="/etc/y")
