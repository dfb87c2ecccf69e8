"""The first meeting with a machine: somebody compares its fingerprint, and from then on no other key is accepted."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from toolkit import journal
from toolkit.errors import TelekitError
from toolkit.knownhosts import FILE, HostKey, KnownHosts
from toolkit.model import Machine, SshAddress
from toolkit.result import MachineReport, Result, State, counted
from toolkit.targets import HOMELESS, Job, ssh_of

SECONDS = 10.0
# What it would log is told as a machine's reason.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
REPLACE_HINT = "somebody is in between, or it was installed anew; if you know that it was: telekit trust --replace"


@dataclass(frozen=True)
class Meeting:
    """A machine, the key that it shows now, and the keys pinned before."""

    machine: Machine
    address: SshAddress
    shown: HostKey
    pinned: tuple[HostKey, ...]
    twins: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        return self.shown in self.pinned

    @property
    def changed(self) -> bool:
        return bool(self.pinned) and not self.known


# Shown a meeting: is it the machine that it says it is?
Judge = Callable[[Meeting], bool]
# Makes the administrator's account on a machine whose key is pinned; raises TelekitError.
Bootstrap = Callable[[Meeting], None]


def trust(job: Job, judge: Judge, *, replacing: bool = False, bootstrap: Bootstrap | None = None) -> Result:
    """Meet every machine, pin the keys that `judge` accepts; a changed key is refused unless `replacing`."""
    key = job.identities[0] if job.identities else None
    with journal.run(job.folder, "trust", job.commune.slug, selected=job.names, key=key) as run:
        hosts = KnownHosts(job.folder / FILE)
        met = meet(job, hosts)
        reports = []
        for machine in job.machines:
            report = _judged(met[machine.name], hosts, judge, replacing=replacing)
            reports.append(_bootstrapped(report, met[machine.name], bootstrap))
        result = _result(job, tuple(reports))
        run.finish(result)
        return result


def meet(job: Job, hosts: KnownHosts) -> dict[str, Meeting | MachineReport]:
    """Machine name → the key it shows, or why it shows none; all side by side."""
    with ThreadPoolExecutor(min(job.parallel, len(job.machines))) as pool:
        return dict(zip(job.names, pool.map(lambda machine: _meet(machine, hosts), job.machines), strict=True))


def _meet(machine: Machine, hosts: KnownHosts) -> Meeting | MachineReport:
    address = ssh_of(machine)
    if address is None:
        return MachineReport(machine.name, str(machine.role), State.UNREACHABLE, HOMELESS)
    pinned = hosts.keys(address)
    try:
        shown = offered(address, [key.kind for key in pinned])
    except TelekitError as error:
        return MachineReport(machine.name, str(machine.role), State.UNREACHABLE, error.problem.what)
    return Meeting(machine, address, shown, pinned)


def offered(address: SshAddress, kinds: Sequence[str] = ()) -> HostKey:
    """The host key that answers at an address, of these kinds where the machine has one."""
    import paramiko

    try:
        with socket.create_connection((address.host, address.port), SECONDS) as link, paramiko.Transport(link) as transport:
            security = transport.get_security_options()
            wanted = [kind for kind in security.key_types if _family(kind) in {_family(k) for k in kinds}]
            security.key_types = tuple(wanted + [kind for kind in security.key_types if kind not in wanted])
            transport.start_client(timeout=SECONDS)
            key = transport.get_remote_server_key()
            return HostKey(key.get_name(), key.get_base64())
    except (TimeoutError, EOFError) as error:
        raise TelekitError(f"no answer from {address} in {SECONDS:.0f} s") from error
    except (OSError, paramiko.SSHException) as error:
        raise TelekitError(f"{address}: {_reason(error)}") from error


def _family(kind: str) -> str:
    """rsa-sha2-512 and rsa-sha2-256 are ways to use an ssh-rsa key."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind


def _reason(error: Exception) -> str:
    if "banner" in str(error):
        return "what answers there does not speak SSH (is the machine still starting?)"
    said = getattr(error, "strerror", None) or str(error)
    return str(said).lower() or type(error).__name__


def _judged(met: Meeting | MachineReport, hosts: KnownHosts, judge: Judge, *, replacing: bool) -> MachineReport:
    if isinstance(met, MachineReport):
        return met
    details = {"address": str(met.address), "fingerprint": met.shown.fingerprint, "key_type": met.shown.kind}
    report = MachineReport(met.machine.name, str(met.machine.role), State.TRUSTED, met.shown.fingerprint, details=details)
    if met.known:
        return report
    if met.changed and not replacing:
        pinned = ", ".join(map(str, met.pinned))
        reason = f"THE HOST KEY HAS CHANGED\nit shows {met.shown}\npinned is {pinned}\n{REPLACE_HINT}"
        return replace(report, state=State.KEY_CHANGED, reason=reason)
    try:
        accepted = judge(replace(met, twins=hosts.owners(met.shown)))
    except TelekitError as error:
        return replace(report, state=State.FAILED, reason=error.problem.what)
    if not accepted:
        return replace(report, state=State.UNTRUSTED, reason=f"it shows {met.shown}")
    # Each key is kept at once: an interrupted round loses none that was compared.
    hosts.pin(met.address, met.shown)
    hosts.save()
    return replace(report, state=State.PINNED)


def _bootstrapped(report: MachineReport, met: Meeting | MachineReport, bootstrap: Bootstrap | None) -> MachineReport:
    if bootstrap is None or isinstance(met, MachineReport) or report.state not in (State.PINNED, State.TRUSTED):
        return report
    try:
        bootstrap(met)
    except TelekitError as error:
        return replace(report, state=State.FAILED, reason=str(error.problem))
    return replace(report, details={**report.details, "bootstrapped": True}, reason=f"{report.reason}, account ready")


def expecting(fingerprint: str) -> Judge:
    """For scripts: accept the one key whose fingerprint is already known, and raise at any other."""
    wanted = (fingerprint if fingerprint.startswith("SHA256:") else f"SHA256:{fingerprint}").rstrip("=")

    def judge(met: Meeting) -> bool:
        if met.shown.fingerprint != wanted:
            raise TelekitError(f"THIS IS NOT THE EXPECTED KEY\nit shows {met.shown}\nexpected {wanted}")
        return True

    return judge


def _result(job: Job, reports: tuple[MachineReport, ...]) -> Result:
    result = Result("trust", job.commune.slug, reports)
    words = {State.PINNED: "pinned now", State.TRUSTED: "already trusted", State.KEY_CHANGED: "with a changed key"}
    order = (State.PINNED, State.TRUSTED, State.UNTRUSTED, State.KEY_CHANGED, State.FAILED, State.UNREACHABLE)
    first, *others = [(result.count(state), words.get(state, str(state))) for state in order if result.count(state)]
    closing = ", ".join([f"{counted(first[0], 'machine')} {first[1]}", *(f"{n} {word}" for n, word in others)]) + "."
    following = f"telekit plan --commune {job.commune.slug}"
    if result.troubled:
        new = next((r for r in reports if r.state is State.UNTRUSTED), None)
        trusting = f"telekit trust --commune {job.commune.slug}"
        following = f"{trusting} --only {new.name} --fingerprint {new.details['fingerprint']}" if new else ""
    return replace(result, closing=closing, next=following, exit_code=int(result.troubled))
