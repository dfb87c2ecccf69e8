"""LDIF files and entries of directories: whose they are, what they say, and when an account ends."""

from __future__ import annotations

import base64
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from toolkit.errors import UsageError
from toolkit.inventory.problems import Refused
from toolkit.model import Directory
from toolkit.register import ldif_source
from toolkit.register.entries import common_name, last_day

PARIS = ZoneInfo("Europe/Paris")
ACTIVE_DIRECTORY = Directory(profiles={"GG-Finances": "comptable", "cn=accueil,ou=groupes,dc=essai": "accueil"})
NOEL = base64.b64encode("Noël".encode()).decode()
LDIF = f"""\
version: 1
# exported by the directory

dn: OU=Agents,DC=essai
objectClass: organizationalUnit
ou: Agents

dn: CN=Zoé Martin,OU=Agents,DC=essai
objectClass: top
objectClass: user
sAMAccountName: P.Martin
sn: Martin
givenName:: {NOEL}
department: Finances
memberOf: CN=Tout le monde,OU=Groupes,DC=essai
memberOf: CN=GG-Finances,OU=Grou
 pes,DC=essai
accountExpires: 9223372036854775807
userAccountControl: 512

dn: CN=GG-Finances,OU=Groupes,DC=essai
objectClass: group
sAMAccountName: GG-Finances

dn: CN=PC-01,OU=Postes,DC=essai
objectClass: computer
sAMAccountName: PC-01$

dn: CN=Karim Benali,OU=Agents,DC=essai
objectClass: user
sAMAccountName: k.benali
sn: Benali
givenName: Karim
department: Accueil
memberOf: CN=Accueil,OU=Groupes,DC=essai
userAccountControl: 514
"""


def read(text: str | bytes, directory: Directory | None = ACTIVE_DIRECTORY) -> Any:
    content = text if isinstance(text, bytes) else text.encode()
    return ldif_source.read(content, "ad.ldif", directory, "Europe/Paris")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_export_of_active_directory_lists_its_people_and_nothing_else(line_end: str) -> None:
    found = read(LDIF.replace("\n", line_end))
    martin, benali = found.people
    names = {"last_name": "Martin", "first_name": "Noël", "service": "Finances", "profile": "comptable"}
    assert (martin.identifier, dict(martin.said), martin.disabled) == ("p.martin", names, False)
    assert (benali.identifier, benali.said["profile"], benali.disabled) == ("k.benali", "accueil", True)
    assert found.warnings == ()


def test_without_a_section_openldap_s_attributes_are_known_too() -> None:
    found = read("dn: uid=z.m,dc=essai\nobjectClass: inetOrgPerson\nuid: z.m\nsn: M\ngivenName: Z\ndepartmentNumber: RH\n", None)
    assert dict(found.people[0].said) == {"last_name": "M", "first_name": "Z", "service": "RH"}


def test_what_cannot_be_an_account_is_left_out_and_told() -> None:
    found = read(LDIF.replace("P.Martin", "Zoé Martin"))
    assert [person.identifier for person in found.people] == ["k.benali"]
    assert "left out: `zoé martin` cannot be an account" in found.warnings[0].what


def test_a_value_that_cannot_be_used_is_told_and_the_agent_is_listed_all_the_same() -> None:
    found = read(LDIF.replace("department: Finances", "department: =1+1").replace("9223372036854775807", "bientôt"))
    assert found.people[0].identifier == "p.martin"
    assert {"service", "ends"}.isdisjoint(found.people[0].said)
    assert [warning.what.split(": ")[1] for warning in found.warnings] == ["department", "accountExpires"]


def test_an_account_twice_is_refused() -> None:
    with pytest.raises(Exception, match=r"ad\.ldif has 1 problem"):
        read(LDIF.replace("k.benali", "P.MARTIN"))


@pytest.mark.parametrize(
    "text",
    ["dn: cn=a\nno colon\n", "dn: cn=a\nchangetype: delete\n", "sn: x\n\ndn: y\n", "dn:: ////\n"],
)
def test_what_is_not_a_list_of_entries_is_told_in_a_sentence(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(text)
    assert refused.value.problem.where == "ad.ldif"
    assert str(refused.value).isprintable()


def test_a_url_in_a_file_is_never_fetched(tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Martin")
    found = read(LDIF.replace("sn: Martin", f"sn:< file://{secret}"))
    assert "last_name" not in found.people[0].said


def test_a_name_made_to_take_hours_takes_none() -> None:
    name = "a=b" + "\\,a=b" * 4000 + "\x00,"
    assert [person.identifier for person in read(f"dn: {name}\nobjectClass: user\nsAMAccountName: a.b\n").people] == ["a.b"]


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("0", None),
        ("9223372036854775807", None),
        ("-1", None),
        ("134116956000000000", date(2025, 12, 31)),
        ("20260101000000Z", date(2026, 1, 1)),
        ("20251231230000.0Z", date(2025, 12, 31)),
        ("20454", date(2025, 12, 31)),
        ("31/12/2025", date(2025, 12, 31)),
    ],
)
def test_an_account_s_end_is_the_last_whole_day_in_the_town_hall(written: str, day: date | None) -> None:
    assert last_day(written, PARIS) == day


@pytest.mark.parametrize("written", ["bientôt", "99999999999999999999999", "20269901000000Z", "9" * 5000])
def test_an_end_beyond_the_calendar_is_refused(written: str) -> None:
    with pytest.raises(Refused):
        assert last_day(written, PARIS)


@pytest.mark.parametrize(
    ("dn", "name"),
    [
        ("CN=GG-Finances,OU=Groupes,DC=essai", "GG-Finances"),
        (r"CN=Finances\, budget,OU=x", "Finances, budget"),
        (r"cn=\C3\89tat civil+x=y,dc=essai", "État civil"),
        ("Finances", ""),
        ("", ""),
    ],
)
def test_a_group_is_known_by_its_common_name(dn: str, name: str) -> None:
    assert common_name(dn) == name


def test_an_ldif_file_is_imported_like_any_other_list(town: Any) -> None:
    commune = town.commune.replace('profile = "department"\n', "").replace('"Finances" =', '"GG-Finances" =')
    town.write(commune=commune, agents=town.agents + "x.parti;Parti;X;;accueil;;;;\n" * 1)
    result = town.import_(LDIF, name="ad.ldif", allow_many=True)
    assert town.agent("p.martin").profile == "comptable"
    assert town.agent("k.benali").suspended == date.today()
    assert sorted(leave["agent"] for leave in result.summary["leaves"]) == ["m.durand", "x.parti"]


def test_an_account_that_is_enabled_again_stays_suspended_until_somebody_resumes_it(town: Any) -> None:
    town.import_(LDIF, name="ad.ldif", partial=True, allow_many=True)
    enabled = LDIF.replace("userAccountControl: 514", "userAccountControl: 512")
    town.import_(enabled, name="ad.ldif", partial=True)
    assert town.agent("k.benali").suspended == date.today()
    town.import_(enabled, name="ad.ldif", partial=True, reopen=True)
    assert town.agent("k.benali").suspended is None
