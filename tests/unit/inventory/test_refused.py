"""Every mistake that is refused: where it is, what it is, and what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

# Lines of the town's commune.toml.
LAN = 'lan    = ["10.94.0.0/20"]'
TUNNEL = 'tunnel = "10.194.0.0/24"'
ADMIN = 'admin  = ["10.94.0.10/32"]'
SSH = 'ssh      = "10.94.0.1"'
ENDPOINT = 'endpoint = "vpn.essai.example:51820"'
ADDRESS = 'address = "10.94.2.21"'
MAC = 'mac     = "52:54:00:aa:bb:01"'
SERVER = 'address = "10.94.1.15"'
PORTS = "tcp     = [443, 1521]"
GATEWAY = 'name     = "gw"'
LAST = """[profile.accueil]
applications = ["messagerie"]"""
EXTRA = (
    LAST
    + """

[[extra]]
agent = "m.durand"
application = "finances"
until = 2026-12-31
reason = "Clôture"
"""
)
DIRECTORY = """

[directory]
url = "ldaps://ad.essai.example"
base = "DC=essai"
"""
INSEE = 'insee  = "94002"'

# (what is replaced in commune.toml, by what, the line told, words of the sentence, words of the hint)
COMMUNE_MISTAKES = [
    (INSEE, 'inse  = "94002"', 3, "unknown key `inse` in [commune]", "did you mean `insee`?"),
    (INSEE, 'inse  = "94002"', 1, "`insee` is missing in [commune]", 'insee = "94002"'),
    (INSEE, "insee  = 94002", 3, "insee: expected text between double quotes, found a whole number", '"94002"'),
    (INSEE, 'insee  = "9400"', 3, "`9400` is not an INSEE code", "SIREN"),
    ('name   = "Essai"', 'name   = ""', 2, "name: is empty", ""),
    ('name   = "Essai"', 'name   = "Es\\nsai"', 2, "one line of ordinary characters", ""),
    ('domain = "essai.example"', 'domain = "essai"', 4, "`essai` is not a domain name", "alfortville.example"),
    ('domain = "essai.example"', 'domain = "essai.example"\nadmin_user = "root"', 5, "an account of the system", "m.durand"),
    ("[network]", "[reseau]", 6, "unknown section `reseau`", "did you mean `network`?"),
    ("[network]", "[xyz]", 6, "unknown section `xyz`", "there are commune, network"),
    ("[network]", "[networks]", 6, "unknown section `networks`", "did you mean `network`?"),
    ("[network]", "[[network]]", 6, "expected one section [network], found a list", "write [network]"),
    (LAN, 'lan    = "10.94.0.0/20"', 7, "lan: expected a list between square brackets, found text", "for example"),
    (TUNNEL, 'tunnel = "10.194.0.0/24"\nbench = ["10.194.0.0/25"]', 8, "10.194.0.0/24 overlaps 10.194.0.0/25 of bench", ""),
    (LAN, 'lan = ["0.0.0.0/0"]', 8, "10.194.0.0/24 overlaps 0.0.0.0/0 of the LAN", ""),
    (LAN, "lan    = []", 7, "`lan` names no network", ""),
    (LAN, 'lan    = ["10.94.0.1/20"]', 7, "`10.94.0.1/20` is not a network", "did you mean 10.94.0.0/20?"),
    (LAN, 'lan = [\n "10.94.0.0/20",\n "10.94.8.0/24",\n]', 9, "10.94.8.0/24 overlaps 10.94.0.0/20", "wider"),
    (LAN, 'lan = [\n "10.94.0.0/20",\n "chat",\n]', 9, "lan: `chat` is not a network", "for example"),
    (TUNNEL, 'tunnel = "10.94.15.0/24"', 8, "10.94.15.0/24 overlaps 10.94.0.0/20 of the LAN", "nothing else"),
    (TUNNEL, 'tunnel = "10.194.0.0/30"', 8, "10.194.0.0/30 has room for 1 laptops, there are 2", "/29"),
    (TUNNEL, 'tunnel = "10.194.0.0/32"', 8, "has room for 0 laptops", "widen it to /29"),
    (TUNNEL, 'tunnel = "fd00::/64"', 8, "an IPv4 network is needed", "tunnel6"),
    (TUNNEL, 'tunel = "10.194.0.0/24"', 8, "unknown key `tunel`", "did you mean `tunnel`?"),
    (TUNNEL, 'tunnel = "10.194.0.0/24"\ntunnel6 = "fd00::/127"', 9, "has room for 0 laptops", "/125"),
    (ADMIN, "", 6, "`admin` is missing in [network]", "administrators use SSH"),
    (ADMIN, 'admin = ["10.94.0.10/32"]\nmtu = 9000', 10, "mtu: `9000` is out of range", "1280 to 1500 bytes"),
    (ADMIN, 'admin = ["10.94.0.10/32"]\nmode = "ful"', 10, "mode: `ful` is not one of full, split", "`full`?"),
    (ADMIN, 'admin = ["10.94.0.10/32"]\ndrives = true', 10, "unknown key `drives`", "it belongs to [policy]"),
    (GATEWAY, 'name     = "Passerelle Mairie"', 12, "cannot be a name", "`passerelle-mairie`"),
    (GATEWAY, 'name     = "état-civil"', 12, "cannot be a name", "`etat-civil`"),
    (GATEWAY, 'name     = "bureau-1"', 17, "name `bureau-1` is already on line 12", "its own"),
    (SSH, "", 11, "`ssh` is missing in [[gateway]]", "where sshd answers"),
    (SSH, 'ssh = "admin@10.94.0.1"', 13, "names an account", "admin_user"),
    (SSH, 'ssh = "10.94.0.1:70000"', 13, "port of `10.94.0.1:70000` is out of range", "1 to 65535"),
    (SSH, 'ssh = "10.94.2.21"', 16, "SSH address `10.94.2.21` is already on line 13", "its own"),
    (SSH, 'ssh = "127.0.0.1:2201"\naddress = "10.94.2.21"', 19, "address `10.94.2.21` is already on", "its own"),
    (ENDPOINT, 'endpoint = "vpn.essai.example"', 14, "has no port", "vpn.essai.example:51820"),
    (ENDPOINT, 'endpoint = "vpn.essai.example:0"', 14, "out of range", "1 to 65535"),
    (ENDPOINT, 'endpoint = "vpn_essai:51820"', 14, "neither a host name nor an IP address", ""),
    (ENDPOINT, 'endpoint = "2001:db8::1"', 14, "has no port", "[2001:db8::1]:51820"),
    ("[[gateway]]", "[gateway]", 11, "expected [[gateway]], found a section", "double brackets"),
    ("[[gateway]]", "[[gateways]]", 11, "unknown section `gateways`", "did you mean `gateway`?"),
    (ADDRESS, 'adress = "10.94.2.21"', 18, "unknown key `adress` in [[desktop]]", "did you mean `address`?"),
    (ADDRESS, 'address = "10.95.2.21"', 18, "10.95.2.21 is outside the LAN (10.94.0.0/20)", "`lan`"),
    (ADDRESS, 'address = "10.94.2.21/24"', 18, "`10.94.2.21/24` is not an IP address", "no `/`"),
    (ADDRESS, 'address = "10.94.2.22"', 24, "address `10.94.2.22` is already on line 18", "its own"),
    (ADDRESS, 'address = "10.94.15.255"', 18, "first or last of its network", ""),
    (ADDRESS, "address = true", 18, "expected text between double quotes, found true or false", ""),
    (MAC, 'mac = "52:54:00:aa:bb"', 20, "`52:54:00:aa:bb` is not a MAC address", "six pairs"),
    (MAC, 'mac = "53:54:00:aa:bb:01"', 20, "is not one network card's address", "ip link"),
    (MAC, 'mac = "5254.00AA.bb11"', 28, "MAC address `52:54:00:aa:bb:11` is already on line 20", ""),
    ('name = "portable-2"', 'name = "portable-1"', 31, "name `portable-1` is already on line 27", ""),
    (PORTS, "tcp = [443, 70000]", 36, "tcp: `70000` is out of range", "1 to 65535"),
    (PORTS, 'tcp = ["443"]', 36, "tcp: expected a port number, found the text `443`", "without quotes"),
    (PORTS, "tcp = [443, 443]", 36, "`443` is in the list twice", ""),
    (PORTS, "", 33, "application `finances` has no port", "tcp = [443]"),
    (PORTS, "tcp = [443]\nbanana = 1", 37, "unknown key `banana` in [application.finances]", "there are title"),
    (SERVER, 'address = "10.94.2.22"', 35, "`10.94.2.22` is already the address of a machine, on line 24", ""),
    (SERVER, 'address = "192.0.2.15"', 35, "192.0.2.15 is outside the LAN", "`lan`"),
    ("[application.finances]", '[application."Gestion Fi"]', 33, "cannot be a name", "`gestion-fi`"),
    (SERVER, "", 33, "`address` is missing in [application.finances]", "or its name: host ="),
    (SERVER, SERVER + '\nhost = "finances.essai.example"', 36, "`address` and `host` are both there", "keep one"),
    (SERVER, 'host = "finances"', 35, "host: `finances` is not a domain name", ""),
    ('name = "portable-2"', 'name = "portable-2"\nsystem = "window"', 32, "system: `window` is not one of", "`windows`?"),
    (LAST, EXTRA.replace("finances", "finance"), 51, "extra of m.durand: there is no application `finance`", "`finances`?"),
    (LAST, EXTRA.replace('reason = "Clôture"', ""), 49, "`reason` is missing in [[extra]]", "yearly review"),
    (LAST, EXTRA.replace('"Clôture"', '" "'), 53, "reason: is empty", ""),
    (LAST, EXTRA.replace("2026-12-31", '"fin 2026"'), 52, "until: `fin 2026` is not a date", "2026-01-31"),
    (LAST, EXTRA.replace("2026-12-31", "2026-12-31T12:00:00"), 52, "until: expected text", ""),
    (LAST, LAST + '\nsecond_factor = "oui"', 48, "second_factor: `oui` is not one of required, optional, off", ""),
    (LAST, LAST + "\n[policy]\nkit_days = 0", 49, "kit_days: `0` is out of range", "1 to 90 days"),
    (LAST, LAST + DIRECTORY.replace("ldaps", "https"), 50, "is not the address of a directory", "ldaps://"),
    (LAST, LAST + DIRECTORY + 'identifier = "a b"', 52, "identifier: `a b` is not the name of an attribute", "department"),
    (LAST, LAST + DIRECTORY + 'profiles = "x"', 52, "profiles: expected a section, found text", "[directory.profiles]"),
    (LAST, LAST + DIRECTORY + 'profiles = {x = "compta"}', 52, "there is no profile `compta`", "`comptable`?"),
    (
        "[profile.comptable]",
        "[profile]\ncomptable = 3\n[profile.x]",
        44,
        "expected a section [profile.comptable], found a whole",
        "",
    ),
    ('["finances", "messagerie"]', '["finance", "messagerie"]', 44, "there is no application `finance`", "`finances`?"),
    ('["finances", "messagerie"]', '["paie", "messagerie"]', 44, "there is no application `paie`", "[application.paie]"),
    ("[profile.accueil]", "[policy]\njournal_months = 24\n[profile.accueil]", 47, "`24` is out of range", "6 to 12 months"),
    ("[profile.accueil]", '[policy]\nreboot_window = "3h"\n[profile.accueil]', 47, "is not a time of day", '"03:30"'),
    ("[profile.accueil]", '[policy]\ntimezone = "Paris"\n[profile.accueil]', 47, "is not a time zone", "Europe/Paris"),
    ("[profile.accueil]", '[policy]\nlocale = "fr"\n[profile.accueil]', 47, "is not a UTF-8 locale", "fr_FR.UTF-8"),
    ("[profile.accueil]", '[policy]\nkeyboard = "Français"\n[profile.accueil]', 47, "is not a keyboard layout", "fr"),
    ("[profile.accueil]", "[policy]\nautomatic_reboot = 1\n[profile.accueil]", 47, "expected true or false", ""),
    ("[profile.accueil]", '[antivirus]\nscan = "mercredi"\n[profile.accueil]', 47, "is not a calendar of systemd", "Wed 12:30"),
    ("[profile.accueil]", '[antivirus]\nmirror = "clamav"\n[profile.accueil]', 47, "is not an http or https address", "https://"),
    (
        "[profile.accueil]",
        '[antivirus]\nmirror = "http://[fd77::1]/$(id)"\n[profile.accueil]',
        47,
        "is not an http or https",
        "https://",
    ),
    ("[profile.accueil]", "[antivirus]\nofficial = false\n[profile.accueil]", 47, "no signatures at all", "databases"),
]

AGENT_MISTAKES = [
    ("portable-1;", "portabl-1;", 2, "m.durand: there is no laptop `portabl-1`", "did you mean `portable-1`?"),
    ("bureau-2;", "bureau-9;", 3, "k.benali: there is no desktop `bureau-9`", "did you mean"),
    ("comptable;", "secretaire;", 2, "m.durand: there is no profile `secretaire`", "there are accueil, comptable"),
    ("k.benali;", "m.durand;", 3, "identifier `m.durand` is already on line 2", "one line an agent"),
    ("k.benali;", "K.Bénali;", 3, "cannot be an account", "`k.benali`"),
    ("k.benali;", ";", 3, "identifiant is empty", ""),
    ("k.benali;", "telekit-resolve;", 3, "an account of the system itself", "m.durand"),
    ("k.benali;", "telekit;", 3, "`telekit` is the administrators' account", "admin_user"),
    (";Benali;", ";Ben:ali;", 3, "nom: `Ben:ali` holds a colon", ""),
    ("k.benali;", "root;", 3, "an account of the system", ""),
    (";accueil;", ";;", 3, "profil is empty", ""),
    ("01/09/2025;2030-08-31", "01/09/2025;31/08/2024", 3, "the end 2024-08-31 is before the start 2025-09-01", "swap"),
    ("01/09/2025", "09/31/2025", 3, "du: `09/31/2025` is not in the calendar", "day/month/year"),
    ("01/09/2025", "1er septembre", 3, "du: `1er septembre` is not a date", "2026-01-31"),
    ("portable-2;", "portable-1;", 3, "laptop `portable-1` is already m.durand's, on line 2", "do not overlap"),
    ("bureau-2;", "bureau-1;", 3, "desktop `bureau-1` is m.durand's own", "line 19"),
    ("k.benali;Benali", 'k.benali;"Benali', 3, "double quotes of this line do not match", ""),
    (";2030-08-31", ";2030-08-31;oui", 3, "10 cells where the first line has 9 columns", "between double quotes"),
    ("prénom;", "", 1, "missing column: prénom", "identifiant;nom;prénom"),
    ("nom;prénom;", "", 1, "missing columns: nom, prénom", "identifiant;nom;prénom"),
    ("prénom;", "prénom;nom;", 1, "column twice: nom", "keep one"),
    ("portable;", "portabel;", 1, "unknown column `portabel`", "did you mean `portable`?"),
]


@pytest.mark.parametrize(("old", "new", "line", "what", "hint"), COMMUNE_MISTAKES)
def test_a_mistake_in_commune_toml_is_told_with_its_line(town: Any, old: str, new: str, line: int, what: str, hint: str) -> None:
    assert old in town.commune
    found = town.problems(town.commune.replace(old, new, 1))
    _assert_told(town, found, f"commune.toml:{line}", what, hint)


@pytest.mark.parametrize(("old", "new", "line", "what", "hint"), AGENT_MISTAKES)
def test_a_mistake_in_agents_csv_is_told_with_its_line(town: Any, old: str, new: str, line: int, what: str, hint: str) -> None:
    assert old in town.agents
    found = town.problems(agents=town.agents.replace(old, new, 1))
    _assert_told(town, found, f"agents.csv:{line}", what, hint)


def _assert_told(town: Any, found: list, where: str, what: str, hint: str) -> None:
    matching = [p for p in found if p.where.endswith(f"essai/{where}") and what in p.what and hint in p.hint and not p.warning]
    assert matching, town.shown(found)


@pytest.mark.parametrize("file", ["commune.toml", "agents.csv"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \r\n\n", "the file is empty"),
        (b'nom = "\x81"\n', "is neither UTF-8 nor Windows-1252: byte 0x81 on line 1"),
        ("é".encode("utf-16"), "is written in UTF-16"),
        (b"a\n\x00b", "line 2 holds a control character"),
        (b"PK\x03\x04rest", "is a spreadsheet"),
    ],
)
def test_a_file_that_is_no_text_is_refused(town: Any, file: str, content: bytes, what: str) -> None:
    files = {"commune.toml": {"commune": content}, "agents.csv": {"agents": content}}
    found = town.problems(**files[file])
    assert any(p.where.endswith(f"essai/{file}") and what in p.what for p in found), town.shown(found)


def test_missing_files_are_refused_in_one_go(town: Any) -> None:
    found = town.problems(None, None)
    assert town.shown(found).count("the file does not exist") == 2


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('[commune]\nname = "Essai\n', 2, "not valid TOML"),
        ("[commune]\nname = Essai\n", 2, "Invalid value"),
        ('[commune]\nname = "a"\nname = "b"\n', 3, "Cannot overwrite a value"),
        ("[commune]\ninsee = 01004\n", 2, "Expected newline"),
        ("[commune]\n[commune]\n", 2, "Cannot declare"),
        ("[commune]\nlan = [1, 2\n\n", 2, "Unclosed array"),
        ("[commune\n", 1, "Expected"),
        ("[commune]\nname = “Essai”\n", 2, "Invalid value"),
        ("x = " + "[" * 5000, 0, "beyond all measure"),
        ("x = " + "9" * 5000, 0, "beyond all measure"),
    ],
)
def test_a_syntax_error_is_told_with_its_line_and_the_agents_are_read_all_the_same(
    town: Any, text: str, line: int, what: str
) -> None:
    found = town.problems(text, town.agents.replace("k.benali", "root"))
    place = f"commune.toml:{line}" if line else "commune.toml"
    assert any(p.where.endswith(place) and what in p.what for p in found), town.shown(found)
    assert any(p.where.endswith("agents.csv:3") for p in found), town.shown(found)


def test_no_gateway_and_two_gateways_are_refused(town: Any) -> None:
    start, end = town.commune.index("[[gateway]]"), town.commune.index("[[desktop]]")
    gateway = town.commune[start:end]
    assert "there is no [[gateway]]" in town.told(town.commune[:start] + town.commune[end:])
    second = gateway.replace('"gw"', '"gw-2"').replace("10.94.0.1", "10.94.0.2")
    found = town.told(town.commune[:end] + second + town.commune[end:])
    assert "commune.toml:16: there is more than one [[gateway]]" in found


def test_two_machines_with_one_way_in_are_refused(town: Any) -> None:
    text = town.commune.replace('name = "portable-2"', 'name = "portable-2"\nssh = "10.94.2.22"')
    assert "SSH address `10.94.2.22` is already" in town.told(text)


def test_everything_that_is_wrong_is_told_at_once_and_in_file_order(town: Any) -> None:
    text = town.commune.replace(INSEE, "insee = 3")
    text = text.replace('"10.94.2.21"', '"10.9.2.21"').replace("52:54:00:aa:bb:11", "x")
    found = town.problems(text, town.agents.replace("portable-1;", "portable-9;").replace("k.benali", "x y"), "nonsense\n")
    places = [p.where.rpartition("/")[2] for p in found]
    assert places == ["commune.toml:3", "commune.toml:18", "commune.toml:28", "agents.csv:2", "agents.csv:3", "operators.keys:1"]


def test_a_profile_that_is_missing_is_told_once_with_the_lines_of_all_its_agents(town: Any) -> None:
    line = "a{n};A;B;;accueil;;;;\n"
    agents = town.agents + "".join(line.format(n=number) for number in range(20))
    found = town.problems(town.commune.replace("[profile.accueil]", "[profil.accueil]"), agents)
    assert town.shown(found) == (
        "commune.toml:46: unknown section `profil` (did you mean `profile`?)\n"
        "agents.csv:3: k.benali: there is no profile `accueil` in commune.toml; "
        "also named on lines 4, 5, 6, 7, 8, 9, 10, 11 and 12 more (there are comptable)"
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[network]", "[reseau]", "unknown section `reseau` (did you mean `network`?)"),
        ("[[laptop]]", "[[portable]]", "unknown section `portable` (did you mean `laptop`?)"),
        ("owner ", "proprietaire ", "unknown key `proprietaire` in [[desktop]] (did you mean `owner`?)"),
    ],
)
def test_a_key_written_in_french_is_understood_in_the_advice(town: Any, old: str, new: str, told: str) -> None:
    assert told in town.told(town.commune.replace(old, new))


def test_one_mistake_is_told_once(town: Any) -> None:
    found = town.problems(town.commune.replace('name = "portable-1"', 'name = "portable-1"\nssh = "a b"'))
    assert len(found) == 1, town.shown(found)
    found = town.problems(town.commune.replace('address = "10.94.2.22"', 'address = "10.94.2.2222"'))
    assert len(found) == 1, town.shown(found)
    found = town.problems(town.commune.replace('address = "10.94.1.15"', 'address = "10.94.1"'))
    assert len(found) == 1, town.shown(found)


def test_lines_are_exact_in_inline_tables_and_lists_over_several_lines(town: Any) -> None:
    laptops = 'laptop = [\n  { name = "portable-1" }, # the first\n  { name = "portable-2", mc = "52:54:00:aa:bb:12" },\n]\n'
    start, end = town.commune.index("[[laptop]]"), town.commune.index("[application.finances]")
    text = laptops + town.commune[:start] + town.commune[end:]
    assert town.told(text).startswith("commune.toml:3: unknown key `mc` in [[laptop]]")


def test_what_is_shown_of_a_value_cannot_command_the_terminal(town: Any) -> None:
    text = town.commune.replace('"10.94.2.21"', '"\\u001b[31m\\u202e' + "x" * 500 + '"')
    shown = town.told(text)
    assert shown.isprintable()
    assert len(shown) < 300


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a PRIVATE key stands here"),
        ("AGE-SECRET-KEY-1QQQQ", "a PRIVATE key stands here"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== x", "damaged"),
        ("ssh-ed25519 !!! x", "damaged"),
        ("ecdsa-sha2-nistp256 AAAA x", "cannot open the vault"),
        ('from="10.0.0.1" ssh-ed25519 AAAA x', "is not a public key"),
        ("age1short", "is not a public key"),
    ],
)
def test_a_line_that_is_no_public_key_is_refused_and_not_shown(town: Any, line: str, what: str) -> None:
    found = town.problems(keys=f"# administrators\n{line}\n")
    assert [p.where.rpartition("/")[2] for p in found] == ["operators.keys:2"]
    assert what in found[0].what
    assert "QQQQ" not in town.shown(found)
