"""What every machine of the town hall has in common, whatever its role."""

from __future__ import annotations

import re

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.subject import Subject
from toolkit.model import Role

ROTATION = {"month": 30.44, "day": 1.0, "week": 7.0, "year": 365.25}
# Settings that a machine must have whatever wrote them; the kernel in use is asked, not a file.
KERNEL = {
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv6.conf.all.accept_redirects": "0",
}
SERVICES = {
    Role.GATEWAY: (
        "ssh",
        "wg-quick@wg0",
        "telekit-access.timer",
        "telekit-tunnel-record",
        "unbound",
        "chrony",
        "systemd-journald",
    ),
    Role.DESKTOP: ("ssh", "xrdp", "xrdp-sesman", "chrony", "systemd-journald"),
    Role.LAPTOP: (
        "ssh",
        "wg-quick@wg0",
        "telekit-endpoint.timer",
        "systemd-resolved",
        "clamav-daemon",
        "clamav-clamonacc",
        "clamav-freshclam",
        "chrony",
        "systemd-journald",
    ),
}
# How long a clock may take that has just been told whom to follow.
CLOCK_SECONDS = 20
# What may listen beyond the loopback, by program: anything else is a door that nobody asked for.
LISTENERS = {
    Role.GATEWAY: {"sshd", "unbound", "chronyd", "wireguard-go"},
    Role.DESKTOP: {"sshd", "xrdp"},
    Role.LAPTOP: {"sshd", "wireguard-go", "dhcpcd", "dhclient", "NetworkManager", "systemd-network"},
}


@check(
    Theme.BASELINE,
    "SSH refuses passwords",
    titre="L’accès d’administration (SSH) refuse les mots de passe",
    tried="opening an SSH session on {machine} with passwords alone",
    expected="refused before any password is asked for",
    fix="telekit provision; sshd -T shows what is in force, and a file of /etc/ssh/sshd_config.d that sorts first wins",
)
def test_refuses_passwords_over_ssh(subject: Subject) -> str:
    done = subject.run(
        "port=$(sshd -T 2>/dev/null | awk '$1 == \"port\" {print $2; exit}')\n"
        'ssh -F none -p "${port:-22}" -o BatchMode=yes -o PubkeyAuthentication=no -o StrictHostKeyChecking=no -o LogLevel=ERROR '
        "-o UserKnownHostsFile=/dev/null -o PreferredAuthentications=password,keyboard-interactive "
        f"-o ConnectTimeout=5 {subject.commune.admin_user}@127.0.0.1 true 2>&1"
    )
    said = done.stdout.strip()
    assert "Permission denied (" in said, said or "the session was opened"
    methods = said.rpartition("(")[2].rstrip(").").split(",")
    assert methods == ["publickey"], f"it offers {', '.join(methods)}"
    return "publickey alone is offered"


@check(
    Theme.BASELINE,
    "The firewall in force is the one that is loaded at boot, and it refuses what it does not know",
    titre="Le pare-feu actif est celui qui sera chargé au démarrage, et refuse ce qu’il ne connaît pas",
    tried="loading /etc/nftables.conf of {machine} into an empty network of its own, and comparing with the rules in force",
    expected="the same rules; input and forward drop what no rule accepts; nftables.service is enabled",
    fix="telekit provision; who changed it? journalctl _COMM=sudo on the machine",
)
def test_firewall_is_the_one_of_the_boot(subject: Subject) -> str:
    show = "nft -s list table inet telekit"
    stored, running = subject.output(
        f"unshare -n sh -ec 'ip link set lo up; nft -f /etc/nftables.conf; {show}' 2>&1 || echo nothing can be loaded\n"
        f"echo @@@\n{show} 2>&1 || true\nsystemctl is-enabled nftables >/dev/null || echo nftables.service is not enabled\n"
    ).split("@@@\n")
    assert "hook input" in running, f"no rules in force: {running.strip()[:200]}"
    assert running.count("policy drop") >= 1, "the policy is to accept"
    different = sorted(set(_rules(running)) ^ set(_rules(stored)))
    assert not different, f"{len(different)} lines differ, the first: {different[0]}"
    return f"{len(_rules(running))} lines in force, the same as at boot"


def _rules(ruleset: str) -> list[str]:
    """The lines of a ruleset; elements that come and go by themselves are no part of it."""
    ruleset = re.sub(r"(\tset (?:varying|second)_\w+ \{\n)(?:\t\t.*\n)*", r"\1", ruleset)
    return [line.strip() for line in ruleset.splitlines() if line.strip() and "expires" not in line]


@check(
    Theme.BASELINE,
    "The clock is synchronised",
    titre="L’horloge est synchronisée",
    tried="asking chrony on {machine} whether it follows a source",
    expected="a source, and less than a second of difference",
    fix="chronyc sources on the machine; [network] ntp in commune.toml",
)
def test_clock_is_synchronised(subject: Subject) -> str:
    if subject.run("systemd-detect-virt --quiet --container").code == 0:
        raise NotCheckedError("the machine is a container: its clock is the computer's")
    # After a start, or once the tunnel stands, chrony needs a few answers.
    tries = round(CLOCK_SECONDS * subject.evidence.patience)
    told = subject.output(f"chronyc -n waitsync {tries} 1 0 1 >/dev/null; chronyc -n -c tracking; chronyc -n -c sources")
    tracking, *sources = (line.split(",") for line in told.splitlines())
    asked = ", ".join(f"{source[2]} {'answers' if source[5] != '0' else 'is silent'}" for source in sources)
    assert tracking[-1] == "Normal", f"chrony says {tracking[-1]}; {asked or 'it knows nobody to ask'}"
    assert abs(float(tracking[4])) < 1, f"{tracking[4]} s of difference"
    return f"follows {tracking[1]}, {abs(float(tracking[4])) * 1000:.1f} ms of difference"


@check(
    Theme.BASELINE,
    "Security updates install themselves",
    titre="Les mises à jour de sécurité s’installent d’elles-mêmes",
    tried="asking systemd on {machine} for the timers of updates, and apt for what they do",
    expected="both timers are active, and unattended-upgrades takes security updates",
    fix="telekit provision; systemctl unmask apt-daily.timer apt-daily-upgrade.timer",
)
def test_updates_install_themselves(subject: Subject) -> str:
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert subject.host.service(timer).is_running, f"{timer} does not run"
    assert subject.host.package("unattended-upgrades").is_installed, "unattended-upgrades is not installed"
    dump = subject.output("apt-config dump | grep -E 'Periodic::(Update-Package-Lists|Unattended-Upgrade) |Origins-Pattern::'")
    assert 'Unattended-Upgrade "1"' in dump, "they are not applied daily"
    assert "Debian-Security" in dump, "security updates are not among them"
    return "daily, security updates among them"


@check(
    Theme.BASELINE,
    "The journal survives a reboot and is kept as long as the town hall decided",
    titre="Le journal survit au redémarrage et est conservé le temps prévu",
    tried="looking for the journal on the disk of {machine}, writing a line, reading it back, and asking how long it is kept",
    expected="it is on the disk, and kept [policy] journal_months",
    fix="telekit provision; systemd-analyze cat-config systemd/journald.conf shows what wins",
)
def test_journal_is_kept(subject: Subject) -> str:
    # Before systemd 258, --sync waits for what the daemon has read, not for what it has been sent.
    seen = subject.output(
        # Not the process's number: the machine may have used it for another verify before it was restarted.
        "read -r mark < /proc/sys/kernel/random/uuid\nlogger -t telekit-verify $mark\n"
        "arrived() { journalctl -q -D /var/log/journal -t telekit-verify --since -5min -o cat | grep -c $mark; }\n"
        'for i in $(seq 20); do journalctl --sync; [ "$(arrived)" = 0 ] || break; sleep 0.25; done\narrived\n'
        "systemd-analyze cat-config systemd/journald.conf | sed -n 's/^MaxRetentionSec=//p' | tail -n 1\n"
    ).split()
    assert seen[0] == "1", "what is written does not arrive in /var/log/journal"
    assert len(seen) > 1, "no limit is set: personal data would be kept for ever"
    months = _days(seen[1]) / ROTATION["month"]
    wanted = subject.commune.policy.journal_months
    assert abs(months - wanted) < 0.2, f"kept {months:.1f} months, not {wanted}"
    return f"on the disk, kept {wanted} months"


def _days(span: str) -> float:
    """Days of a span of one unit as in journald.conf: 12month, 365day."""
    number = span.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * ROTATION.get(span[len(number) :].rstrip("s"), 0.0)


@check(
    Theme.BASELINE,
    "The kernel refuses redirects and forged routes",
    titre="Le noyau refuse les redirections et les routes imposées",
    tried="reading the settings in force on {machine}",
    expected="; ".join(f"{key} = {value}" for key, value in KERNEL.items()),
    fix="telekit provision; sysctl --system, and look for a file that sorts later in /etc/sysctl.d",
)
def test_kernel_settings_are_in_force(subject: Subject) -> str:
    wanted = dict(KERNEL)
    if subject.machine.role is Role.GATEWAY:
        wanted["net.ipv4.ip_forward"] = "1"
        if subject.commune.network.tunnel6:
            wanted["net.ipv6.conf.all.forwarding"] = "1"
    paths = {key: f"/proc/sys/{key.replace('.', '/')}" for key in wanted}
    values = subject.output(f"cat {' '.join(paths.values())}").split()
    wrong = [f"{key} = {found}, not {wanted[key]}" for key, found in zip(wanted, values, strict=True) if found != wanted[key]]
    assert not wrong, "; ".join(wrong)
    return f"{len(wanted)} settings"


# An interface of the kernel's own WireGuard has this kind; wireguard-go's is a tun.
CARRIER = "ip -o link show type wireguard | grep -q ': wg0:' && echo \"the kernel's own\" || echo wireguard-go, a program"


@check(
    Theme.BASELINE,
    "Every service of the role runs, and starts at boot",
    titre="Tous les services du rôle fonctionnent, et démarrent avec la machine",
    tried="asking systemd on {machine}",
    expected="active and enabled",
    fix="systemctl status and journalctl -u on the machine; telekit provision",
)
def test_services_run(subject: Subject) -> str:
    units = SERVICES[Role(subject.machine.role)]
    shown = subject.output(f"for u in {' '.join(units)}; do echo $u $(systemctl is-active $u) $(systemctl is-enabled $u); done")
    wrong = [line for line in shown.splitlines() if not _good(*line.split()[1:3])]
    assert not wrong, "; ".join(wrong)
    carrier = f"; WireGuard is {subject.output(CARRIER).strip()}" if "wg-quick@wg0" in units else ""
    return ", ".join(units) + carrier


def _good(active: str, enabled: str = "") -> bool:
    return active == "active" and enabled in ("enabled", "static", "indirect", "alias", "generated")


@check(
    Theme.BASELINE,
    "No service has failed",
    titre="Aucun service n’est en panne",
    tried="asking systemd on {machine} for units that failed",
    expected="none",
    fix="systemctl status and journalctl -u on the machine say why",
)
def test_no_unit_has_failed(subject: Subject) -> str:
    failed = subject.output("systemctl list-units --failed --plain --no-legend --no-pager").split("\n")
    names = [line.split()[0] for line in failed if line.strip()]
    assert not names, ", ".join(names)
    return "none"


@check(
    Theme.BASELINE,
    "Only the programs of the role listen on the network",
    titre="Seuls les programmes du rôle écoutent sur le réseau",
    tried="listing what listens on {machine} beyond the loopback",
    expected="only the programs of its role",
    fix="systemctl disable --now what is not needed, or remove its package",
)
def test_only_the_role_listens(subject: Subject) -> str:
    allowed = LISTENERS[Role(subject.machine.role)]
    found, strange = set(), []
    for line in subject.output("ss -Hlntup").splitlines():
        kind, _, _, _, address, *rest = line.split()
        program = rest[-1].split('"')[1] if rest and '"' in rest[-1] else "the kernel"
        # WireGuard in the kernel has a port and no program.
        if _loopback(address) or program == "the kernel":
            continue
        found.add(program)
        if program not in allowed and not (program == "systemd" and address.endswith(":22")):
            strange.append(f"{program} at {address}/{kind}")
    assert not strange, ", ".join(strange)
    return ", ".join(sorted(found))


def _loopback(address: str) -> bool:
    return address.startswith(("127.", "[::1]", "::1")) or "%lo:" in address


@check(
    Theme.BASELINE,
    "Nobody but the administrators is an administrator",
    titre="Personne d’autre que les administrateurs n’a les droits d’administration",
    tried="asking sudo on {machine} what each person's account may do, and looking for other accounts with root's number",
    expected="nothing",
    fix="take the account out of the groups sudo, adm and root, and its line out of /etc/sudoers.d; telekit provision",
)
def test_agents_are_not_administrators(subject: Subject) -> str:
    script = (
        'awk -F: \'$3 == 0 && $1 != "root" {print "root " $1}\' /etc/passwd\n'
        f"for u in $(awk -F: '$3 >= 1000 && $3 < 60000 && $1 != \"{subject.commune.admin_user}\" {{print $1}}' /etc/passwd); do\n"
        "  echo person $u\n"
        "  sudo -n -l -U $u 2>/dev/null | grep -q 'may run the following' && echo sudo $u\n"
        "  id -nG $u | tr ' ' '\\n' | grep -xE 'sudo|root|adm|disk|docker|lxd|shadow' | sed \"s/^/group $u /\"\n"
        "done\ntrue\n"
    )
    lines = subject.output(script).splitlines()
    people = [line.split()[1] for line in lines if line.startswith("person ")]
    wrong = [line for line in lines if not line.startswith("person ")]
    assert not wrong, "; ".join(wrong)
    return f"{len(people)} accounts of people, none may do more than its own work"
