"""The PowerShell script is well formed, touches nothing it should not, and no name can become code in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
import tree_sitter_powershell
from hypothesis import given
from hypothesis import strategies as st
from tree_sitter import Language, Node, Parser

from toolkit.kit.powershell import APOSTROPHES, literal
from toolkit.kit.windows import installer
from toolkit.model import Agent, Commune

PARSER = Parser(Language(tree_sitter_powershell.language()))
FILES = {"tunnel-mairie.conf": b"[Interface]", "mon-bureau.rdp": b"rdp", "autorite-mairie.crt": b"pem"}
# What PowerShell itself sets.
AUTOMATIC = {"_", "true", "false", "null", "psscriptroot", "env:programfiles", "env:systemdrive"}
# What Windows brings: each of these was looked up.
BROUGHT = """\
    Copy-Item Get-AuthenticodeSignature Get-BitLockerVolume Get-ChildItem Get-Command Get-Date Get-FileHash Get-ItemProperty
    Get-MpComputerStatus Get-MpPreference Get-NetFirewallProfile Get-NetFirewallRule Get-Service Import-Certificate Join-Path
    New-Item New-ItemProperty New-NetFirewallRule New-Object Out-Null Remove-Item Remove-NetFirewallRule Set-MpPreference
    Set-NetFirewallProfile Set-Service Set-StrictMode Start-Process Start-Sleep Test-Path Update-MpSignature Where-Object
    Write-Host
"""
EVIL = [
    "'; Remove-Item C:\\ -Recurse #",
    "’; Stop-Computer; ’",
    "‘‚‛'",
    "$(Stop-Computer) ${env:PATH} $Verifier",
    "`n`\"'@ @'\"",
    '" ; & calc.exe ; "',
    "{0} %1 {{ commune }} {% endif %}",
    "#> Stop-Computer <#",
    "Élodie d'Ÿ-L’Haÿ œuvre ß",
]


def script(agent: Agent, commune: Commune) -> str:
    made = installer(agent, commune, FILES, authorities=["autorite-mairie.crt"], connection="mon-bureau.rdp")
    return made.decode("utf-8-sig")


def tree(text: str) -> Node:
    return PARSER.parse(text.replace("\r\n", "\n").encode()).root_node


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def commands(root: Node) -> set[str]:
    return {node.text.decode() for node in walk(root) if node.type == "command_name" and node.text}


@pytest.fixture
def commune(town: Any) -> Commune:
    return town.job().commune


def test_it_is_well_formed(agent: Agent, commune: Commune) -> None:
    root = tree(script(agent, commune))
    assert not root.has_error
    assert not [node for node in walk(root) if node.is_missing or node.type == "ERROR"]


def test_the_parser_sees_what_is_not_well_formed(agent: Agent, commune: Commune) -> None:
    whole = script(agent, commune)
    assert tree(whole.replace("exit [int] (", "exit [int] ((")).has_error
    assert tree(whole[: whole.rindex("Invoke-Section") + 60]).has_error


def test_windows_powershell_reads_its_accents(agent: Agent, commune: Commune) -> None:
    made = installer(agent, commune, FILES, authorities=[], connection="")
    assert made.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in made
    assert not re.search(rb"(?<!\r)\n", made)
    assert "[ CORRIGÉ ]" in made.decode("utf-8-sig")
    assert "[Console]::OutputEncoding = [System.Text.Encoding]::UTF8" in made.decode("utf-8-sig")


@pytest.mark.parametrize("evil", EVIL)
def test_no_name_changes_what_the_script_does(agent: Agent, commune: Commune, evil: str) -> None:
    shape = [node.type for node in walk(tree(script(agent, commune)))]
    named = replace(agent, first_name=evil, last_name=evil)
    text = script(named, replace(commune, name=evil, contact=evil))
    root = tree(text.replace(literal(evil), "'x'").replace(literal(named.full_name), "'x'"))
    assert [node.type for node in walk(root)] == shape
    assert commands(tree(text)) == commands(tree(script(agent, commune)))


def read(text: str) -> str:
    """What PowerShell makes of a literal: as its tokenizer reads between apostrophes, and to its very end."""
    assert text[0] == "'"
    found, position = "", 1
    while position < len(text):
        if text[position] in APOSTROPHES:
            position += 1
            if position == len(text):
                return found
            assert text[position] in APOSTROPHES, "the literal ended early"
        found += text[position]
        position += 1
    raise AssertionError("the literal never ended")


@given(st.text() | st.text(alphabet="'‘’‚‛$`\"(){}#;\n é"))
def test_any_text_is_one_literal_that_means_itself(text: str) -> None:
    assert read(literal(text)) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "$true"), (False, "$false"), (None, "$null"), (12, "12"), ((22, "a'b"), "@(22, 'a''b')"), ({"a": 1}, "@{ 'a' = 1 }")],
)
def test_values_are_written_as_powershell_has_them(value: object, expected: str) -> None:
    assert literal(value) == expected


def test_what_has_no_form_in_powershell_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in PowerShell"):
        literal(object())


def test_every_variable_is_set_somewhere(agent: Agent, commune: Commune) -> None:
    """Under strict mode one that is not ends the script; blocks see those of whoever calls them."""
    text = script(agent, commune).replace("\r\n", "\n")
    read = {node.text.decode()[1:].lower() for node in walk(tree(text)) if node.type == "variable" and node.text}
    written = set(re.findall(r"(?:^|[\s({;])\$((?:script:)?\w+)(?:\+\+| \+?= )", text, re.MULTILINE))
    for parameters in re.findall(r"(?:param|function [\w-]+)\(([^)]*)\)", text):
        written |= set(re.findall(r"\$(\w+)", parameters))
    written |= set(re.findall(r"foreach \(\$(\w+) in", text))
    assert len(read) > 40
    assert read - {name.lower() for name in written} == AUTOMATIC


def test_no_block_hides_a_variable_of_the_function_that_runs_it(agent: Agent, commune: Commune) -> None:
    """`Set-State` runs blocks that see its own parameters first: no section may give a variable one of their names."""
    text = script(agent, commune)
    parameters = set()
    for head in re.findall(r"function (?:Set-State|Invoke-Section|Wait-Until)\(([^)]*)\)", text):
        parameters |= {name.lower() for name in re.findall(r"\$(\w+)", head)}
    assert {"words", "test", "change", "advice"} <= parameters
    sections = text[text.index("# ---- before anything") :]
    assigned = {name.lower() for name in re.findall(r"^\s*\$(\w+) = ", sections, re.MULTILINE)}
    assert assigned & parameters == set()


def test_it_calls_what_windows_brings_and_its_own_functions_only(agent: Agent, commune: Commune) -> None:
    text = script(agent, commune)
    own = set(re.findall(r"^function ([\w-]+)", text, re.MULTILINE))
    called = {name for name in commands(tree(text)) if re.fullmatch(r"[A-Z]\w*-\w+", name)}
    assert called - own == set(BROUGHT.split())
    assert own - called == set(), "a function that nobody calls"
    assert not re.search(r"Invoke-Expression|\biex\b|DownloadString|Invoke-WebRequest", text)


def test_the_tunnel_is_a_service_that_the_agent_can_see_and_not_change(agent: Agent, commune: Commune) -> None:
    text = script(agent, commune)
    assert "Invoke-WireGuard '/installmanagerservice'" in text
    assert "Invoke-WireGuard '/installtunnelservice' $Sealed" in text
    assert "'HKLM:\\Software\\WireGuard'" in text
    assert "Set-Registry $key 'LimitedOperatorUI' 1 'DWord'" in text
    assert "Import-Certificate -FilePath $file -CertStoreLocation 'Cert:\\LocalMachine\\Root'" in text
    assert "Get-BitLockerVolume" in text
    assert "Enable-BitLocker" not in text


def test_it_knows_the_files_beside_it_by_their_digest(agent: Agent, commune: Commune) -> None:
    text = script(agent, commune)
    for name, content in FILES.items():
        assert f"'{name}' = '{sha256(content).hexdigest().upper()}'" in text


def test_without_a_contact_it_is_well_formed_too(agent: Agent, commune: Commune) -> None:
    assert not tree(script(agent, replace(commune, contact=""))).has_error


def test_without_a_desktop_or_a_certificate_it_is_well_formed_too(agent: Agent, commune: Commune) -> None:
    text = installer(agent, commune, FILES, authorities=[], connection="").decode("utf-8-sig")
    assert not tree(text).has_error
    assert "Import-Certificate" not in text
    assert "CommonDesktopDirectory" not in text


def test_no_key_is_in_the_script(town: Any) -> None:
    kit = town.kit("m.durand")
    assert town.private_key(kit) not in (kit / "installer.ps1").read_text(encoding="utf-8-sig")
