"""What a revocation came to, for the operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import Problem
from toolkit.result import MachineReport, Result, State, counted
from toolkit.revocation.case import Case
from toolkit.revocation.desktop import Shut
from toolkit.revocation.gateway import NO_WAY, REFUSED, Closed

COMMAND = "agent revoke"


@dataclass(frozen=True)
class Outcome:
    """All that is known at the end. destroyed: how many secrets are gone."""

    case: Case
    gateways: tuple[Closed, ...]
    desktops: tuple[Shut, ...]
    problems: tuple[Problem, ...] = ()
    destroyed: int = 0

    @property
    def remaining(self) -> tuple[Closed | Shut, ...]:
        machines: tuple[Closed | Shut, ...] = (*self.gateways, *self.desktops)
        return tuple(machine for machine in machines if not machine.done)

    @property
    def troubled(self) -> bool:
        return bool(self.remaining) or any(not problem.warning for problem in self.problems)


def preview(case: Case) -> Result:
    """What will be done, before the question."""
    return Result(COMMAND, case.commune.slug, closing="\n".join(_announced(case)))


def _announced(case: Case) -> Iterator[str]:
    me, names = case.agent, _devices(case)
    yield f"{me.full_name} ({me.identifier}){' loses every access' if case.closes else ' keeps the access, without the device'}:"
    if names:
        yield f"  {names}: the tunnel is closed at once, and the key refused for good"
    if case.wish.stolen and names:
        yield f"  {names}: out of the inventory"
    if case.closes:
        yield "  agents.csv: suspended from today"
    if case.desktops:
        where = ", ".join(desktop.name for desktop in case.desktops)
        yield f"  {where}: session ended, account locked{', password void' if case.wish.stolen else ''}, second factor void"


def result(outcome: Outcome, record: Path) -> Result:
    """The end of the command; 1 where something remains to be done."""
    slug = outcome.case.commune.slug
    reports = (*map(_gateway, outcome.gateways), *map(_desktop, outcome.desktops))
    only = "".join(f" --only {machine.name}" for machine in outcome.remaining)
    return Result(
        COMMAND, slug, reports, _summary(outcome, record), outcome.problems, "\n".join(_closing(outcome, record)),
        next=f"telekit provision --commune {slug}{only}", exit_code=int(outcome.troubled),
    )  # fmt: skip


def _summary(outcome: Outcome, record: Path) -> dict[str, object]:
    case = outcome.case
    times = [gateway.seconds for gateway in outcome.gateways if gateway.done]
    return {
        "agent": case.agent.identifier, "laptops": [d.name for d in case.devices if d.name], "stolen": case.wish.stolen,
        "suspended": case.closes, "at": case.at.isoformat(timespec="seconds"), "keys": len(case.revocations),
        "seconds": max(times) if times else None, "record": str(record),
        "remaining": [machine.name for machine in outcome.remaining],
    }  # fmt: skip


def _closing(outcome: Outcome, record: Path) -> Iterator[str]:
    case = outcome.case
    if names := _devices(case):
        yield f"{names}: the key is refused for good{', the device is out of the inventory' if case.wish.stolen else ''}."
    if case.closes:
        yield f"{case.agent.identifier}: suspended from {case.commune.today}."
    for machine in outcome.remaining:
        yield f"Remains: {machine.name}, {machine.trouble}; the next provision that reaches it does it."
    yield f"For the data-protection officer: {record}"


def _devices(case: Case) -> str:
    return ", ".join(device.name for device in case.devices if device.name)


def _gateway(found: Closed) -> MachineReport:
    report = MachineReport(found.name, "gateway", State.REVOKED, "\n".join(_closed(found)), details=_facts(found))
    return _in_trouble(report, found) if found.trouble else report


def _facts(found: Closed) -> dict[str, object]:
    return {
        "closed": found.moment or None, "elements": found.elements, "connections": found.connections,
        "handshakes": dict(found.knocked), "left": {name: value for name, value in found.left.items() if name != "seconds"},
    }  # fmt: skip


def _closed(found: Closed) -> Iterator[str]:
    cut = "" if found.connections is None else f", {counted(found.connections, 'connection')} cut"
    yield f"tunnel closed after {found.seconds:.1f} s; {counted(found.elements, 'firewall entry', 'firewall entries')} gone{cut}"
    yield "asked again: no such peer, no firewall entry, nothing that a reboot would bring back"
    for name, came in found.knocked.items():
        if came == REFUSED:
            yield f"tried from outside: a handshake with the old key of {name} is refused, a welcome key was answered"
        if came == NO_WAY:
            yield f"not tried from outside: no way from here to the gateway's public address (key of {name})"


def _desktop(found: Shut) -> MachineReport:
    said = "no account of that name" if found.absent else (
        f"account locked; {counted(found.sessions, 'session')} and {counted(found.processes, 'process', 'processes')} ended\n"
        "asked again: locked, no session, nothing running"
    )  # fmt: skip
    details = {"sessions": found.sessions, "processes": found.processes, "absent": found.absent}
    report = MachineReport(found.name, "desktop", State.REVOKED, said, details=details)
    return _in_trouble(report, found) if found.trouble else report


def _in_trouble(report: MachineReport, found: Closed | Shut) -> MachineReport:
    state = State.UNREACHABLE if found.unreachable else State.FAILED
    return MachineReport(report.name, report.role, state, found.trouble, details=report.details)
