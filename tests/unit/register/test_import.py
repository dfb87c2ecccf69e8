"""Bringing the register up to date with HR's list: joins, leaves and changes, shown, accepted, written whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from toolkit import journal
from toolkit.errors import InventoryError, TelekitError, UsageError
from toolkit.model import Extra, System
from toolkit.register.edits import grant
from toolkit.result import Result

TODAY = date.today()
YESTERDAY = TODAY - timedelta(days=1)
DURAND = "m.durand;Durand;Mélanie;Finances;comptable;portable-1"
BENALI = "k.benali;Benali;Karim;Accueil;accueil;portable-2"
MARTIN = "p.martin;Martin;Zoë;Finances;comptable;portable-3"
HEADER = "identifiant;nom;prénom;service;profil;portable"


def hr(*lines: str) -> str:
    return "\n".join([HEADER, *lines]) + "\n"


def test_who_is_new_joins_and_the_other_lines_stay_as_they_are(town: Any) -> None:
    result = town.import_(hr(DURAND, BENALI, MARTIN))
    assert town.csv.decode() == town.agents + "p.martin;Martin;Zoë;Finances;comptable;portable-3;;;\n"
    assert "+ p.martin  Zoë Martin, Finances, comptable, portable-3" in result.closing
    assert [join["agent"] for join in result.summary["joins"]] == ["p.martin"]
    assert result.summary["written"] is True


def test_who_is_no_longer_listed_gets_a_last_day_and_keeps_the_line(town: Any) -> None:
    town.import_(hr(DURAND), allow_many=True)
    assert town.csv.decode() == town.agents.replace("portable-2;;;", f"portable-2;;;{YESTERDAY}")
    assert not town.agent("k.benali").active(TODAY)


def test_the_last_day_of_who_leaves_may_be_said(town: Any) -> None:
    town.import_(hr(DURAND), allow_many=True, last_day=TODAY + timedelta(days=9))
    assert town.agent("k.benali").ends == TODAY + timedelta(days=9)
    assert town.agent("k.benali").active(TODAY)


def test_who_left_before_they_began_has_no_first_day_any_more(town: Any) -> None:
    later = TODAY + timedelta(days=30)
    town.write(agents=town.agents.replace("portable-2;;;", f"portable-2;;{later};"))
    town.import_(hr(DURAND), allow_many=True)
    assert (town.agent("k.benali").starts, town.agent("k.benali").ends) == (None, YESTERDAY)


def test_lines_are_removed_only_when_asked_and_the_extras_of_these_agents_with_them(town: Any) -> None:
    grant(town.folder, Extra("k.benali", "agenda", TODAY, "Accueil du samedi"), TODAY)
    town.import_(hr(DURAND), allow_many=True, remove_leavers=True)
    assert [agent.identifier for agent in town.load().agents] == ["m.durand"]
    assert town.load().extras == ()
    assert town.toml.decode().rstrip() == town.commune.rstrip()


def test_another_service_profile_or_laptop_is_a_change_of_that_cell_alone(town: Any) -> None:
    result = town.import_(hr(DURAND, "k.benali;Benali;Karim;État civil;comptable;portable-3"))
    changed = town.agents.replace('Benali;"Karim";Accueil;accueil;portable-2', 'Benali;"Karim";État civil;comptable;portable-3')
    assert town.csv.decode() == changed
    assert "service Accueil → État civil; profile accueil → comptable; laptop portable-2 → portable-3" in result.closing


def test_what_the_list_does_not_say_stays(town: Any) -> None:
    before = town.csv
    result = town.import_("identifiant;nom;prénom;portable;service\nm.durand;Durand;Mélanie;;\nk.benali;Benali;Karim;;\n")
    assert town.csv == before
    assert "the register says the same" in result.closing


def test_dates_of_the_list_count(town: Any) -> None:
    listed = f"{HEADER};du;au\n{DURAND};;31/12/2040\n{BENALI};01/01/2039;\n"
    town.import_(listed)
    assert town.agent("m.durand").ends == date(2040, 12, 31)
    assert town.agent("k.benali").starts == date(2039, 1, 1)


def test_nobody_gets_an_access_back_by_being_listed(town: Any) -> None:
    town.write(agents=town.agents.replace("portable-2;;;", "portable-2;;;2026-01-31"))
    before = town.csv
    result = town.import_(hr(DURAND, BENALI))
    assert town.csv == before
    assert "k.benali: is listed, but the access ended on 2026-01-31: it stays closed" in str(result.problems[0])


def test_unless_the_list_says_a_new_end_or_the_operator_asks_for_it(town: Any, new_town: Callable[[], Any]) -> None:
    ended = town.agents.replace("portable-2;;;", "portable-2;;;2026-01-31")
    town.write(agents=ended)
    town.import_(f"{HEADER};au\n{DURAND};\n{BENALI};2040-01-31\n")
    assert town.agent("k.benali").ends == date(2040, 1, 31)
    other = new_town()
    other.write(agents=ended.replace("poste;du;au", "poste;du;au;suspendu").replace("2026-01-31", "2026-01-31;2026-01-15"))
    other.import_(hr(DURAND, BENALI), reopen=True)
    assert other.agent("k.benali").active(TODAY)


def test_a_wrong_list_that_would_close_many_accesses_writes_nothing(town: Any) -> None:
    before = town.files
    with pytest.raises(UsageError, match="1 of 2 agents would lose their access") as refused:
        town.import_(hr(DURAND, MARTIN))
    assert "--partial" in refused.value.problem.hint
    assert town.files == before


def test_a_list_of_some_makes_nobody_leave(town: Any) -> None:
    town.import_(hr(MARTIN), partial=True)
    assert [agent.identifier for agent in town.load().active_agents] == ["m.durand", "k.benali", "p.martin"]


def test_a_list_of_nobody_is_refused_whatever_is_allowed(town: Any) -> None:
    with pytest.raises(InventoryError) as refused:
        town.import_(hr(), allow_many=True)
    assert "lists nobody" in str(refused.value.problems)


def test_nothing_is_written_until_it_is_accepted(town: Any) -> None:
    before, asked = town.files, []

    def decline(result: Result) -> bool:
        asked.append(result.closing)
        return False

    declined = town.import_(hr(DURAND, BENALI, MARTIN), confirm=decline)
    assert "+ p.martin" in asked[0]
    assert declined.summary["written"] is False
    assert town.files == before
    assert list(journal.entries(town.folder)) == []


def test_a_rehearsal_shows_everything_and_writes_nothing(town: Any) -> None:
    before = town.files
    result = town.import_(hr(MARTIN), rehearsal=True)
    assert "2 of 2 agents would lose their access" in str(result.problems[-1])
    assert "2 leave" in result.closing
    assert town.files == before


def test_an_import_leaves_an_entry_in_the_journal(town: Any) -> None:
    town.import_(hr(DURAND, MARTIN), allow_many=True)
    entry = journal.last(town.folder, "agent import")
    assert entry is not None
    assert (entry.outcome, entry.note) == ("done", "joined: p.martin; left: k.benali")


def test_laptops_that_commune_toml_does_not_have_are_written_there_when_asked(town: Any) -> None:
    before, listed = town.files, hr(DURAND, BENALI, MARTIN.replace("portable-3", "win-007"))
    with pytest.raises(UsageError, match=r"1 laptop not in commune\.toml: win-007"):
        town.import_(listed)
    assert town.files == before
    town.import_(listed, new_laptops=System.WINDOWS)
    assert town.load().laptop_named["win-007"].system is System.WINDOWS
    assert all(line in town.toml.decode() for line in town.commune.splitlines())


def test_a_laptop_passes_from_who_leaves_to_who_joins(town: Any) -> None:
    town.import_(hr(DURAND, MARTIN.replace("portable-3", "portable-2")), allow_many=True)
    assert town.load().agent_of["portable-2"].identifier == "p.martin"


def test_what_would_not_be_valid_is_refused_with_the_place_it_would_have(town: Any) -> None:
    before = town.files
    with pytest.raises(InventoryError) as refused:
        town.import_(hr(DURAND, BENALI, MARTIN.replace("comptable", "comptabel")))
    told = "\n".join(map(str, refused.value.problems))
    assert "after this change, agents.csv:4: p.martin: there is no profile `comptabel`" in told
    assert "did you mean `comptable`?" in told
    assert town.files == before


def test_every_mistake_of_the_list_is_told_at_once_with_its_line(town: Any) -> None:
    before = town.files
    wrong = hr("M.Durand;Durand;Mélanie;;comptable;", "k.benali;=cmd|calc;Karim;;accueil;", "p.martin;;Zoë;;;", DURAND, DURAND)
    with pytest.raises(InventoryError) as refused:
        town.import_(wrong)
    told = "\n".join(map(str, refused.value.problems))
    assert "rh.csv:2: identifiant: `M.Durand` cannot be an account" in told
    assert "rh.csv:3: `=cmd|calc` begins as a formula of a spreadsheet" in told
    assert "rh.csv:4: nom is empty" in told
    assert "rh.csv:6: identifier `m.durand` is already on line 5" in told
    assert town.files == before


def test_further_columns_of_hr_are_nobody_s_mistake_and_go_nowhere(town: Any) -> None:
    lines = ["Matricule;Identifiant;NOM;Prénom;Profile;Naissance", "1;m.durand;Durand;Mélanie;comptable;1980"]
    result = town.import_("\n".join([*lines, "2;k.benali;Benali;Karim;accueil;1990"]))
    assert "1980" not in town.csv.decode()
    assert result.problems == ()


def test_a_service_says_the_profile_where_the_list_does_not(town: Any) -> None:
    town.import_("identifiant;nom;prénom;service\np.martin;Martin;Zoë;finances\n", partial=True)
    assert town.agent("p.martin").profile == "comptable"
    result = town.import_("identifiant;nom;prénom;service\nx.y;Y;X;Voirie\n", partial=True)
    assert "x.y: not added: no profile" in str(result.problems[0])


def test_somebody_who_edits_meanwhile_loses_nothing(town: Any) -> None:
    def meanwhile(_: Result) -> bool:
        town.write(agents=town.agents + "a.b;B;A;;accueil;;;;\n")
        return True

    with pytest.raises(UsageError, match="somebody has just changed it"):
        town.import_(hr(DURAND, BENALI, MARTIN), confirm=meanwhile)
    assert b"p.martin" not in town.csv
    assert b"a.b;B;A" in town.csv


def test_two_hundred_and_fifty_agents_from_a_spreadsheet_in_windows_1252(town: Any) -> None:
    names = [("Aït Ahmed", "Leïla"), ("Lefèvre", "Noémie"), ("Le Cœur", "Françoise"), ("Müller", "Zoë"), ("D'Hôtel", "Agnès")]
    lines = [
        f"agent{number:03};{names[number % 5][0].upper()};{names[number % 5][1]};Éducation;accueil;win-{number:03};;01/09/2025;"
        for number in range(250)
    ]
    spreadsheet = "\r\n".join(["Identifiant;Nom;Prénom;Service;Profil;Portable;Poste;Du;Au", *lines, ""]).encode("cp1252")
    result = town.import_(spreadsheet, new_laptops=System.WINDOWS, partial=True)
    commune = town.load()
    assert len(result.summary["joins"]) == 250
    assert len(commune.active_agents) == 252
    assert commune.agent_of["win-001"].full_name == "Noémie LEFÈVRE"
    assert commune.agent_of["win-002"].last_name == "LE CŒUR"
    assert commune.agent_of["win-249"].starts == date(2025, 9, 1)
    assert sum(not laptop.managed for laptop in commune.laptops) == 250
    again = town.import_(spreadsheet, partial=True)
    assert "the register says the same" in again.closing


def test_an_unreadable_file_is_told_in_a_sentence(town: Any) -> None:
    with pytest.raises(TelekitError, match=r"rh\.xlsx has 1 problem"):
        town.import_(b"PK\x03\x04" + bytes(40), name="rh.xlsx")
