"""The record of a revocation for the data-protection officer, in French, beside the inventory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from deploys.template import render
from toolkit.atomic import replace_file
from toolkit.journal import Entry
from toolkit.model import RDP_PORT, Mode
from toolkit.revocation.case import Device
from toolkit.revocation.gateway import NO_WAY, REFUSED
from toolkit.revocation.outcome import Outcome
from toolkit.unfinished import RECORDS

HOURS = 72


@dataclass(frozen=True)
class Told:
    """An outcome in French sentences."""

    outcome: Outcome

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.outcome.case.commune.policy.timezone)

    def moment(self, when: datetime) -> str:
        return f"{when.astimezone(self.zone):%d/%m/%Y à %H h %M min %S s}"

    def device(self, device: Device) -> str:
        """When and from where it was last connected."""
        known = [entry for g in self.outcome.gateways for entry in g.seen if entry["key"] in device.keys and entry["handshake"]]
        if not known:
            return "aucune connexion connue de la passerelle"
        last = max(known, key=lambda entry: int(entry["handshake"]))
        when = datetime.fromtimestamp(int(last["handshake"]), self.zone)
        volume = f"{_size(last['received'])} reçus de lui, {_size(last['sent'])} envoyés"
        return f"dernière connexion le {self.moment(when)} depuis {last['endpoint']} ; {volume} depuis le démarrage du tunnel"

    def reaches(self) -> Iterator[str]:
        case = self.outcome.case
        for grant in case.commune.grants_of(case.agent):
            application = grant.application
            ports = [f"tcp/{p}" for p in application.tcp] + [f"udp/{p}" for p in application.udp]
            extra = f", en plus du profil : {grant.extra.reason}" if grant.extra else ""
            yield f"{application.title} ({application.place}, {', '.join(ports)}{extra})"
        if case.agent.desktop:
            yield f"le bureau à distance {case.agent.desktop} (tcp/{RDP_PORT}) et les fichiers de l'agent qui s'y trouvent"
        if case.commune.network.mode is Mode.FULL:
            yield "Internet, à travers la commune"

    def measures(self) -> Iterator[str]:
        case = self.outcome.case
        names = [device.name for device in case.devices if device.name]
        at = self.moment(case.at)
        if case.revocations:
            yield f"{at} : clé de {', '.join(names)} inscrite comme révoquée, refusée pour toujours"
        if case.closes:
            yield f"{at} : accès de l'agent suspendu dans le registre"
        if case.wish.stolen and names:
            yield f"{at} : {', '.join(names)} retiré de l'inventaire"
        for gateway in self.outcome.gateways:
            if gateway.moment:
                when = self.moment(datetime.fromisoformat(gateway.moment))
                cut = "" if gateway.connections is None else f", {gateway.connections} connexion(s) en cours coupée(s)"
                opened = f"{gateway.elements} autorisation(s) du pare-feu retirée(s)"
                yield f"{when} : tunnel fermé sur {gateway.name}, {gateway.seconds:.1f} s après la décision ; {opened}{cut}"
        for desktop in self.outcome.desktops:
            if desktop.done and not desktop.absent:
                void = ", mot de passe annulé" if case.wish.stolen else ""
                yield f"{desktop.name} : compte verrouillé, {desktop.sessions} session(s) fermée(s){void}, second facteur annulé"
        if self.outcome.destroyed:
            yield f"{self.outcome.destroyed} secret(s) de l'agent ou de l'appareil détruit(s) dans le coffre"

    def proofs(self) -> Iterator[str]:
        for gateway in self.outcome.gateways:
            if gateway.left and gateway.done:
                nothing = "clé inconnue, aucune autorisation, rien qu'un redémarrage rétablisse"
                yield f"{gateway.name}, interrogée de nouveau : {nothing}"
            for name, came in gateway.knocked.items():
                if came == REFUSED:
                    yield f"depuis l'extérieur : connexion tentée avec l'ancienne clé de {name}, refusée par {gateway.name}"
                if came == NO_WAY:
                    yield f"la connexion n'a pas pu être tentée depuis l'extérieur avec l'ancienne clé de {name}"
        for desktop in self.outcome.desktops:
            if desktop.done:
                said = (
                    "aucun compte de cet agent"
                    if desktop.absent
                    else "compte verrouillé, aucune session, aucun programme de l'agent"
                )
                yield f"{desktop.name} : {said}"

    def remaining(self) -> Iterator[str]:
        for machine in self.outcome.remaining:
            what = "injoignable" if machine.unreachable else f"non terminé ({machine.trouble})"
            yield f"{machine.name} : {what} ; le prochain `telekit provision` qui l'atteint le fera"
        for problem in self.outcome.problems:
            yield str(problem)


def text(outcome: Outcome, entry: Entry, now: datetime) -> str:
    """The record; entry: who did it, from the journal."""
    from toolkit import __version__

    told, case = Told(outcome), outcome.case
    devices = [
        {"name": device.name, "system": device.system or "retiré auparavant", "seen": told.device(device)}
        for device in case.devices
        if device.name
    ]
    return render(
        "incident/fiche.md.j2", stolen=case.wish.stolen, agent=case.agent, commune=case.commune, reason=case.wish.reason,
        version=__version__, now=told.moment(now), decided=told.moment(case.at),
        deadline=told.moment(case.at + timedelta(hours=HOURS)), operator=f"{entry.user} ({entry.host})", devices=devices,
        reaches=list(told.reaches()), measures=list(told.measures()), proofs=list(told.proofs()),
        remaining=list(told.remaining()),
    )  # fmt: skip


def write(folder: Path, outcome: Outcome, entry: Entry) -> Path:
    """Keep it, readable by the operator alone; what was written that day before stays above it."""
    incidents = folder / RECORDS
    incidents.mkdir(mode=0o700, exist_ok=True)
    zone = ZoneInfo(outcome.case.commune.policy.timezone)
    file = incidents / f"{outcome.case.at.astimezone(zone):%Y-%m-%d}-{outcome.case.agent.identifier}.md"
    before = file.read_text(encoding="utf-8") + "\n---\n\n" if file.exists() else ""
    replace_file(file, (before + text(outcome, entry, datetime.now(zone))).encode(), mode=0o600)
    return file


def _size(number: object) -> str:
    size = float(str(number))
    for unit in ("octets", "Kio", "Mio"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} Gio"
