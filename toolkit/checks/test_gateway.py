"""The gateway from inside: what it tells its laptops, and what it remembers of them."""

from __future__ import annotations

import time

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.subject import Subject

# After how long a tunnel is surely in the record; and after how long without a handshake it is not open any more.
RECORD_SECONDS = 15
OPEN_SECONDS = 180


# Two interfaces while the gateway's own key is being replaced.
EACH = """\
for interface in wg0 wg0-next; do
  [ ! -d /sys/class/net/$interface ] || wg show $interface {what}
done
"""
ALLOWED, SHAKEN = EACH.format(what="allowed-ips"), "date +%s\n" + EACH.format(what="latest-handshakes")


@check(
    Theme.TUNNEL,
    "Every laptop of the inventory, and nobody else, may open a tunnel",
    titre="Tous les portables de l’inventaire, et eux seuls, peuvent ouvrir un tunnel",
    tried="comparing the keys that WireGuard accepts on {machine} now with the inventory's",
    expected="the same keys, each with its own addresses",
    fix="telekit provision",
)
def test_peers_are_those_of_the_inventory(subject: Subject) -> str:
    peers = subject.commune.peers
    found: dict[str, set[str]] = {}
    for key, _, addresses in (line.partition("\t") for line in subject.output(ALLOWED).splitlines()):
        found[key] = found.get(key, set()) | (set(addresses.split()) - {"(none)"})
    # Of a laptop whose key is being replaced, the one or the other key has the addresses, and neither need be there still.
    holder = {m.name: next((key for key in m.keys if found.get(key)), str(m.public_key)) for m in peers}
    wanted = {
        holder[m.name]: {f"{m.tunnel_address}/32", *([f"{m.tunnel_address6}/128"] if m.tunnel_address6 else [])} for m in peers
    }
    found = {key: addresses for key, addresses in found.items() if addresses or not any(key in m.keys for m in peers)}
    assert not found.keys() - wanted.keys(), f"{len(found.keys() - wanted.keys())} keys that no laptop of an active agent has"
    # Whether a kit whose last day has passed was used in time, the gateway knows better.
    late = {m.name for m in peers if m.kit_until and m.kit_until < subject.commune.today}
    peers = tuple(m for m in peers if holder[m.name] in found or m.name not in late)
    missing = [m.name for m in peers if holder[m.name] not in found]
    assert not missing, f"unknown to it: {', '.join(missing)}"
    wrong = [m.name for m in peers if found[holder[m.name]] != wanted[holder[m.name]]]
    assert not wrong, f"with other addresses than the inventory's: {', '.join(wrong)}"
    return f"{len(found)} laptops"


@check(
    Theme.TUNNEL,
    "The gateway's own names and time answer inside the tunnel",
    titre="La passerelle répond au DNS et à l’heure dans le tunnel",
    tried="asking unbound on {machine}, at its tunnel address, for an internal name",
    expected="the address of the inventory",
    fix="systemctl status unbound on the gateway; [network] dns in commune.toml; does the town hall's server answer it?",
)
def test_resolves_for_the_tunnel(subject: Subject) -> str:
    if not subject.commune.desktops:
        raise NotCheckedError("the inventory names no machine that could be asked for")
    desktop = subject.commune.desktops[0]
    name = subject.commune.domain_name(desktop.name)
    found = subject.output(ASK.format(server=subject.commune.gateway_address(), name=name)).split()
    assert found == [str(desktop.address)], f"{name} is {', '.join(found) or 'unknown'}, not {desktop.address}"
    return f"{name} is {desktop.address}"


# A question of our own: neither dig nor host is on a plain Debian.
ASK = """\
perl -MSocket -e '
  my ($server, $name) = @ARGV;
  socket(my $s, PF_INET, SOCK_DGRAM, 0) or die "$!"; connect($s, sockaddr_in(53, inet_aton($server))) or die "$!";
  my $asked = join("", map {{ pack("C/a*", $_) }} split(/\\./, $name)) . pack("xnn", 1, 1);
  send($s, pack("nnnnnn", 4711, 256, 1, 0, 0, 0) . $asked, 0);
  my $ready = ""; vec($ready, fileno($s), 1) = 1; select($ready, undef, undef, 4) or exit 0;
  recv($s, my $answer, 4096, 0);
  my $count = unpack("x6n", $answer); my $rest = substr($answer, 12 + length $asked);
  for (1 .. $count) {{
    my ($type, $length) = unpack("x2nx6n", $rest);
    print inet_ntoa(substr($rest, 12, 4)), "\\n" if $type == 1;
    $rest = substr($rest, 12 + $length);
  }}
' {server} {name}
"""


@check(
    Theme.TUNNEL,
    "The gateway keeps a record of tunnels, for the administrator alone",
    titre="La passerelle tient le registre des tunnels ouverts et fermés, lisible par l’administrateur seul",
    tried="reading the record on {machine}, and trying to read it as nobody",
    expected="the laptops that have a tunnel now are in it; nobody else can read it",
    fix="systemctl status telekit-tunnel-record on the gateway; telekit provision",
)
def test_keeps_a_record_of_tunnels(subject: Subject) -> str:
    up = _up(subject)
    record = _record(subject)
    missing = [name for name in up if f" device={name} " not in record]
    assert not missing, f"no record of {', '.join(missing)}"
    if not record:
        raise NotCheckedError("no tunnel has ever been open for some seconds")
    nobody = subject.run("runuser -u nobody -- sh -c 'cat /var/log/telekit/*' >/dev/null 2>&1").code
    assert nobody != 0, "everybody can read it"
    return record.strip().splitlines()[-1]


def _record(subject: Subject) -> str:
    """What the record says; its first line is waited for where a tunnel was opened a moment ago, or a laptop here opens one."""
    deadline = time.monotonic() + RECORD_SECONDS + 5
    laptops = {laptop.name for laptop in subject.commune.laptops}
    while True:
        record = subject.output("cat /var/log/telekit/tunnels-*.log 2>/dev/null; true")
        here = any(target.name in laptops for target in subject.evidence.connections.reachable)
        if record or time.monotonic() > deadline or not (here or _ages(subject)):
            return record
        time.sleep(1)


def _up(subject: Subject) -> list[str]:
    """The laptops whose tunnel has been open for a while."""
    ages = _ages(subject)
    return [m.name for m in subject.commune.peers if any(RECORD_SECONDS < ages.get(key, 0) < OPEN_SECONDS for key in m.keys)]


def _ages(subject: Subject) -> dict[str, int]:
    """The laptops' keys that have a tunnel now, and the seconds since its last handshake."""
    now, *shaken = subject.output(SHAKEN).split()
    # A device may be at both interfaces of a gateway whose own key changes: the later moment counts.
    moments = sorted(zip(shaken[::2], map(int, shaken[1::2]), strict=True))
    ages = {key: int(now) - at for key, at in moments}
    return {key: age for key, age in ages.items() if age < OPEN_SECONDS}
