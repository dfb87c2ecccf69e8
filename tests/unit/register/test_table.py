"""agents.csv keeps the ways of whoever wrote it: lines, encoding, separator, language, dates, line ends."""

from __future__ import annotations

from datetime import date

import pytest

from toolkit.errors import InventoryError
from toolkit.register.table import Table, read

EXCEL = "\ufeffIdentifiant;Nom;Prénom;Profil;Portable;Au\r\nm.durand;Durand;Mélanie;comptable;p-1;31/12/2026\r\n\r\n"
ENGLISH = "identifier,last name,first name,profile,laptop\nm.durand,Durand,Mélanie,comptable,p-1"
QUOTED = '"identifiant";"nom";"prénom";"profil";"portable"\r\n"m.durand";"Durand";"Mélanie";"comptable";"p-1"\r\n'


def table(text: str, encoding: str = "utf-8") -> Table:
    return read(text.encode(encoding), "agents.csv")


@pytest.mark.parametrize("text", [EXCEL, ENGLISH, QUOTED, "sep=;\n" + QUOTED])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_file_that_nobody_edits_is_the_same_byte_for_byte(text: str, encoding: str) -> None:
    content = text.lstrip("\ufeff").encode("cp1252") if encoding == "cp1252" else text.encode()
    assert read(content, "agents.csv").content() == content


def test_only_the_edited_line_changes_and_dates_are_written_as_the_file_writes_them() -> None:
    edited = table(EXCEL)
    edited.set(2, {"ends": date(2027, 1, 31)})
    assert edited.content().decode() == EXCEL.replace("31/12/2026", "31/01/2027")


def test_a_new_agent_comes_after_the_last_one_with_the_file_s_line_ends() -> None:
    edited = table(EXCEL)
    edited.add({"identifier": "k.benali", "last_name": "Benali", "first_name": "Karim", "profile": "accueil"})
    assert edited.content().decode() == EXCEL.replace("2026\r\n", "2026\r\nk.benali;Benali;Karim;accueil;;\r\n")


def test_a_last_line_without_an_end_gets_one() -> None:
    edited = table(ENGLISH)
    edited.add({"identifier": "k.benali", "last_name": "Benali", "first_name": "Karim", "profile": "accueil"})
    assert edited.content().decode() == ENGLISH + "\nk.benali,Benali,Karim,accueil,\n"


def test_a_missing_column_is_added_in_the_language_and_with_the_capitals_of_the_others() -> None:
    french, english = table(EXCEL), table(ENGLISH)
    french.set(2, {"suspended": date(2026, 11, 25)})
    english.set(2, {"ends": date(2026, 11, 25)})
    assert french.content().decode().startswith("\ufeffIdentifiant;Nom;Prénom;Profil;Portable;Au;Suspendu\r\n")
    assert "p-1;31/12/2026;25/11/2026\r\n" in french.content().decode()
    assert english.content().decode().startswith("identifier,last name,first name,profile,laptop,to\n")
    assert english.content().decode().endswith("p-1,2026-11-25")


def test_no_column_is_added_to_say_nothing() -> None:
    edited = table(ENGLISH)
    edited.set(2, {"ends": None, "laptop": None})
    assert edited.content().decode() == ENGLISH.replace("p-1", "")


def test_a_program_that_quotes_everything_finds_everything_quoted() -> None:
    edited = table(QUOTED)
    edited.set(2, {"laptop": "p-2"})
    edited.add({"identifier": "k.benali", "last_name": 'Benali "dit" K', "first_name": "Karim", "profile": "accueil"})
    assert edited.content().decode() == QUOTED.replace("p-1", "p-2") + '"k.benali";"Benali ""dit"" K";"Karim";"accueil";""\r\n'


def test_a_removed_line_takes_nothing_with_it() -> None:
    edited = table(EXCEL + "k.benali;Benali;Karim;accueil;;\r\n")
    edited.remove(2)
    assert edited.content().decode() == EXCEL.split("m.durand")[0] + "\r\nk.benali;Benali;Karim;accueil;;\r\n"


def test_windows_1252_stays_so_until_a_name_needs_more() -> None:
    edited = table(EXCEL.lstrip("\ufeff"), "cp1252")
    edited.set(2, {"last_name": "Durœil"})
    assert "Durœil;Mélanie".encode("cp1252") in edited.content()
    edited.set(2, {"last_name": "Łukasz"})
    assert edited.converted
    assert edited.content().decode("utf-8-sig") == EXCEL.lstrip("\ufeff").replace("Durand", "Łukasz")
    assert edited.content().startswith(b"\xef\xbb\xbf")


def test_a_cell_with_the_separator_is_quoted() -> None:
    edited = table(EXCEL)
    edited.set(2, {"last_name": "Durand ; Martin"})
    assert '"Durand ; Martin"' in edited.content().decode()
    assert read(edited.content(), "agents.csv").content() == edited.content()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"a;b\n", b"\xff\xfe"])
def test_what_is_no_list_of_agents_is_refused(content: bytes) -> None:
    with pytest.raises(InventoryError):
        read(content, "agents.csv")
