"""Whatever is imported in whatever order: no agent is lost, no address is given twice, the files always load."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit import ledger
from toolkit.errors import InventoryError, TelekitError
from toolkit.model import Extra, System
from toolkit.register import document, ldif_source

TODAY = date.today()
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FUZZ = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = [("Aït", "Léa"), ("Cœur", "Noël"), ("D'Hôtel; fils", "Ana"), ('dit "Zo"', "Zoë"), ("Łukasz", "Ewa")]
SCRAPS = [
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b'"',
    b";",
    b",",
    b"\t",
    b":",
    b"::",
    b":<",
    b" ",
    b"dn:",
    b"#",
    b"=",
    b"[[",
]
PEOPLE = st.sets(st.integers(0, 11), min_size=1)


@dataclass(frozen=True)
class Step:
    """One list of HR and how it is imported."""

    listed: frozenset[int]
    shuffle: int
    windows: bool
    partial: bool
    reopen: bool


STEPS = st.lists(
    st.builds(Step, PEOPLE.map(frozenset), st.integers(0, 99), st.booleans(), st.booleans(), st.booleans()),
    min_size=1,
    max_size=6,
)


def line(number: int) -> str:
    last, first = NAMES[number % 4]
    quoted = '"' + last.replace('"', '""') + '"'
    return f"agent{number};{quoted};{first};Service {number % 3};accueil;win-{number}"


def hr(step: Step) -> bytes:
    numbers = sorted(step.listed)
    random.Random(step.shuffle).shuffle(numbers)
    text = "\r\n".join(["Identifiant;Nom;Prénom;Service;Profil;Portable", *map(line, numbers)])
    return text.encode("cp1252" if step.windows else "utf-8")


@QUICK
@given(STEPS)
def test_any_sequence_of_joins_and_leaves_loses_nobody(new_town: Callable[[], Any], steps: list[Step]) -> None:
    town = new_town()
    ever: set[str] = {"m.durand", "k.benali"}
    closed: set[str] = set()
    given_out = ledger.Ledger()
    for step in steps:
        town.import_(hr(step), new_laptops=System.WINDOWS, allow_many=True, partial=step.partial, reopen=step.reopen)
        commune = town.load()
        listed = {f"agent{number}" for number in step.listed}
        ever |= listed
        closed -= listed if step.reopen else set()
        closed |= set() if step.partial else ever - listed
        assert {agent.identifier for agent in commune.agents} == ever
        assert {agent.identifier for agent in commune.active_agents} == ever - closed
        before, given_out = given_out.leases, given_out.allocated(commune)
        addresses = [lease.address for lease in given_out.leases.values()]
        assert len(set(addresses)) == len(addresses)
        assert all(given_out.leases[name] == lease for name, lease in before.items())


@QUICK
@given(STEPS)
def test_the_same_list_again_changes_nothing(new_town: Callable[[], Any], steps: list[Step]) -> None:
    town = new_town()
    for step in steps:
        town.import_(hr(step), new_laptops=System.WINDOWS, allow_many=True)
        before = town.files
        town.import_(hr(step), allow_many=True)
        assert town.files == before


@QUICK
@given(st.lists(st.sets(st.integers(0, 11), min_size=1), min_size=1, max_size=5))
def test_removed_lines_give_no_address_to_another_while_there_are_others(
    new_town: Callable[[], Any], lists: list[set[int]]
) -> None:
    town = new_town()
    seen: dict[str, Any] = {}
    given_out = ledger.Ledger()
    for numbers in lists:
        step = Step(frozenset(numbers), 0, windows=False, partial=False, reopen=True)
        town.import_(hr(step), new_laptops=System.WINDOWS, allow_many=True, remove_leavers=True, reopen=True)
        commune = town.load()
        assert {agent.identifier for agent in commune.agents} == {f"agent{number}" for number in numbers}
        given_out = given_out.allocated(commune)
        for name, lease in given_out.leases.items():
            assert seen.setdefault(name, lease.address) == lease.address
        assert len(set(seen.values())) == len(seen)


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """A valid file with some pieces replaced, removed or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        piece = draw(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=8), st.just(content[start:end] * 2)))
        content = content[:start] + piece + content[end:]
    return content


LIST = hr(Step(frozenset(range(5)), 3, windows=False, partial=False, reopen=False))
LDIF = (
    "version: 1\n\ndn: cn=Zoé,dc=essai\nobjectClass: user\nsAMAccountName: z.m\nsn: M\ngivenName:: Wm/Dqw==\n"
    "department: Accueil\naccountExpires: 134116956000000000\nuserAccountControl: 512\nmemberOf: CN=a\\,b,DC=essai\n"
).encode()


def imports_or_refuses(town: Any, content: bytes, **wishes: Any) -> None:
    """A result and valid files, or an error for the operator and files as they were; never half of it."""
    before = town.files
    try:
        town.import_(content, new_laptops=System.WINDOWS, allow_many=True, **wishes)
    except TelekitError as error:
        assert all(str(problem).isprintable() for problem in getattr(error, "problems", (error.problem,)))
        assert town.files == before
    else:
        assert set(town.files) == set(before)
        town.load()
        assert {"m.durand", "k.benali"} <= {agent.identifier for agent in town.load().agents}


@FUZZ
@given(
    st.one_of(spoilt(LIST), spoilt(LDIF), st.binary(max_size=300), st.binary(max_size=200).map(lambda end: b"dn: cn=a\n" + end))
)
def test_any_bytes_are_imported_or_refused(new_town: Callable[[], Any], content: bytes) -> None:
    imports_or_refuses(new_town(), content)


@FUZZ
@given(st.data())
def test_a_register_that_is_spoilt_is_edited_rightly_or_left_alone(new_town: Callable[[], Any], data: st.DataObject) -> None:
    town = new_town()
    agents = data.draw(st.one_of(st.just(town.agents.encode()), spoilt(town.agents.encode())))
    town.write(agents=agents, commune=data.draw(spoilt(town.commune.encode())))
    before = town.files
    try:
        known = {agent.identifier for agent in town.load().agents}
        town.import_(LIST, new_laptops=System.WINDOWS, partial=True)
    except TelekitError:
        assert town.files == before
    else:
        assert {agent.identifier for agent in town.load().agents} == known | {f"agent{number}" for number in range(5)}


@FUZZ
@given(st.data())
def test_a_commune_toml_keeps_every_line_when_something_is_added(new_town: Callable[[], Any], data: st.DataObject) -> None:
    content = data.draw(spoilt(new_town().commune.encode()))
    try:
        edited = document.read(content, "commune.toml")
        before = edited.text.split("\n")
        edited.add_laptops(["win-1", "win-2"], System.PHONE)
        edited.add_extra(Extra("a", "b", TODAY + timedelta(days=1), 'c "d" \\ é'))
    except (TelekitError, InventoryError):
        return
    after = iter(edited.text.split("\n"))
    assert all(line in after for line in before)


@FUZZ
@given(st.binary(max_size=300))
def test_any_ldif_is_read_or_refused(content: bytes) -> None:
    try:
        ldif_source.read(content, "x.ldif", None, "Europe/Paris")
    except TelekitError as error:
        assert str(error).isprintable()
