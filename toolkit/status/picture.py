"""Everything that is known of a commune, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

from toolkit import journal, ledger
from toolkit.behind import behind, unready
from toolkit.ledger import AuthorityChange, Succession
from toolkit.model import Commune, Desktop, Gateway, Laptop, Machine
from toolkit.result import MachineReport, Result, State, counted
from toolkit.status.answer import Answer
from toolkit.status.ending import ending, ending_derogations, ending_extras, expired_kits
from toolkit.status.pending import Pending
from toolkit.status.replaced import authority_replaced, gateway_key_replaced, laptop_keys_replaced
from toolkit.targets import Job
from toolkit.unfinished import Unfinished, unfinished

DAY = 86400
# A live tunnel renews its keys every two minutes; after three WireGuard itself gives the session up.
OPEN_SECONDS = 180
OPEN, WEEK, LONGER, NEVER = "open", "this week", "longer ago", "never"


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
        yield from laptop_keys_replaced(self.rotations)
        for name, one in sorted(self.successions.items()):
            yield gateway_key_replaced(name, one, self._behind(name), self.commune)
        if self.authority:
            yield authority_replaced(self.authority, self.commune)

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


def _days_of(change: Succession | AuthorityChange) -> dict[str, object]:
    return {"began": str(change.began), "until": str(change.until), "state": change.stage}


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
