"""One agent at a time, and what they reach."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.register.conftest import TODAY
from toolkit import journal
from toolkit.errors import InventoryError, UsageError
from toolkit.model import Extra, System
from toolkit.register import access, edits
from toolkit.register.listing import Standing, listing, show

MARTIN = {"identifier": "p.martin", "last_name": "Martin", "first_name": "Zoë", "profile": "accueil", "ends": "31/12/2040"}


def test_an_agent_is_added_with_a_laptop_of_their_own(town: Any) -> None:
    result = edits.add(town.folder, {**MARTIN, "laptop": "tel-1"}, System.PHONE)
    assert town.csv.decode() == town.agents + "p.martin;Martin;Zoë;;accueil;tel-1;;;2040-12-31\n"
    assert town.load().laptop_named["tel-1"].system is System.PHONE
    assert result.summary["agents"][0]["until"] == "2040-12-31"
    assert result.next == "telekit provision --commune essai"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"identifier": "m.durand"}, "there is an agent `m.durand` already, on line 2"),
        ({"identifier": "Zoë"}, "cannot be an account"),
        ({"ends": "bientôt"}, "is not a date"),
        ({"last_name": "@SUM(1)"}, "formula"),
    ],
)
def test_an_agent_who_cannot_be_is_refused(town: Any, change: dict[str, str], told: str) -> None:
    before = town.files
    with pytest.raises(UsageError, match=told):
        edits.add(town.folder, {**MARTIN, **change})
    assert town.files == before


def test_an_agent_with_a_profile_that_does_not_exist_is_refused_with_a_guess(town: Any) -> None:
    before = town.files
    with pytest.raises(InventoryError) as refused:
        edits.add(town.folder, {**MARTIN, "profile": "acceuil"})
    assert "did you mean `accueil`?" in str(refused.value.problems[0])
    assert town.files == before


def test_an_access_is_renewed_until_a_day_or_without_end(town: Any) -> None:
    until = TODAY + timedelta(days=100)
    edits.renew(town.folder, ["m.durand", "k.benali"], until, TODAY)
    assert [agent.ends for agent in town.load().agents] == [until, until]
    edits.renew(town.folder, ["m.durand"], None, TODAY)
    assert town.agent("m.durand").ends is None
    with pytest.raises(UsageError, match="is past"):
        edits.renew(town.folder, ["m.durand"], TODAY - timedelta(days=1), TODAY)


def test_a_suspended_agent_has_no_access_until_resumed(town: Any) -> None:
    edits.suspend(town.folder, ["m.durand"], TODAY, "Congé")
    assert town.load().active_agents == (town.agent("k.benali"),)
    entry = journal.last(town.folder, "agent suspend")
    assert entry is not None
    assert entry.note == "m.durand; Congé"
    edits.resume(town.folder, ["m.durand"], TODAY)
    assert len(town.load().active_agents) == 2


def test_resuming_who_is_not_suspended_writes_nothing(town: Any) -> None:
    result = edits.resume(town.folder, ["m.durand"], TODAY)
    assert result.summary["written"] is False
    assert town.csv.decode() == town.agents
    assert list(journal.entries(town.folder)) == []


def test_renewing_and_resuming_say_what_is_closed_all_the_same(town: Any) -> None:
    edits.suspend(town.folder, ["m.durand"], TODAY)
    assert "Suspended all the same: m.durand" in edits.renew(town.folder, ["m.durand"], TODAY, TODAY).closing
    later = TODAY + timedelta(days=3)
    assert "access ended on" in edits.resume(town.folder, ["m.durand"], later).closing


def test_a_name_that_nobody_has_is_answered_with_the_likeliest(town: Any) -> None:
    for command in (edits.suspend, edits.resume):
        with pytest.raises(UsageError, match=r"no agent `m\.durant` .*did you mean `m\.durand`"):
            command(town.folder, ["m.durant"], TODAY)


def test_an_extra_is_granted_until_a_day_for_a_reason(town: Any) -> None:
    edits.grant(town.folder, Extra("k.benali", "finances", TODAY, "Remplace m.durand"), TODAY)
    reached = access.of_agent(town.load(), "k.benali").summary["reaches"]
    assert [way["name"] for way in reached] == ["messagerie", "finances"]
    assert (reached[1]["why"], reached[1]["until"]) == ("extra: Remplace m.durand", str(TODAY))
    with pytest.raises(UsageError, match="by the profile comptable"):
        edits.grant(town.folder, Extra("m.durand", "finances", TODAY, "x"), TODAY)
    with pytest.raises(InventoryError):
        edits.grant(town.folder, Extra("m.durand", "finance", TODAY, "x"), TODAY)


def test_who_reaches_an_application_is_told_with_the_reason(town: Any) -> None:
    edits.grant(town.folder, Extra("k.benali", "finances", TODAY, "Clôture"), TODAY)
    result = access.of_application(town.load(), "finances")
    assert [(one["agent"], one["why"]) for one in result.summary["reached_by"]] == [
        ("m.durand", "profile comptable"),
        ("k.benali", "extra: Clôture"),
    ]
    assert "owner Direction des finances" in result.closing
    assert result.closing.endswith("2 agents reach it today.")


def test_an_application_at_the_place_of_another_is_reached_through_it_and_that_is_told(town: Any) -> None:
    found = access.of_application(town.load(), "agenda").summary["reached_by"]
    assert {one["why"] for one in found} == {"messagerie has the same server and tcp/443"}


def test_who_has_no_access_today_reaches_nothing_and_is_told_why(town: Any) -> None:
    edits.suspend(town.folder, ["m.durand"], TODAY)
    result = access.of_agent(town.load(), "m.durand")
    assert result.summary["open"] is False
    assert f"Nothing today: suspended since {TODAY}." in result.closing
    assert access.of_application(town.load(), "finances").summary["reached_by"] == []
    with pytest.raises(UsageError, match="did you mean `finances`"):
        access.of_application(town.load(), "finance")


def test_agents_are_listed_by_where_their_access_stands(town: Any) -> None:
    soon, past, later = TODAY + timedelta(days=9), TODAY - timedelta(days=9), TODAY + timedelta(days=99)
    lines = [f"a.a;A;A;;accueil;;;;{past}", f"b.b;B;B;;accueil;;;{later};", f"c.c;C;C;;accueil;;;;{soon}"]
    town.write(agents=town.agents + "\n".join(lines) + "\n")
    edits.suspend(town.folder, ["k.benali"], TODAY)
    commune = town.load()
    standings = {agent["agent"]: agent["standing"] for agent in listing(commune).summary["agents"]}
    assert list(standings.values()) == ["active", "suspended", "ended", "coming", "ending"]
    assert [a["agent"] for a in listing(commune, [Standing.ENDING, Standing.ENDED]).summary["agents"]] == ["a.a", "c.c"]
    assert [a["agent"] for a in listing(commune, profiles=["comptable"]).summary["agents"]] == ["m.durand"]
    assert [a["agent"] for a in listing(commune, services=["FINANCES"]).summary["agents"]] == ["m.durand"]
    assert "5 agents: 1 active, 1 ending, 1 suspended, 1 ended, 1 coming." in listing(commune).closing


def test_an_agent_is_shown_with_what_they_reach(town: Any) -> None:
    result = show(town.load(), "m.durand")
    assert result.summary["laptop"] == "portable-1"
    assert [way["name"] for way in result.summary["reaches"]] == ["finances", "messagerie"]
    assert "10.94.1.15" in result.closing
