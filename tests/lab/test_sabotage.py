"""The checks are checked: of everything that is broken on purpose, exactly the right ones notice, and drift names it.

Each sabotage is undone by its `mend`, then by `telekit provision` where a recipe looks after what was broken. It takes half an
hour: `make test-sabotage` runs it, `make test` does not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.sabotage]

RELEASES = ("trixie",)

GATEWAY, OWN, SHARED, FINANCE, FRONT = "gw-mairie", "bureau-finances-03", "bureau-partage-01", "portable-041", "portable-042"
FIREWALL, RUN = "firewall-is-the-one-of-the-boot", "services-run"
LEAKS = {"nothing-leaves-beside-the-tunnel", "nothing-leaves-while-the-tunnel-is-down"}
FRONT_IP, FINANCE_IP6 = "10.177.0.3", "fd77:77:77::2"
# Of a function that nobody has: it is tried from the last address of the tunnel.
PROFILE, GUEST_IP = "profile-is-as-the-matrix-says:direction", "10.177.0.254"
# The first packet of each connection to the application is lost, and comes again a second later.
SLOW = """\
nft -f - <<'RULES'
table inet slow {
  set seen { type ipv4_addr . inet_service; flags dynamic; size 1000; timeout 1m; }
  chain lose {
    type filter hook forward priority 10;
    tcp flags & (syn | ack) == syn ip daddr 10.77.1.11 ip saddr . tcp sport != @seen add @seen { ip saddr . tcp sport } drop
  }
}
RULES
"""
RELOAD = "nft -f /etc/nftables.conf"
SSH_AGAIN = "systemctl reload ssh; sleep 1"


@dataclass(frozen=True)
class Sabotage:
    """On `machine`, `harm` is done; the checks of `seen_from` (the same machine if not given) that fail are `failing`.

    perhaps: others that fail too if a timer of the machine comes by meanwhile.
    drift: part of the name of the operation that drift must find; "" where no recipe looks after what was broken, which is
    then the check's affair alone.
    """

    name: str
    machine: str
    harm: str
    failing: frozenset[str]
    drift: str
    mend: str = ":"
    seen_from: str = ""
    perhaps: frozenset[str] = frozenset()


def _sabotage(
    name: str,
    machine: str,
    harm: str,
    failing: set[str],
    drift: str,
    *,
    mend: str = ":",
    seen_from: str = "",
    perhaps: frozenset[str] = frozenset(),
) -> Sabotage:
    return Sabotage(name, machine, harm, frozenset(failing), drift, mend, seen_from or machine, perhaps)


def cells(*groups: str) -> set[str]:
    """The checks of these parts of the matrix."""
    return {f"{group}-{'is' if group.startswith('the-') else 'are'}-as-the-matrix-says" for group in groups}


def _sshd(machine: str) -> Sabotage:
    return _sabotage(
        f"passwords open SSH of {machine}", machine,
        "sed -i 's/^PasswordAuthentication no/PasswordAuthentication yes/; /^AuthenticationMethods/d' "
        f"/etc/ssh/sshd_config.d/00-telekit.conf; {SSH_AGAIN}",
        {"refuses-passwords-over-ssh"}, "sshd",
    )  # fmt: skip


def _kernel(machine: str, setting: str, value: str) -> Sabotage:
    return _sabotage(
        f"{setting} is {value} on {machine}", machine, f"sysctl -qw {setting}={value}", {"kernel-settings-are-in-force"}, "kernel"
    )


ON_THE_GATEWAY = (
    _sabotage("the gateway's firewall is gone", GATEWAY, "nft flush ruleset",
              {FIREWALL, "no-tcp-port-answers", "no-udp-port-answers", "drops-forged-tunnel-addresses", PROFILE}, "firewall",
              perhaps=frozenset({"no-unit-has-failed"}), mend=f"{RELOAD}; systemctl reset-failed"),
    _sabotage("SSH of the gateway is open to the world", GATEWAY, "nft insert rule inet telekit input tcp dport 22 accept",
              {FIREWALL, "no-tcp-port-answers", PROFILE}, "firewall", mend=RELOAD),
    _sabotage("SSH of the gateway is open to the world by IPv6 alone", GATEWAY,
              "nft insert rule inet telekit input ip6 saddr 2000::/3 tcp dport 22 accept", {FIREWALL, "no-tcp-port-answers"},
              "firewall", mend=RELOAD),
    _sabotage("unbound answers the world", GATEWAY,
              "printf 'server:\\n    interface: 198.51.100.10\\n    access-control: 0.0.0.0/0 allow\\n    ip-freebind: yes\\n' "
              "> /etc/unbound/unbound.conf.d/zz-open.conf; nft insert rule inet telekit input udp dport 53 accept; "
              "systemctl restart unbound",
              {FIREWALL, "no-udp-port-answers"}, "firewall",
              mend=f"rm /etc/unbound/unbound.conf.d/zz-open.conf; systemctl restart unbound; {RELOAD}"),
    _sabotage("the gateway forwards everything", GATEWAY, "nft insert rule inet telekit forward accept",
              {"is-refused-application:finances", *cells("applications", "desktops", "other-laptops")}, "firewall", mend=RELOAD,
              seen_from=FRONT),
    _sabotage("an application is open to a laptop by the other protocol", GATEWAY,
              f"nft add element inet telekit access4 '{{ {FRONT_IP} . 10.77.1.12 . udp . 443 }}'", cells("applications"),
              "firewall", mend=RELOAD, seen_from=FRONT),
    _sabotage("an application is open to a laptop by IPv6", GATEWAY,
              f"nft add element inet telekit access6 '{{ {FINANCE_IP6} . fd77:77::1:14 . tcp . 5061 }}'",
              {"is-refused-application:telephonie", *cells("applications")}, "firewall", mend=RELOAD, seen_from=FINANCE),
    _sabotage("the LAN's IPv6 network is taken for a part of the Internet", GATEWAY,
              "nft flush set inet telekit local6", {"is-refused-application:telephonie", *cells("applications", "desktops")},
              "firewall", mend=RELOAD, seen_from=FINANCE),
    _sabotage("a laptop may go to SSH of a desktop", GATEWAY,
              f"nft add element inet telekit access4 '{{ {FRONT_IP} . 10.77.2.21 . tcp . 22 }}'", cells("desktops"), "firewall",
              mend=RELOAD, seen_from=FRONT),
    _sabotage("a port of the gateway is open to the tunnel", GATEWAY,
              "nft insert rule inet telekit tunnel_to_gateway tcp dport 443 accept", cells("the-gateway"), "firewall",
              mend=RELOAD, seen_from=FRONT),
    _sabotage("the gateway tells laptops no time", GATEWAY, "nft insert rule inet telekit tunnel_to_gateway udp dport 123 drop",
              cells("the-gateway"), "firewall", mend=RELOAD, seen_from=FRONT),
    _sabotage("a laptop may go to another by IPv6", GATEWAY,
              "nft insert rule inet telekit from_tunnel oifname wg0 meta nfproto ipv6 tcp dport 22 accept",
              cells("other-laptops"), "firewall", mend=RELOAD, seen_from=FRONT),
    _sabotage("the gateway keeps somebody on the Internet from laptops", GATEWAY,
              "nft insert rule inet telekit forward ip daddr 198.18.0.100 drop", cells("the-internet"), "firewall", mend=RELOAD,
              seen_from=FRONT),
    _sabotage("a laptop may use the town hall's addresses", GATEWAY,
              f"wg set wg0 peer $(wg show wg0 allowed-ips | grep -F {FRONT_IP}/ | cut -f 1) "
              "allowed-ips $(wg show wg0 allowed-ips | grep -F 10.177.0.3/ | cut -f 2 | tr ' ' ,),10.77.2.0/24",
              {"forged-sources-do-not-pass"}, "wg0", seen_from=FRONT),
    _sabotage("tunnel addresses are believed wherever they come from", GATEWAY,
              "nft flush chain inet telekit no_forged_sources", {FIREWALL, "drops-forged-tunnel-addresses"}, "firewall",
              mend=RELOAD),
    _sabotage("a profile that nobody has reaches nothing", GATEWAY,
              f"nft insert rule inet telekit forward ip saddr {GUEST_IP} drop", {FIREWALL, PROFILE}, "firewall", mend=RELOAD),
    _sabotage("an application's first packets are lost", GATEWAY, SLOW, {"answers-fast-enough"}, "",
              mend="nft delete table inet slow", seen_from=FINANCE),
    _sabotage("the way to an application is narrow", GATEWAY,
              "nft add table inet slow; nft add chain inet slow lose '{ type filter hook forward priority 10; }'; nft add rule "
              "inet slow lose ip daddr 10.77.1.11 limit rate over 20 kbytes/second burst 40 kbytes drop",
              {"carries-enough"}, "", mend="nft delete table inet slow", seen_from=FINANCE),
    _sabotage("the firewall's file was edited and not loaded", GATEWAY,
              "sed -i 's/policy drop/policy accept/' /etc/nftables.conf", {FIREWALL}, "firewall"),
    _sabotage("the gateway's firewall does not come back at boot", GATEWAY, "systemctl disable --quiet nftables", {FIREWALL},
              "firewall"),
    _sabotage("a stranger's key may open a tunnel", GATEWAY,
              "wg set wg0 peer $(wg genkey | wg pubkey) allowed-ips 10.177.0.99/32", {"peers-are-those-of-the-inventory"}, "wg0"),
    _sabotage("an agent's key is refused", GATEWAY, "wg set wg0 peer $(wg show wg0 peers | head -n 1) remove",
              {"peers-are-those-of-the-inventory"}, "wg0"),
    _sabotage("an agent's key has another's address", GATEWAY,
              "wg set wg0 peer $(wg show wg0 peers | head -n 1) allowed-ips 10.177.0.77/32",
              {"peers-are-those-of-the-inventory"}, "wg0"),
    _sabotage("the gateway does not forward", GATEWAY, "sysctl -qw net.ipv4.ip_forward=0",
              {"kernel-settings-are-in-force", PROFILE}, "Forward"),
    _kernel(GATEWAY, "net.ipv4.conf.all.accept_redirects", "1"),
    _kernel(GATEWAY, "net.ipv4.tcp_syncookies", "0"),
    _sabotage("the tunnel's resolver is stopped", GATEWAY, "systemctl stop unbound",
              {RUN, "resolves-for-the-tunnel", PROFILE}, "unbound"),
    _sabotage("the tunnel's resolver asks somebody else", GATEWAY,
              "sed -i 's/forward-addr: .*/forward-addr: 10.77.1.11/; s/stub-addr: .*/stub-addr: 10.77.1.11/' "
              "/etc/unbound/unbound.conf.d/telekit.conf; systemctl restart unbound", {"resolves-for-the-tunnel"}, "resolver"),
    _sabotage("no record of tunnels is kept", GATEWAY, "systemctl stop telekit-tunnel-record", {RUN}, "record"),
    _sabotage("everybody reads the record of tunnels", GATEWAY, "chmod -R a+rX /var/log/telekit",
              {"keeps-a-record-of-tunnels"}, "record", mend="chmod 600 /var/log/telekit/*"),
    _sabotage("accesses do not end by themselves", GATEWAY, "systemctl stop telekit-access.timer", {RUN}, "access"),
    _sabotage("the gateway's updates are off", GATEWAY, "systemctl mask --quiet --now apt-daily-upgrade.timer",
              {"updates-install-themselves", "no-unit-has-failed"}, "apt-daily-upgrade"),
    _sabotage("the journal is kept for ever", GATEWAY,
              "rm /etc/systemd/journald.conf.d/*telekit*; systemctl restart systemd-journald", {"journal-is-kept"}, "journal"),
    _sabotage("a program listens that nobody asked for", GATEWAY,
              "systemd-run --quiet --unit=stranger perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); "
              "bind(S, sockaddr_in(8080, INADDR_ANY)); listen(S, 5); sleep 600'; sleep 1",
              {"only-the-role-listens"}, "", mend="systemctl stop stranger"),
    _sabotage("a service has failed", GATEWAY, "systemd-run --quiet --unit=broken false; sleep 1", {"no-unit-has-failed"}, "",
              mend="systemctl reset-failed broken"),
    _sshd(GATEWAY),
)  # fmt: skip
ON_THE_DESKTOPS = (
    _sabotage("the desktop's firewall is gone", OWN, "nft flush ruleset", {FIREWALL, "is-closed-to-the-lan:gw-mairie"},
              "firewall", mend=RELOAD),
    _sabotage("the remote desktop is open to the LAN", OWN, "nft insert rule inet telekit input tcp dport 3389 accept",
              {FIREWALL, "is-closed-to-the-lan:gw-mairie"}, "firewall", mend=RELOAD),
    _sabotage("the remote desktop is stopped", OWN, "systemctl stop xrdp", {RUN, "speaks-tls-with-the-right-certificate"},
              "remote desktop"),
    _sabotage("the certificate is another's", OWN,
              "cd /etc/xrdp; c=$(sed -n 's/^certificate=//p' xrdp.ini); k=$(sed -n 's/^key_file=//p' xrdp.ini); "
              "cp -a $c $c.kept; cp -a $k $k.kept; openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=stranger "
              "-keyout $k.new -out $c.new 2>/dev/null; cat $k.new > $k; cat $c.new > $c; rm $k.new $c.new; "
              "systemctl restart xrdp",
              {"speaks-tls-with-the-right-certificate"}, "certificate",
              mend="cd /etc/xrdp; c=$(sed -n 's/^certificate=//p' xrdp.ini); k=$(sed -n 's/^key_file=//p' xrdp.ini); "
                   "mv $c.kept $c; mv $k.kept $k; systemctl restart xrdp"),
    _sabotage("RDP goes without TLS", OWN,
              "sed -i 's/^security_layer=.*/security_layer=negotiate/' /etc/xrdp/xrdp.ini; systemctl restart xrdp",
              {"speaks-tls-with-the-right-certificate"}, "settings"),
    _sabotage("an agent's account is locked", SHARED, "usermod --lock k.benali", {"accounts-are-those-of-the-inventory"},
              "account"),
    _sabotage("an agent's account has ended", SHARED, "usermod --expiredate 2020-01-01 k.benali",
              {"accounts-are-those-of-the-inventory"}, "account"),
    _sabotage("somebody else has an account", SHARED, "useradd -m -p x intrus", {"accounts-are-those-of-the-inventory"}, "",
              mend="userdel -rf intrus 2>/dev/null"),
    _sabotage("a stranger is an administrator", SHARED, "useradd -m -p x -G sudo intrus",
              {"agents-are-not-administrators", "accounts-are-those-of-the-inventory"}, "",
              mend="userdel -rf intrus 2>/dev/null"),
    _sabotage("an agent of the desktop is an administrator", OWN, "gpasswd -a m.durand sudo >/dev/null",
              {"agents-are-not-administrators"}, "account"),
    _sabotage("root has a twin", SHARED, "useradd -o -u 0 -M -p x toor", {"agents-are-not-administrators"}, "",
              mend="sed -i /^toor:/d /etc/passwd /etc/shadow; groupdel toor 2>/dev/null"),
    _sabotage("any password opens a session", SHARED,
              "cp /etc/pam.d/xrdp-sesman /root/sesman.kept; printf 'auth sufficient pam_permit.so\\n' > /etc/pam.d/new; "
              "cat /root/sesman.kept >> /etc/pam.d/new; mv /etc/pam.d/new /etc/pam.d/xrdp-sesman",
              {"refuses-a-wrong-password", "refuses-the-password-alone:bureau-partage-01"}, "what a session asks for",
              mend="mv /root/sesman.kept /etc/pam.d/xrdp-sesman", seen_from=FRONT),
    _sabotage("an agent comes in without a code", SHARED, "echo k.benali >> /etc/telekit/password-alone",
              {"required-codes-are-asked-for:required"}, "no second factor"),
    _sabotage("a second factor is for everybody to read", SHARED, "chmod 644 /etc/telekit/totp/k.benali",
              {"required-codes-are-asked-for:required"}, "second factors"),
    _kernel(OWN, "net.ipv4.conf.all.accept_source_route", "1"),
    _sabotage("the desktop's clock is its own", OWN, "systemctl stop chrony", {RUN}, "chrony"),
    _sshd(OWN),
    _sabotage("another file opens SSH of a desktop to passwords", SHARED,
              "printf 'PasswordAuthentication yes\\nAuthenticationMethods any\\n' > /etc/ssh/sshd_config.d/00-cloud.conf; "
              f"{SSH_AGAIN}",
              {"refuses-passwords-over-ssh"}, "Refuse passwords",
              mend=f"rm /etc/ssh/sshd_config.d/00-cloud.conf; {SSH_AGAIN}"),
)  # fmt: skip
ON_THE_LAPTOPS = (
    _sabotage("the laptop's firewall is gone", FINANCE, "nft flush ruleset", {FIREWALL, *LEAKS}, "firewall", mend=RELOAD),
    _sabotage("a laptop lets IPv6 out", FRONT, "nft insert rule inet telekit output meta nfproto ipv6 accept",
              {FIREWALL, *LEAKS}, "firewall", mend=RELOAD),
    _sabotage("a laptop asks its neighbours for names", FRONT, "nft insert rule inet telekit output udp dport 5353 accept",
              {FIREWALL, *LEAKS}, "firewall", mend=RELOAD),
    _sabotage("a home network hides a part of the town hall", FRONT,
              "ip rule delete priority 5002; ip route add 10.77.9.0/24 dev eth0", {"the-town-hall-is-not-hidden"}, "",
              mend="ip route delete 10.77.9.0/24 dev eth0; systemctl restart wg-quick@wg0; sleep 2"),
    _sabotage("the laptop lets everything out", FRONT, "nft insert rule inet telekit output accept", {FIREWALL, *LEAKS},
              "firewall", mend=RELOAD),
    _sabotage("on-access scanning is stopped", FINANCE, "systemctl mask --quiet --runtime --now clamav-clamonacc",
              {RUN, "blocks-an-infected-file", "puts-it-into-quarantine"}, "antivirus on every access"),
    _sabotage("the antivirus daemon is stopped", FINANCE, "systemctl stop clamav-daemon.socket clamav-daemon",
              {RUN, "blocks-an-infected-file", "puts-it-into-quarantine", "no-unit-has-failed"}, "Run the antivirus"),
    _sabotage("homes are not scanned on access", FINANCE,
              "sed -i '/^OnAccess.*Path/s#/home#/opt#' /etc/clamav/clamd.conf; "
              "systemctl restart clamav-daemon; sleep 5; systemctl restart clamav-clamonacc; sleep 3",
              {"blocks-an-infected-file", "puts-it-into-quarantine"}, "clamd"),
    _sabotage("the signatures are old", FINANCE,
              "systemctl stop clamav-freshclam; touch -d '-40 days' /var/lib/clamav/*", {RUN, "has-recent-signatures"},
              "signatures", mend="touch /var/lib/clamav/*"),
    _sabotage("the agent reaches the quarantine", FINANCE,
              "chmod 777 /var/lib/telekit/quarantine; chmod 755 /var/lib/telekit", {"puts-it-into-quarantine"}, "quarantine",
              mend="chmod 700 /var/lib/telekit/quarantine"),
    _sabotage("nothing is scanned any more", FINANCE, "systemctl disable --quiet --now telekit-scan.timer",
              {"scans-every-week"}, "scan"),
    _sabotage("names are asked of somebody else", FRONT,
              "sed -i 's/^DNS=.*/DNS=10.77.1.11/' /etc/systemd/resolved.conf.d/telekit.conf; systemctl restart systemd-resolved",
              {"resolves-internal-names", "opens-the-desktop"}, "resolver"),
    _sabotage("the tunnel's packets are small", FRONT, "ip link set wg0 mtu 1280", {"carries-full-size"}, "",
              mend="systemctl restart wg-quick@wg0; sleep 2"),
    _sabotage("the commune's authority is not trusted", FINANCE,
              "rm /usr/local/share/ca-certificates/telekit.crt; update-ca-certificates --fresh >/dev/null",
              {"opens-the-desktop"}, "authority"),
    _sabotage("the agent of the laptop is an administrator", FRONT, "gpasswd -a k.benali sudo >/dev/null",
              {"agents-are-not-administrators"}, "account"),
    _sabotage("the endpoint's name is not followed", FRONT, "systemctl stop telekit-endpoint.timer", {RUN},
              "search for the gateway"),
    _sshd(FRONT),
)  # fmt: skip
ALL = (*ON_THE_GATEWAY, *ON_THE_DESKTOPS, *ON_THE_LAPTOPS)


def run(town, machine: str, script: str) -> None:
    done = town.lab.machine(machine).run(["bash", "-c", f"set -e\n{script}"], timeout=120)
    assert done.returncode == 0, done.stderr


def failing(town, machine: str) -> set[str]:
    done = town.telekit("verify", "--only", machine, "--json", check=False)
    (found,) = [m for m in json.loads(done.stdout)["machines"] if m["name"] == machine]
    return {check["check"] for check in found["checks"] if check["outcome"] == "failed"}


def drift(town, machine: str) -> list[str]:
    done = town.telekit("drift", "--only", machine, "--json", check=False)
    (found,) = json.loads(done.stdout)["machines"]
    return [change["name"] for change in found["changes"]]


@pytest.fixture(scope="module")
def whole(provisioned):
    """The town, without anything that fails before it is broken."""
    provisioned.telekit("provision", "--yes")
    return provisioned


@pytest.mark.parametrize("sabotage", ALL, ids=[sabotage.name for sabotage in ALL])
def test_what_is_broken_is_noticed_by_the_right_checks_and_named_by_drift(whole, sabotage: Sabotage):
    try:
        run(whole, sabotage.machine, sabotage.harm)
        named = drift(whole, sabotage.machine)  # first: a check that stops the tunnel and starts it mends some of it
        assert failing(whole, sabotage.seen_from) - sabotage.perhaps == sabotage.failing
        assert any(sabotage.drift.lower() in name.lower() for name in named) if sabotage.drift else not named
    finally:
        run(whole, sabotage.machine, sabotage.mend)
        whole.telekit("provision", "--yes", "--only", sabotage.machine)
