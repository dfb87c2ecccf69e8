"""The short way to a fact asks what pyinfra would and finds what pyinfra finds; where it does not know, it is not taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra import host
from pyinfra.api import Config, FactBase, Inventory, State
from pyinfra.api import facts as pyinfra_facts
from pyinfra.api import host as pyinfra_host
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.operation import operation
from pyinfra.facts import apt, deb, files, server, systemd, zfs

from toolkit.engine.batch import LocalLink, Machine
from toolkit.engine.batch import machine as machine_module
from toolkit.engine.batch.connector import batchable
from toolkit.engine.batch.questions import question_of
from toolkit.engine.batch.shortcut import _asked, asked

PATHS = st.sampled_from(["/etc/x", "/etc/it's", "~/x", ""])
FACTS = st.one_of(
    st.tuples(st.sampled_from([files.File, files.Link, files.Directory, files.Sha1File]), st.fixed_dictionaries({"path": PATHS})),
    st.tuples(st.just(files.FindInFile), st.fixed_dictionaries({"path": PATHS, "pattern": st.sampled_from(["x", "'"])})),
    st.tuples(st.sampled_from([systemd.SystemdStatus, apt.AptSources, deb.DebPackages]), st.just({})),
)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "_sudo": st.booleans(), "_sudo_user": st.just("daemon"), "_chdir": st.just("/tmp"),
        "_success_exit_codes": st.lists(st.integers(0, 3), max_size=2), "_timeout": st.just(3),
        "_env": st.dictionaries(st.sampled_from("AB"), st.text(max_size=2), max_size=1), "_su_password": st.just("secret"),
        "_shell_executable": st.sampled_from(["sh", "bash"]), "_retries": st.integers(0, 3), "_if": st.just([dict]),
    },
)  # fmt: skip


DATA = st.sampled_from([{}, {"_sudo": True}, {"_sudo_user": "backup", "words": [1]}, {"_env": {"C": "c"}}])
CONFIGS = st.builds(Config, SUDO=st.booleans(), ENV=st.sampled_from([{}, {"D": "d"}]), SHELL=st.sampled_from(["sh", "dash"]))


@given(FACTS, GIVEN, DATA, CONFIGS)
def test_it_asks_what_pyinfra_would(
    fact: tuple[Any, dict[str, str]], arguments: dict[str, Any], data: dict[str, Any], config: Config
) -> None:
    cls, kwargs = fact
    inventory = Inventory(([("machine", data)], {}))
    state, machine = State(inventory, config), inventory.get_host("machine")
    operation_arguments, _ = pop_global_arguments(state, machine, dict(arguments))
    machine.current_op_global_arguments = operation_arguments
    own, everything = pyinfra_facts._handle_fact_kwargs(state, machine, cls, None, kwargs)
    command = pyinfra_facts._make_command(cls().command, own)
    connector = {key: value for key, value in everything.items() if key in CONNECTOR_ARGUMENT_KEYS}
    found = asked(cls, kwargs, operation_arguments)
    if batchable(connector) and not connector["_env"] and cls.requires_command is FactBase.requires_command:
        assert found is not None
        assert found[1] == question_of(command, connector)
    else:
        assert found is None


class TheirOwn(FactBase[str]):
    """A fact that looks at the host it is asked of, as anybody's may."""

    def command(self, path: str) -> str:
        return f"echo {host.name} {path}"


@pytest.mark.parametrize(
    ("fact", "kwargs"),
    [
        (TheirOwn, {"path": "/x"}),
        # Others of its module look at the host.
        (server.Which, {"command": "sh"}),
        # They need a program on the machine.
        (zfs.ZfsPools, {}),
        (files.Flags, {"path": "/x"}),
        # A number or a list may be written in more than one way.
        (files.FindInFile, {"path": "/x", "pattern": "y", "interpolate_variables": True}),
        (files.File, {}),
        (files.File, {"path": "/x", "wrong": "y"}),
        (files.File, {"path": "/x", "_sudo_user": "daemon"}),
    ],
)
def test_it_is_not_taken_where_only_pyinfra_can_tell(fact: Any, kwargs: dict[str, Any]) -> None:
    assert asked(fact, kwargs, {"_shell_executable": "sh"}) is None


def without_atime(found: Any) -> Any:
    """A file's description without the time of its last reading, which the other way moves on."""
    return {key: value for key, value in found.items() if key != "atime"} if isinstance(found, dict) else found


def test_nothing_that_may_be_secret_is_remembered() -> None:
    before = _asked.cache_info().currsize
    for secret in ({"_su_password": "s"}, {"_sudo_password": "s"}, {"_stdin": "s"}, {"_env": {"A": "s"}}):
        assert asked(files.File, {"path": "/of/a/secret"}, {"_shell_executable": "sh", **secret}) is None
    assert _asked.cache_info().currsize == before


def refuse(*_: Any) -> None:
    raise AssertionError("this went pyinfra's way")


def test_both_ways_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("one\ntwo\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir(mode=0o2750)
    paths = [str(tmp_path / name) for name in ("file", "empty", "link", "folder", "none")]
    wanted: list[tuple[Any, dict[str, str]]] = []
    for path in paths:
        of_a_path = (files.File, files.Directory, files.Link, files.Sha1File, files.Sha256File, files.FileContents)
        wanted += [*((fact, {"path": path}) for fact in of_a_path), (files.FindInFile, {"path": path, "pattern": "^t"})]

    found = []
    for way, theirs in ((asked, refuse), (lambda *_: None, pyinfra_facts.get_fact)):
        monkeypatch.setattr(machine_module, "asked", way)
        monkeypatch.setattr(pyinfra_host, "get_fact", theirs)
        answers: list[Any] = []

        @operation()
        def ask(answers: list[Any] = answers) -> Any:
            answers += [(fact.name, kwargs, without_atime(host.get_fact(fact, **kwargs))) for fact, kwargs in wanted]
            yield from ()

        link = LocalLink()
        assert Machine("here", link).apply([lambda ask=ask: ask(name="Ask")]).failure is None
        found.append((answers, link.executions))
    assert found[0] == found[1]
    assert len(found[0][0]) == len(wanted)


def test_a_fact_that_fails_the_short_way_fails_whoever_asked(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    _asked.cache_clear()
    monkeypatch.setattr(files.File, "command", lambda self, path: f"echo broken {path} >&2; exit 3")

    @operation()
    def ask() -> Any:
        host.get_fact(files.File, path="/nowhere/at/all")
        yield from ()

    failure = machine.apply([lambda: ask(name="Ask")]).failure
    _asked.cache_clear()
    assert failure is not None
    assert "files.File(path=/nowhere/at/all) cannot be read" in failure.output
    assert "broken /nowhere/at/all" in failure.output
