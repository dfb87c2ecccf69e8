"""commune.toml keeps comments, order and spacing; what is added stands with its kin."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from toolkit.errors import InventoryError, UsageError
from toolkit.model import Extra, System
from toolkit.register.document import Document, read

EXTRA = Extra("m.durand", "agenda", date(2026, 12, 31), 'Remplace "K.", étage\\2')


def document(text: str) -> Document:
    return read(text.encode(), "commune.toml")


def test_laptops_are_added_after_the_last_one_and_every_other_line_stays(town: Any) -> None:
    edited = document(town.commune)
    edited.add_laptops(["portable-4", "portable-5"], System.WINDOWS)
    added = '\n[[laptop]]\nname   = "portable-4"\nsystem = "windows"\n\n[[laptop]]\nname   = "portable-5"\nsystem = "windows"\n'
    last = 'name = "portable-3"         # prêt\n'
    assert edited.text == town.commune.replace(last, last + added)


def test_a_comment_below_the_last_value_stays_with_its_section(town: Any) -> None:
    text = town.commune.replace('\n[[laptop]]\nname = "portable-3"         # prêt\n', "")
    text = text.replace('[[laptop]]\nname = "portable-2"\n\n', "")
    edited = document(text)
    edited.add_laptops(["portable-4"], System.DEBIAN)
    comment = '# mac = "52:54:00:aa:bb:11"  relevée, à vérifier\n'
    assert comment + '\n[[laptop]]\nname = "portable-4"\n\n# Les applications' in edited.text


def test_sections_without_blank_lines_between_them_get_none() -> None:
    edited = document('[[laptop]]\nname = "a"\n[[laptop]]\nname = "b"\n# about profiles\n[profile.x]\n')
    edited.add_laptops(["c"], System.DEBIAN)
    assert (
        edited.text == '[[laptop]]\nname = "a"\n[[laptop]]\nname = "b"\n[[laptop]]\nname = "c"\n# about profiles\n[profile.x]\n'
    )


def test_the_first_of_its_kind_comes_at_the_end() -> None:
    edited = document("[profile.x]\n\n# fin")
    edited.add_extra(EXTRA)
    assert edited.text.startswith("[profile.x]\n\n# fin\n\n[[extra]]\n")
    assert edited.text.endswith("\n")
    again = document(edited.text)
    again.remove_extras(["m.durand"])
    assert again.text == "[profile.x]\n\n# fin\n"


def test_the_extras_of_who_left_go_and_the_others_stay(town: Any) -> None:
    edited = document(town.commune)
    for agent in ("m.durand", "k.benali", "m.durand"):
        edited.add_extra(Extra(agent, "agenda", date(2026, 12, 31), "Remplacement"))
    edited.remove_extras(["m.durand", "nobody"])
    only = document(town.commune)
    only.add_extra(Extra("k.benali", "agenda", date(2026, 12, 31), "Remplacement"))
    assert edited.text.rstrip() == only.text.rstrip()


@pytest.mark.parametrize(("line_end", "encoding", "mark"), [("\r\n", "utf-8", b"\xef\xbb\xbf"), ("\n", "cp1252", b"")])
def test_line_ends_encoding_and_mark_stay(town: Any, line_end: str, encoding: str, mark: bytes) -> None:
    content = mark + town.commune.replace("\n", line_end).encode(encoding)
    edited = read(content, "commune.toml")
    assert edited.content() == content
    edited.add_laptops(["portable-4"], System.DEBIAN)
    assert edited.content() == content.replace(
        "# prêt\n".replace("\n", line_end).encode(encoding),
        '# prêt\n\n[[laptop]]\nname = "portable-4"\n'.replace("\n", line_end).encode(encoding),
    )


@pytest.mark.parametrize("text", ['laptop = [{name = "a"}]\n', "laptop = []\n[profile.x]\n"])
def test_a_file_that_cannot_be_edited_safely_is_left_alone(text: str) -> None:
    edited = document(text)
    with pytest.raises(UsageError, match="does not edit"):
        edited.add_laptops(["b"], System.DEBIAN)
    assert edited.text == text


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[", b"a = 1\na = 2", b"\x00"])
def test_what_is_no_toml_is_refused(content: bytes) -> None:
    with pytest.raises(InventoryError):
        read(content, "commune.toml")
