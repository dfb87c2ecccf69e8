"""How a commune is now: machines, tunnels, ages and ends; aggregates and devices, never anybody's hours of work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from toolkit import journal, ledger
from toolkit.behind import behind, ready, unready
from toolkit.enrolment import Enrolment
from toolkit.ledger import AuthorityChange, Rotation, Succession
from toolkit.model import Agent, Commune, Derogation, Desktop, Extra, Gateway, Laptop, Machine
from toolkit.result import MachineReport, Observer, Result, State, counted
from toolkit.targets import HOMELESS, Job, targets_of
from toolkit.unfinished import Unfinished, unfinished
from toolkit.watch import Watch

DAY = 86400
# A live tunnel renews its keys every two minutes; after three WireGuard itself gives the session up.
OPEN_SECONDS = 180
OPEN, WEEK, LONGER, NEVER = "open", "this week", "longer ago", "never"

SCRIPT = r"""
if [ -e /run/reboot-required ]; then echo reboot=yes; fi
systemctl list-units --failed --plain --no-legend 2>/dev/null | awk '{print "failed=" $1}'
df -Pk / /var | awk 'NR > 1 {sub("%", "", $5); print "disk=" $5}' | sort -t= -k2 -n | tail -n 1
for file in /etc/wireguard/wg0.conf /etc/wireguard/wg0-next.conf; do
  [ ! -e $file ] || wg show "$(basename $file .conf)" latest-handshakes 2>/dev/null | awk '{print "handshake=" $1 " " $2}'
done
if [ -e /var/lib/telekit/moved ]; then sed 's/^/moved=/' /var/lib/telekit/moved; fi
find /var/lib/clamav -maxdepth 1 -type f \( -name '*.c[lv]d' -o -name '*.[hnlm]db' -o -name '*.hsb' \) \
  -printf 'signatures=%T@\n' 2>/dev/null | sort -t= -k2 -n | tail -n 1
echo "clock=$(date +%s)"
"""


@dataclass(frozen=True)
class Answer:
    """What one machine said, by its own clock."""

    clock: float
    reboot: bool = False
    failed: tuple[str, ...] = ()
    disk_percent: int = 0
    signatures: float | None = None
    handshakes: Mapping[str, float] | None = None
    moved: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Answer | None:
        """None: the script did not reach its end."""
        said: dict[str, list[str]] = {}
        for line in text.splitlines():
            key, _, value = line.partition("=")
            said.setdefault(key, []).append(value)
        if "clock" not in said:
            return None
        # A device may be at both interfaces of a gateway whose own key changes.
        pairs = sorted((key, float(moment)) for key, moment in map(str.split, said.get("handshake", ())))
        return cls(
            float(said["clock"][0]),
            reboot="reboot" in said,
            failed=tuple(said.get("failed", ())),
            disk_percent=int(said.get("disk", ["0"])[0]),
            signatures=float(said["signatures"][0]) if "signatures" in said else None,
            handshakes=dict(pairs),
            moved=frozenset(said.get("moved", ())),
        )


def status(job: Job, observer: Observer) -> Result:
    """Ask every machine once, and read the ledger and the journal."""
    from toolkit.engine import Session

    job, watch = Enrolment(job).job, Watch(observer)
    data: dict[str, dict[str, object]] = {name: {} for name in job.names}
    with Session(targets_of(job, data), job.options(), watch.emit) as session:
        watch.phase("Asking", job.names, last=False)
        session.connect()
        said = session.run_all(lambda _: SCRIPT, seconds=30, reads_only=True)
        silent = dict.fromkeys(job.names, HOMELESS) | dict(session.unreachable)
    answers = {name: Answer.parse(done.stdout) for name, done in said.items()}
    return Picture(job, answers, silent).result()


def moved(job: Job, observer: Observer) -> frozenset[str] | None:
    """The public keys of the devices that use the gateway's next key; None: it could not be asked."""
    from toolkit.engine import Session

    watch = Watch(observer)
    job = replace(Enrolment(job).job, machines=job.commune.gateways)
    with Session(targets_of(job, {name: {} for name in job.names}), job.options(), watch.emit) as session:
        watch.phase("Asking", job.names, last=False)
        session.connect()
        said = session.run_all(lambda _: SCRIPT, seconds=30, reads_only=True)
    answers = [Answer.parse(said[name].stdout) if name in said else None for name in job.names]
    return frozenset(key for answer in answers if answer for key in answer.moved) if all(answers) else None


class Picture:
    """Everything that is known, put together."""

    def __init__(self, job: Job, answers: Mapping[str, Answer | None], silent: Mapping[str, str]) -> None:
        self.job, self.commune, self.answers, self.silent = job, job.commune, answers, silent
        self.pending = Pending(job)
        book = ledger.read(job.folder)
        self.rotations, self.successions, self.authority = book.rotations, book.successions, book.authority
        self.tunnels = _tunnels(job.commune, answers.get(job.commune.gateway.name))

    def result(self) -> Result:
        reports = tuple(map(self._report, self.job.machines))
        result = Result("status", self.commune.slug, reports, self._summary())
        following = f"telekit plan --commune {self.commune.slug}" if self.pending.machines else ""
        return replace(result, closing="\n".join(self._closing()), next=following, exit_code=int(result.troubled))

    def _report(self, machine: Machine) -> MachineReport:
        answer = self.answers.get(machine.name)
        details = dict(self._details(machine, answer))
        report = MachineReport(machine.name, str(machine.role), State.REACHABLE, details=details)
        if answer is None:
            silent = "it did not answer" if machine.name in self.answers else self.silent[machine.name]
            return replace(report, state=State.UNREACHABLE, reason="; ".join([silent, *_facts(details)]))
        return replace(report, reason="; ".join(_facts(details)), warnings=tuple(self._warnings(answer, machine)))

    def _details(self, machine: Machine, answer: Answer | None) -> Iterator[tuple[str, object]]:
        yield "pending", machine.name in self.pending.machines
        if isinstance(machine, Laptop) and self.tunnels is not None:
            yield "tunnel_days", self.tunnels.get(machine.name)
            yield "tunnel", _band(self.tunnels.get(machine.name))
        if isinstance(machine, Desktop) and machine.certificate:
            yield "certificate_days", _days_left(machine.certificate, self.commune.today)
        if isinstance(machine, Laptop) and answer is not None and answer.signatures is not None:
            yield "signatures_days", max(0, int((answer.clock - answer.signatures) // DAY))
        if isinstance(machine, Gateway) and self.tunnels is not None:
            yield "tunnels", dict(Counter(map(_band, self.tunnels.values())))

    def _warnings(self, answer: Answer, machine: Machine) -> Iterator[str]:
        if answer.reboot:
            yield "a reboot is due for its updates"
        if answer.failed:
            yield f"failed: {', '.join(answer.failed)}"
        if answer.disk_percent >= 90:
            yield f"its disk is {answer.disk_percent} % full"
        limit = self.commune.antivirus.max_age_days
        if isinstance(machine, Laptop) and answer.signatures is not None and answer.clock - answer.signatures > limit * DAY:
            yield f"its signatures are older than {counted(limit, 'day')}"

    def _summary(self) -> dict[str, object]:
        last = journal.last(self.job.folder, "provision")
        now = journal.running(self.job.folder)
        return {
            "last_provision": None if last is None else _told(last),
            "drift": None if (drift := self._drift()) is None else {"machines": list(drift[0]), "seen": drift[1]},
            "running": None if now is None else _told(now),
            "pending": sorted(self.pending.machines),
            "unfinished_revocations": [
                {"agent": item.agent, "machine": item.machine, "since": item.since} for item in self._unfinished()
            ],
            "ending": [{"agent": agent.identifier, "ends": str(agent.last_day)} for agent in ending(self.commune)],
            "ending_extras": [
                {"agent": extra.agent, "application": extra.application, "ends": str(extra.until)}
                for extra in ending_extras(self.commune)
            ],
            "ending_derogations": [
                {"check": one.check, "machine": one.machine, "ends": str(one.until)} for one in ending_derogations(self.commune)
            ],
            "expired_kits": [{"agent": agent, "laptop": laptop} for agent, laptop in expired_kits(self.commune)],
            "rotations": [
                {"laptop": name, "began": str(one.began), "until": str(one.until), "state": one.stage}
                for name, one in sorted(self.rotations.items())
            ],
            "gateway_keys": [self._gateway_key(name) for name in sorted(self.successions)],
            "authority": self._authority(),
            "authority_days": _days_left(self.commune.authority, self.commune.today) if self.commune.authority else None,
        }

    def _gateway_key(self, name: str) -> dict[str, object]:
        return {"gateway": name} | _days_of(self.successions[name]) | {"behind": self._behind(name)}

    def _authority(self) -> dict[str, object] | None:
        if self.authority is None:
            return None
        return _days_of(self.authority) | {"behind": list(unready(self.commune, self.authority))}

    def _keys(self) -> Iterator[str]:
        yield from _replaced(self.rotations)
        for name, one in sorted(self.successions.items()):
            yield _succeeded(name, one, self._behind(name), self.commune)
        if self.authority:
            yield _reissued(self.authority, self.commune)

    def _behind(self, gateway: str) -> list[str] | None:
        """The devices that do not use a gateway's next key yet; None: it did not say."""
        answer = self.answers.get(gateway)
        return None if answer is None else list(behind(self.commune, self.successions[gateway], answer.moved))

    def _drift(self) -> tuple[tuple[str, ...], str] | None:
        """The machines that had changed by themselves at the last look, and when that was; None: no look since the provision."""
        look, last = journal.last(self.job.folder, "drift"), journal.last(self.job.folder, "provision")
        if look is None or look.machines is None or (last is not None and last.began > look.began):
            return None
        return tuple(name for name, came in look.machines.items() if came["state"] == State.DRIFTED), look.local

    def _unfinished(self) -> list[Unfinished]:
        return [item for item in unfinished(self.job.folder) if item.machine in self.job.names]

    def _closing(self) -> Iterator[str]:
        summary = self._summary()
        if now := journal.running(self.job.folder):
            yield f"At work now: telekit {now.command}, by {now.user} since {now.local}."
        last = journal.last(self.job.folder, "provision")
        yield f"Last provision: {last.local} by {last.user}, {last.outcome}." if last else "Never provisioned."
        if drift := self._drift():
            found, when = drift
            what = f"{', '.join(found)} changed without telekit (telekit drift says what)" if found else "no drift"
            yield f"Seen {when}: {what}."
        for item in self._unfinished():
            do = f"telekit provision --only {item.machine} does it"
            yield f"{item.agent}'s revocation of {item.since} has not reached {item.machine}: {do}."
        if self.pending.machines:
            yield f"Pending on {counted(len(self.pending.machines), 'machine')}: {self.pending.reason}."
        if soon := ending(self.commune):
            yield "Accesses that end soon: " + ", ".join(f"{a.identifier} ({a.last_day})" for a in soon) + "."
        if derogations := ending_derogations(self.commune):
            yield "Derogations that end soon: " + ", ".join(f"{d.check} ({d.until})" for d in derogations) + "."
        if extras := ending_extras(self.commune):
            yield "Extras that end soon: " + ", ".join(f"{e.agent}: {e.application} ({e.until})" for e in extras) + "."
        yield from self._keys()
        if kits := expired_kits(self.commune):
            yield (
                "Kits that nobody used in time: " + ", ".join(agent for agent, _ in kits) + " (telekit agent kit makes another)."
            )
        if summary["authority_days"] is not None:
            yield f"The commune's certificate authority ends in {summary['authority_days']} days."


def _replaced(rotations: Mapping[str, Rotation]) -> Iterator[str]:
    """The keys that are being replaced, and those that were not in time."""
    under_way = [(name, rotation) for name, rotation in sorted(rotations.items()) if not rotation.lapsed]
    going = [f"{name} (since {one.began}, {_STAGES[one.stage]}, until {one.until})" for name, one in under_way]
    late = [name for name, rotation in sorted(rotations.items()) if rotation.lapsed]
    if going:
        yield f"Keys being replaced: {', '.join(going)}."
    if late:
        yield f"Keys that were not replaced in time, and stay: {', '.join(late)} (telekit rotate begins again)."


def _days_of(change: Succession | AuthorityChange) -> dict[str, object]:
    return {"began": str(change.began), "until": str(change.until), "state": change.stage}


def _succeeded(name: str, one: Succession, late: list[str] | None, commune: Commune) -> str:
    """A gateway's own key that is being replaced, and who still uses the old one."""
    said = f"{name}'s own key is being replaced (since {one.began}, until {one.until})"
    if not one.told:
        return f"{said}: it does not know the new one yet (telekit provision)."
    if late is None:
        return f"{said}; it did not say who still uses the old one."
    if not late:
        return f"{said}: every device uses the new one, and the next provision ends it."
    still = f"{said}; not seen with the new one yet: {', '.join(late)}"
    if commune.today <= one.until:
        return f"{still}."
    choice = "more time: telekit rotate --gateway --days N; or the old key goes: telekit rotate --gateway --conclude"
    return f"{still}. Its days are over ({choice})."


def _reissued(change: AuthorityChange, commune: Commune) -> str:
    """The commune's authority that is being replaced, and whom that waits for."""
    said = f"The commune's certificate authority is being replaced (since {change.began}, until {change.until})"
    late = unready(commune, change)
    if late and change.issuing:
        return f"{said}; desktops that still have a certificate of the old one: {', '.join(late)}."
    if late:
        return f"{said}; not known to trust the new one yet: {', '.join(late)}."
    if ready(commune, change):
        return f"{said}: the next provision goes on with it."
    return f"{said}: people with new kits have until then to use them."


# What a rotation waits for.
_STAGES = {
    "laptop": "waits for the laptop to be reached",
    "gateway": "waits for the gateway to be reached",
    "handshake": "waits for its first handshake",
}


class Pending:
    """The machines whose last good provision did not know today's inventory and today's accesses."""

    def __init__(self, job: Job) -> None:
        digest = journal.digest_of(job.folder)
        good: dict[str, journal.Entry] = {}
        for entry in journal.entries(job.folder):
            if entry.command != "provision" or set(good) >= set(job.names):
                continue
            for name, came in (entry.machines or {}).items():
                if came["state"] in (State.CHANGED, State.UNCHANGED):
                    good.setdefault(name, entry)
        never = {name for name in job.names if name not in good}
        edited = {name for name, entry in good.items() if entry.inventory != digest}
        dated = {name for name, entry in good.items() if _turned(job.commune, date.fromisoformat(entry.local[:10]))}
        self.machines = (never | edited | dated) & set(job.names)
        reasons = ((never, "never provisioned"), (edited, "the inventory was edited"), (dated, "an access has begun or ended"))
        self.reason = ", ".join(reason for machines, reason in reasons if machines & set(job.names))


def _turned(commune: Commune, then: date) -> bool:
    agents = any(agent.active(then) != agent.active(commune.today) for agent in commune.agents)
    return agents or any(then <= extra.until < commune.today for extra in commune.extras)


def ending(commune: Commune) -> list[Agent]:
    """The active agents whose access ends soon (policy: ending_soon_days), the first to end first."""
    soon = commune.today + timedelta(days=commune.policy.ending_soon_days)
    found = [(agent.last_day, agent.identifier, agent) for agent in commune.active_agents if agent.last_day]
    return [agent for day, _, agent in sorted(found, key=lambda item: item[:2]) if day <= soon]


def expired_kits(commune: Commune) -> list[tuple[str, str]]:
    """Agent and laptop of each kit that expired before its first use."""
    return [(agent.identifier, laptop.name) for laptop in commune.laptops if laptop.kit_lapsed
            and (agent := commune.agent_of.get(laptop.name))]  # fmt: skip


def ending_extras(commune: Commune) -> list[Extra]:
    """The applications that agents have beside their profile and soon lose, the first to end first."""
    soon = commune.today + timedelta(days=commune.policy.ending_soon_days)
    return sorted((e for e in commune.extras if commune.today <= e.until <= soon), key=lambda e: (e.until, e.agent))


def ending_derogations(commune: Commune) -> list[Derogation]:
    """The derogations after whose end a check fails again, the first to end first."""
    soon = commune.today + timedelta(days=commune.policy.ending_soon_days)
    return sorted((d for d in commune.derogations if commune.today <= d.until <= soon), key=lambda d: (d.until, d.check))


def _tunnels(commune: Commune, gateway: Answer | None) -> dict[str, int | None] | None:
    """Laptop → whole days since its tunnel last lived (−1: it is open now, None: never); None: nobody could say."""
    if gateway is None or gateway.handshakes is None:
        return None
    return {laptop.name: _days_since(gateway, laptop.keys) for laptop in commune.peers}


def _days_since(gateway: Answer, keys: tuple[str, ...]) -> int | None:
    moment = max(((gateway.handshakes or {}).get(key, 0.0) for key in keys), default=0.0)
    if not moment:
        return None
    ago = gateway.clock - moment
    return -1 if ago <= OPEN_SECONDS else int(ago // DAY)


def _band(days: int | None) -> str:
    if days is None:
        return NEVER
    if days < 0:
        return OPEN
    return WEEK if days < 7 else LONGER


def _facts(details: Mapping[str, object]) -> Iterator[str]:
    """The details of a machine in words."""
    if details.get("pending"):
        yield "changes pending"
    if tunnels := details.get("tunnels"):
        assert isinstance(tunnels, dict)
        yield "tunnels " + ", ".join(f"{count} {band}" for band, count in tunnels.items())
    if "tunnel" in details:
        yield f"tunnel {details['tunnel']}"
    if "signatures_days" in details:
        yield f"signatures {details['signatures_days']} d old"
    if "certificate_days" in details:
        yield f"certificate good for {details['certificate_days']} d"


def _days_left(pem: str, today: date) -> int:
    from cryptography.x509 import load_pem_x509_certificate

    ends = load_pem_x509_certificate(pem.encode("ascii")).not_valid_after_utc
    return (ends.date() - today).days


def _told(entry: journal.Entry) -> dict[str, object]:
    return {
        "command": entry.command, "began": entry.began, "ended": entry.ended or None, "user": entry.user, "host": entry.host,
        "outcome": entry.outcome, "version": entry.version, "revision": entry.revision or None,
    }  # fmt: skip
