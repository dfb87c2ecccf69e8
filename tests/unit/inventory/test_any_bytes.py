"""Whatever a file holds, reading it ends in a commune or in an InventoryError: never in a traceback, never in half a commune."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.errors import InventoryError
from toolkit.inventory import load

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCRAPS = [
    b"", b"\x00", b"\xff", b"\x81", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b" " * 50,
    b'"', b"'", b'"""', b"[", b"]", b"[[", b"{", b"}",
    b"=", b".", b",", b";", b"#", b"\\u0000", b"\\", b"true", b"inf", b"nan", b"-1", b"99999999999999999999",
    b"1979-05-27", b"07:32:00", b"[[[[", b"\xc2\x85", b"fe80::1%eth0", b"0.0.0.0/0", b"::/0", b"/33", b"999", b":0", b"[::1]:1",
    b"..", b"- ", "é".encode(),
    "\u202e".encode(), b"\xf0\x9f\x92\xa9", b"[desktop.x]\n", b"[laptop]\n", b"[[application]]\n", b"[application.a.b]\n",
    b"a.b.c = {d.e = [1, {f = 2}]}\n", b'"" = 1\n', b"31/12/9999", b"0001-01-01",
]  # fmt: skip


def _reads(commune: bytes, agents: bytes, keys: bytes | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        town = Path(folder) / "essai"
        town.mkdir()
        (town / "commune.toml").write_bytes(commune)
        (town / "agents.csv").write_bytes(agents)
        if keys is not None:
            (town / "operators.keys").write_bytes(keys)
        try:
            loaded = load(town)
        except InventoryError as error:
            assert any(not problem.warning for problem in error.problems)
            assert all(str(problem).isprintable() for problem in error.problems)
        else:
            # What was accepted can be used: every name leads somewhere.
            for agent in loaded.commune.agents:
                loaded.commune.applications_of(agent)
            assert loaded.commune.gateway.ssh.host
            assert loaded.commune.accesses == ()


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """A valid file with some pieces replaced, removed or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        piece = draw(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=8), st.just(content[start:end] * 2)))
        content = content[:start] + piece + content[end:]
    return content


@QUICK
@given(st.binary(max_size=400), st.binary(max_size=400), st.one_of(st.none(), st.binary(max_size=200)))
def test_any_bytes_are_read_or_refused(commune: bytes, agents: bytes, keys: bytes | None) -> None:
    _reads(commune, agents, keys)


@QUICK
@given(st.data())
def test_a_spoilt_commune_toml_is_read_or_refused(town: Any, data: st.DataObject) -> None:
    _reads(data.draw(spoilt(town.commune.encode())), town.agents.encode(), None)


@QUICK
@given(st.data())
def test_a_spoilt_list_of_agents_is_read_or_refused(town: Any, data: st.DataObject) -> None:
    _reads(town.commune.encode(), data.draw(spoilt(town.agents.encode())), None)


VALUES = [
    pytest.param("0x" + "f" * 5000, id="a very big number"),
    "0",
    "-1",
    "true",
    '""',
    '"É x!"',
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "{a = 1}",
    "1979-05-27",
    "07:32:00",
    "nan",
    "1e400",
    "[1, 'a']",
    "'é'",
]


@pytest.mark.parametrize("value", VALUES)
def test_any_value_in_the_place_of_any_other_is_refused_with_the_line_of_its_key(town: Any, value: str) -> None:
    lines = town.commune.split("\n")
    for number, line in enumerate(lines, start=1):
        key, equals, _ = line.partition("=")
        if not equals:
            continue
        found = town.problems("\n".join([*lines[: number - 1], f"{key}= {value}", *lines[number:]]))
        if found and not all(problem.warning for problem in found):
            places = [problem.where.rpartition(":")[2] for problem in found]
            assert str(number) in places, town.shown(found)


def test_five_thousand_spoilt_lines_do_not_take_long(town: Any) -> None:
    rng = random.Random(94)
    lines = [f"{key};Nom;Prénom;;comptable;portable-{rng.randrange(9)};;;" for key in rng.sample(range(10**6), 5000)]
    found = town.problems(agents=town.agents + "\n".join(lines))
    assert len(found) == 5000
