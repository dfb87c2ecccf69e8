"""A desktop from its own side: who may come, and over what."""

from __future__ import annotations

from toolkit.checks.declare import Case, NotCheckedError, Theme, check
from toolkit.checks.probe import Door, knock
from toolkit.checks.rdp import TLS
from toolkit.checks.subject import Subject
from toolkit.model import RDP_PORT, Agent, Desktop, Gateway, Machine, SecondFactor


@check(
    Theme.DESKTOP,
    "The agents of the desktop, and nobody else, have an account on it",
    titre="Les agents du poste, et eux seuls, y ont un compte",
    tried="listing the accounts of people on {machine} that are neither locked nor past their end",
    expected="those of the agents whom the inventory gives this desktop, and the administrator's",
    fix="telekit provision; an account of your own making is yours to remove",
)
def test_accounts_are_those_of_the_inventory(subject: Subject) -> str:
    wanted = {agent.identifier for agent in subject.commune.agents_of(subject.desktop)}
    script = (
        f"for u in $(awk -F: '$3 >= 1000 && $3 < 60000 && $1 != \"{subject.commune.admin_user}\" {{print $1}}' /etc/passwd); do\n"
        "  ends=$(getent shadow $u | cut -d : -f 8)\n"
        "  case $(passwd -S $u | cut -d ' ' -f 2) in\n"
        '    P*) [ "${ends:-99999}" -gt $(($(date +%s) / 86400)) ] && echo $u ;;\n  esac\ndone\ntrue\n'
    )
    found = set(subject.output(script).split())
    assert not wanted - found, f"no account for {', '.join(sorted(wanted - found))}"
    assert not found - wanted, f"an account for {', '.join(sorted(found - wanted))}, who does not work here"
    return ", ".join(sorted(found)) or "no agent"


def _neighbours(subject: Subject) -> list[Case]:
    others: list[Machine] = [*subject.commune.gateways, *subject.commune.desktops]
    return [Case(m.name, m.name, m) for m in others if m.name != subject.name][:3]


@check(
    Theme.DESKTOP,
    "Remote desktop of the desktop is closed to {case}, on the LAN",
    titre="Le bureau à distance de ce poste est fermé à {case}, sur le réseau de la mairie",
    tried=f"connecting to port {RDP_PORT} of {{machine}} from {{case}}, which is no laptop of its agents",
    expected="no answer",
    fix="telekit provision, for the desktop's firewall",
    cases=_neighbours,
)
def test_is_closed_to_the_lan(subject: Subject, case: Case) -> str:
    assert isinstance(case.value, Gateway | Desktop)
    if isinstance(case.value, Gateway) and subject.commune.gateway.nat:
        raise NotCheckedError("the gateway hides the tunnel's addresses behind its own: the desktop cannot tell them apart")
    door = Door("tcp", subject.desktop.address, RDP_PORT)
    answer = knock(subject.other(case.value), [door])[door]
    assert not answer.open, f"{door} answers"
    return str(answer)


@check(
    Theme.DESKTOP,
    "The remote desktop speaks TLS 1.2 or later, with a certificate of the commune's authority",
    titre="Le bureau à distance parle TLS 1.2 ou plus, avec un certificat de l’autorité de la mairie",
    tried="reading what xrdp of {machine} presents, and checking it against the commune's authority",
    expected="a certificate that verifies, for this name, with more than a week to live; neither older TLS nor plain RDP",
    fix="telekit provision issues a new certificate",
)
def test_speaks_tls_with_the_right_certificate(subject: Subject) -> str:
    if not (subject.commune.authority and subject.desktop.certificate):
        raise NotCheckedError("no certificate is known yet: telekit provision issues one")
    name = subject.commune.domain_name(subject.name)
    # Two while the authority is being replaced, as on the laptops.
    trusted = "\n".join(pem.strip() for pem in (subject.commune.authority, subject.commune.next_authority) if pem)
    done = subject.run(TLS.format(authority=trusted, name=name, port=RDP_PORT))
    seen = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert "verify" in seen, f"xrdp presented nothing: {(done.stderr or done.stdout).strip()[-200:]}"
    assert seen["verify"].startswith("OK"), seen["verify"]
    assert seen["week"] == "yes", f"it ends at {seen['end']}"
    assert seen["old"] == "refused", "TLS 1.1 is accepted"
    assert seen["plain"] == "refused", "RDP without TLS is accepted"
    return f"{seen['version']}, until {seen['end']}"


def _required(subject: Subject) -> list[Agent]:
    commune = subject.commune
    return [a for a in commune.agents_of(subject.desktop) if commune.second_factor_of(a) is SecondFactor.REQUIRED]


@check(
    Theme.DESKTOP,
    "Agents of whom a code is required have a second factor, and no way around it",
    titre="Les agents à qui un code est demandé ont un second facteur, sans moyen de s’en passer",
    tried="reading what {machine} asks for before a remote session, and of whom",
    expected="the module that asks for a code; a secret for each of them, for root alone; none of them among the exceptions",
    fix="telekit provision",
    cases=lambda subject: [Case("required", "")] if _required(subject) else [],
)
def test_required_codes_are_asked_for(subject: Subject, case: Case) -> str:
    names = [agent.identifier for agent in _required(subject)]
    script = (
        "grep -Eq '^auth +required +pam_google_authenticator' /etc/pam.d/xrdp-sesman || echo 'no code is asked for'\n"
        "grep -q nullok /etc/pam.d/xrdp-sesman && echo 'a missing secret opens'\n"
        f"for name in {' '.join(names)}; do\n"
        '  [ "$(stat -c %U:%a /etc/telekit/totp/$name 2>/dev/null)" = root:400 ] || echo "$name has no secret of root\'s alone"\n'
        '  grep -qxF "$name" /etc/telekit/password-alone && echo "$name comes in without a code"\ndone\ntrue\n'
    )
    found = subject.output(script).splitlines()
    assert not found, "; ".join(found)
    return ", ".join(names)
