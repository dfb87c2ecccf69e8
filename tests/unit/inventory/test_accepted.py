"""What may be written: by hand, by HR's program, by a spreadsheet in French or in English."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import UsageError
from toolkit.inventory import find, load, slugs
from toolkit.model import Antivirus, Clipboard, Endpoint, Extra, Mode, Policy, SecondFactor, SshAddress, System

ENGLISH = """\
identifier,last name,first name,department,profile,laptop,desktop,from,to
m.durand,Durand,Mélanie,Finances,comptable,portable-1,bureau-1,,
k.benali,Benali,Karim,Accueil,accueil,portable-2,bureau-2,2025-09-01,2030-08-31
"""
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZkQrq1oaXyC4cVxqSdpJB3ZUBmHjIKQVeRGFFtcLgT"
AGE = "age12mwfkk2p90ylygyfpkg5kk80cma6slrgdxxe5vpnvvm8qfmkmq0s2lhaa3"


def test_a_commune_is_what_its_files_say(town: Any) -> None:
    commune = town.load().commune
    assert (commune.slug, commune.name, commune.insee, commune.domain) == ("essai", "Essai", "94002", "essai.example")
    assert commune.network.lan == (IPv4Network("10.94.0.0/20"),)
    assert commune.network.tunnel == IPv4Network("10.194.0.0/24")
    assert commune.gateway.endpoint == Endpoint("vpn.essai.example", 51820)
    assert [m.name for m in commune.machines] == ["gw", "bureau-1", "bureau-2", "portable-1", "portable-2"]
    assert commune.applications[0].tcp == (443, 1521)
    assert commune.profile_named["comptable"].applications == ("finances", "messagerie")
    assert commune.agents[0].full_name == "Mélanie Durand"
    assert (commune.agents[1].starts, commune.agents[1].ends) == (date(2025, 9, 1), date(2030, 8, 31))
    assert commune.today == town.today


def test_what_is_not_written_has_the_default_of_the_model(town: Any) -> None:
    commune = town.load().commune
    assert (commune.policy, commune.antivirus, commune.admin_user) == (Policy(), Antivirus(), "telekit")
    assert (commune.network.mode, commune.network.mtu, commune.network.tunnel6) == (Mode.FULL, 1420, None)
    assert commune.operators == ()


def test_ssh_of_a_desktop_and_address_of_a_gateway_follow_from_each_other(town: Any) -> None:
    commune = town.load().commune
    assert commune.desktops[0].ssh == SshAddress("10.94.2.21", 22)
    assert commune.gateway.address == IPv4Address("10.94.0.1")
    assert commune.laptops[0].ssh is None
    elsewhere = town.load(town.commune.replace('ssh      = "10.94.0.1"', 'ssh = "127.0.0.1:2201"')).commune
    assert elsewhere.gateway.address is None
    only_address = town.load(town.commune.replace('ssh      = "10.94.0.1"', 'address = "10.94.0.1"')).commune
    assert only_address.gateway.ssh == SshAddress("10.94.0.1")


def test_every_key_can_be_written(town: Any) -> None:
    more = """
[policy]
timezone = "Indian/Reunion"
journal_months = 6
clipboard = "to-desktop"
drives = true
disconnected_minutes = 0
[antivirus]
mirror = "https://clamav.essai.example:8443/base"
databases = ["http://10.94.1.20/local.hdb"]
scan = "Mon..Fri 07:30"
"""
    network = 'admin = ["10.94.0.10", "fd94::/64"]\ntunnel6 = "fd94:194::/64"\nmode = "split"\nntp = ["10.94.0.1"]'
    text = town.commune.replace('admin  = ["10.94.0.10/32"]', network) + more
    commune = town.load(text.replace('"94002"', '"94002"\nadmin_user = "informatique"')).commune
    assert commune.policy.clipboard is Clipboard.TO_DESKTOP
    assert (commune.policy.timezone, commune.policy.drives, commune.policy.journal_months) == ("Indian/Reunion", True, 6)
    assert commune.antivirus.scan == "Mon..Fri 07:30"
    assert commune.network.admin == (IPv4Network("10.94.0.10/32"), IPv6Network("fd94::/64"))
    assert commune.network.mode is Mode.SPLIT
    assert commune.admin_user == "informatique"


@pytest.mark.parametrize(
    "mac", ["52:54:00:AA:BB:01", "52-54-00-aa-bb-01", "5254.00aa.bb01", "525400aabb01"], ids=["colons", "hyphens", "dots", "bare"]
)
def test_a_mac_address_is_the_same_however_it_is_written(town: Any, mac: str) -> None:
    assert town.load(town.commune.replace("52:54:00:aa:bb:01", mac)).commune.desktops[0].mac == "52:54:00:aa:bb:01"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda csv: csv.encode(), id="utf-8"),
        pytest.param(lambda csv: b"\xef\xbb\xbf" + csv.encode(), id="utf-8 with its mark"),
        pytest.param(lambda csv: csv.encode("cp1252"), id="windows-1252"),
        pytest.param(lambda csv: csv.replace("\n", "\r\n").encode(), id="lines of Windows"),
        pytest.param(lambda csv: csv.replace("\n", "\r").encode(), id="lines of old Macs"),
        pytest.param(lambda csv: csv.replace("é", "e\u0301").encode(), id="decomposed accents"),
        pytest.param(lambda csv: csv.replace(";", ",").encode(), id="commas"),
        pytest.param(lambda csv: csv.replace(";", "\t").encode(), id="tabulations"),
        pytest.param(lambda csv: csv.replace("\n", "\n;;;;;;;;\n\n   \n").encode(), id="blank lines"),
        pytest.param(lambda csv: csv.replace(";", "  ; ").replace("\n", "  \n").encode(), id="spaces around"),
        pytest.param(lambda csv: csv.replace("Mélanie", '"Mélanie"').replace("Karim", ' "Karim" ').encode(), id="quotes"),
        pytest.param(lambda csv: ("sep=;\n" + csv).encode(), id="Excel's separator line"),
        pytest.param(lambda csv: csv.replace("\n", ";;\n").encode(), id="empty columns at the end"),
        pytest.param(
            lambda csv: csv.upper().split("\n")[0].encode() + b"\n" + csv.partition("\n")[2].encode(), id="capital headers"
        ),
        pytest.param(lambda csv: csv.rstrip("\n").rstrip(";").encode(), id="no last line feed"),
        pytest.param(lambda csv: ENGLISH.encode(), id="in English"),
        pytest.param(lambda csv: ENGLISH.replace(",", ";").replace("last name", "Last_Name").encode(), id="English, semicolons"),
    ],
)
def test_a_list_of_agents_is_the_same_however_it_was_saved(town: Any, content: Any) -> None:
    expected = town.load().commune.agents
    loaded = town.load(agents=content(town.agents))
    assert loaded.commune.agents == expected
    assert loaded.warnings == ()


def test_commune_toml_may_come_from_a_windows_editor(town: Any) -> None:
    expected = town.load().commune
    for content in (town.commune.encode("cp1252"), ("\ufeff" + town.commune.replace("\n", "\r\n")).encode()):
        assert town.load(content).commune.applications == expected.applications


def test_columns_may_stand_in_any_order_and_optional_ones_be_absent(town: Any) -> None:
    agents = "profil;portable;prénom;nom;identifiant\naccueil;portable-1;Mélanie;Durand;m.durand\n"
    (agent,) = town.load(agents=agents).commune.agents
    assert (agent.identifier, agent.last_name, agent.laptop) == ("m.durand", "Durand", "portable-1")


def test_the_owner_of_a_desktop_works_on_it_without_saying_so_in_the_list(town: Any) -> None:
    commune = town.load(agents=town.agents.replace(";bureau-1;", ";;")).commune
    assert commune.agents[0].desktop == "bureau-1"


def test_one_laptop_serves_two_agents_one_after_the_other(town: Any) -> None:
    agents = town.agents.replace("bureau-1;;", "bureau-1;;30/08/2027").replace("portable-2", "portable-1")
    agents = agents.replace("01/09/2025;2030-08-31", "01/09/2027;")
    assert town.load(agents=agents).warnings == ()


def test_operators_keys_may_be_openssh_or_age_with_comments(town: Any) -> None:
    keys = f"# les administrateurs\n\n{ED25519} claire@dsi\n{AGE}  # Paul\n"
    operators = town.load(keys=keys).commune.operators
    assert [(o.name, o.public_key) for o in operators] == [("claire@dsi", f"{ED25519} claire@dsi"), ("Paul", AGE)]


WARNED = [
    (
        'tunnel = "10.194.0.0/24"',
        'tunnel = "192.168.1.0/24"',
        "commune.toml:8: 192.168.1.0/24 overlaps 192.168.1.0/24, which many home",
    ),
    (
        'tunnel = "10.194.0.0/24"',
        'tunnel = "192.168.0.0/16"',
        "commune.toml:8: 192.168.0.0/16 overlaps 192.168.0.0/24, which many home",
    ),
    ('tunnel = "10.194.0.0/24"', 'tunnel = "198.51.100.0/24"', "commune.toml:8: 198.51.100.0/24 is not a private network"),
    ('"10.94.0.0/20"', '"10.94.0.0/20", "192.168.1.0/24"', "commune.toml:7: lan: 192.168.1.0/24 overlaps"),
    ('"10.94.0.10/32"', '"0.0.0.0/0"', "commune.toml:9: admin: 0.0.0.0/0 opens SSH to the whole world"),
    ("vpn.essai.example:51820", "10.94.0.1:51820", "commune.toml:14: endpoint 10.94.0.1 is a private address"),
]


@pytest.mark.parametrize(("old", "new", "told"), WARNED)
def test_what_may_be_meant_is_warned_of_and_accepted(town: Any, old: str, new: str, told: str) -> None:
    assert old in town.commune
    loaded = town.load(town.commune.replace(old, new))
    assert told in town.shown(loaded.warnings)


def test_an_agent_whose_end_is_past_is_warned_of_and_has_no_access(town: Any) -> None:
    loaded = town.load(agents=town.agents.replace("2030-08-31", "2026-08-31"))
    assert town.shown(loaded.warnings).startswith("agents.csv:3: k.benali: the end 2026-08-31 is past, so there is no access")
    assert [agent.identifier for agent in loaded.commune.active_agents] == ["m.durand"]


def test_removing_an_agents_line_is_accepted_even_if_they_own_a_desktop(town: Any) -> None:
    loaded = town.load(agents=town.agents.replace("m.durand;Durand;Mélanie;Finances;comptable;portable-1;bureau-1;;\n", ""))
    assert "commune.toml:19: owner `m.durand` of `bureau-1` is not in agents.csv" in town.shown(loaded.warnings)
    assert loaded.commune.agents_of(loaded.commune.desktop_named["bureau-1"]) == ()


def test_an_owner_misspelt_is_refused_when_the_agent_works_there(town: Any) -> None:
    told = town.told(town.commune.replace('owner   = "m.durand"', 'owner = "m.durant"'))
    assert "agents.csv:2: m.durand: desktop `bureau-1` is m.durant's own" in told
    assert "did you mean `m.durand`?" in told


def test_a_column_that_is_not_used_is_warned_of(town: Any) -> None:
    agents = "\n".join(line and f"{line};x" for line in town.agents.split("\n")).replace("au;x", "au;matricule")
    assert "agents.csv:1: column `matricule` is not used" in town.shown(town.load(agents=agents).warnings)


def test_tunnels_of_two_communes_may_not_overlap_but_a_copy_of_one_may(town: Any) -> None:
    town.write()
    other = town.folder.parent / "autre"
    other.mkdir()
    (other / "commune.toml").write_text(town.commune.replace("Essai", "Autre"), encoding="utf-8")
    assert "commune.toml:8: 10.194.0.0/24 overlaps the tunnel 10.194.0.0/24 of another commune, autre" in town.told()
    (other / "commune.toml").write_text(town.commune, encoding="utf-8")
    assert town.told() == ""


def test_a_commune_is_found_by_the_name_of_its_folder(town: Any) -> None:
    folder = town.write()
    assert slugs(folder.parent) == ("essai",)
    assert find(folder.parent, "essai") == folder
    with pytest.raises(UsageError, match="did you mean `essai`"):
        find(folder.parent, "esai")
    with pytest.raises(UsageError, match="there are essai"):
        find(folder.parent, "../..")
    with pytest.raises(UsageError, match="telekit init"):
        find(folder.parent / "nowhere", "essai")


def test_reading_an_inventory_needs_none_of_the_heavy_libraries(town: Any) -> None:
    code = f"""
import sys
from pathlib import Path
from toolkit.inventory import load
load(Path({str(town.write())!r}))
heavy = {{"pyinfra", "gevent", "paramiko", "cryptography", "jinja2", "rich", "tree_sitter", "pyrage"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_lab_loads_without_a_word() -> None:
    assert load(Path(__file__).parents[3] / "inventories" / "lab").warnings == ()


def test_spaces_of_any_kind_count_as_one(town: Any) -> None:
    text = town.commune.replace('"Gestion financière"', '"  Gestion\u00a0\u202f financière "')
    assert town.load(text).commune.applications[0].title == "Gestion financière"


def test_a_list_without_agents_is_warned_of(town: Any) -> None:
    loaded = town.load(agents=town.agents.split("\n")[0] + "\n")
    assert "agents.csv: names no agent: nobody has access" in town.shown(loaded.warnings)


PEOPLE = """
[application.paie]
title = "Paie"
host  = "Paie.Essai.example."
owner = "DRH"
tcp   = [443]

[[extra]]
agent       = "k.benali"
application = "finances"
until       = 2026-12-31
reason      = "Clôture des comptes"

[[extra]]
agent       = "parti"
application = "paie"
until       = "24/11/2026"
reason      = "Remplacement"

[directory]
url  = "ldaps://ad.essai.example:636/"
base = "DC=essai,DC=example"

[directory.profiles]
"GG-Compta" = "comptable"
"""


def test_extras_devices_and_the_directory_are_read(town: Any) -> None:
    written = town.commune.replace('name = "portable-2"', 'name = "portable-2"\nsystem = "windows"')
    written = written.replace("[profile.accueil]", '[profile.accueil]\nsecond_factor = "required"') + PEOPLE
    commune = town.load(written).commune
    assert [laptop.system for laptop in commune.laptops] == [System.DEBIAN, System.WINDOWS]
    assert "portable-2" not in [machine.name for machine in commune.machines]
    paie = commune.application_keyed["paie"]
    assert (paie.address, paie.host, paie.owner, paie.place) == (None, "paie.essai.example", "DRH", "paie.essai.example")
    assert commune.extras[0] == Extra("k.benali", "finances", date(2026, 12, 31), "Clôture des comptes")
    assert commune.profile_named["accueil"].second_factor is SecondFactor.REQUIRED
    assert commune.directory and commune.directory.url == "ldaps://ad.essai.example:636"
    assert commune.directory.profiles == {"GG-Compta": "comptable"}


def test_an_extra_that_gives_nothing_is_told_and_stops_nobody(town: Any) -> None:
    told = town.told(town.commune + PEOPLE)
    assert "extra: agent `parti` is not in agents.csv" in told
    assert "extra of parti: its end 2026-11-24 is past, so it gives nothing" in told


def test_ssh_of_a_device_that_telekit_does_not_log_into_is_told(town: Any) -> None:
    written = town.commune.replace('name = "portable-2"', 'name = "portable-2"\nsystem = "phone"\nssh = "10.94.0.9"')
    assert "`ssh` is not used: telekit logs into no phone device" in town.told(written)


def test_a_suspended_agent_has_no_access_from_that_day(town: Any) -> None:
    agents = town.agents.replace("poste;du;au", "poste;du;au;Suspendu").replace("bureau-1;;", "bureau-1;;;25/11/2026")
    loaded = town.load(agents=agents.replace("2030-08-31", "2030-08-31;2026-12-01"))
    assert [agent.identifier for agent in loaded.commune.active_agents] == ["k.benali"]
    assert [agent.last_day for agent in loaded.commune.agents] == [date(2026, 11, 24), date(2026, 11, 30)]
    assert "m.durand: suspended since 2026-11-25" in town.shown(loaded.warnings)
