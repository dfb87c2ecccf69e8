"""The laptop's baseline as Windows knows it, read from the same policy that Debian's is made from.

`FIELDS` names every field of that policy: what becomes of it here, or why nothing does. A field that is not in it fails a test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.model import Antivirus, Policy

# Windows counts the days of Defender's week from Sunday, 1; 0 is every day.
WEEK = {"Sun": 1, "Mon": 2, "Tue": 3, "Wed": 4, "Thu": 5, "Fri": 6, "Sat": 7}
EVERY_DAY = 0
WORDS = {"hourly": (EVERY_DAY, "00:00:00"), "daily": (EVERY_DAY, "00:00:00"),
         "weekly": (WEEK["Mon"], "00:00:00"), "monthly": (WEEK["Mon"], "00:00:00")}  # fmt: skip
TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?$")
# Debian's updater looks as often: `Checks` in freshclam.conf counts a day.
SIGNATURE_HOURS = 2

HIGH, ADVANCED, SAFE_SAMPLES, AUDIT, FULL, ON = 2, 2, 1, 2, 2, 1
# What nobody on the next table may try: SSH, RPC, NetBIOS, file shares, remote desktop, remote management.
CLOSED_PORTS = (22, 135, 139, 445, 3389, 5985, 5986)


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of Defender's, and how a finding calls it."""

    name: str
    value: bool | int | str
    words: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """Everything that the installer checks and sets. lock_seconds: until the screen locks."""

    antivirus: tuple[Setting, ...]
    firewall: tuple[Setting, ...]
    max_age_days: int
    lock_seconds: int


FIELDS: Mapping[str, str] = {
    "Antivirus.max_age_days": "signature age",
    "Antivirus.scan": "ScanScheduleDay, ScanScheduleTime, ScanScheduleQuickScanTime",
    "Antivirus.official": "Defender's own signatures, whatever ClamAV takes",
    "Antivirus.mirror": "a mirror of ClamAV's databases, of no use to Defender",
    "Antivirus.databases": "databases of ClamAV's, of no use to Defender",
    "Policy.lock_minutes": "InactivityTimeoutSecs",
    "Policy.clipboard": "in the .rdp file",
    "Policy.drives": "in the .rdp file",
    "Policy.kit_days": "on the sheet",
    "Policy.max_latency_ms": "what `telekit verify` wants of the tunnel; it does not log into Windows",
    "Policy.min_throughput_mbit": "what `telekit verify` wants of the tunnel; it does not log into Windows",
    "Policy.journal_months": "on the sheet; the record is the gateway's",
    "Policy.timezone": "the desktop's and the gateway's; Windows keeps the user's",
    "Policy.locale": "the desktop's; Windows keeps the user's",
    "Policy.keyboard": "the desktop's; Windows keeps the user's",
    "Policy.reboot_window": "servers; Windows Update has its active hours",
    "Policy.automatic_reboot": "servers; Windows Update has its active hours",
    "Policy.idle_minutes": "the desktop's",
    "Policy.disconnected_minutes": "the desktop's",
    "Policy.portal_minutes": "Windows opens portals by itself",
    "Policy.ending_soon_days": "the operators' status",
}


def baseline(antivirus: Antivirus, policy: Policy) -> Baseline:
    """The baseline of a commune."""
    return Baseline(_defender(antivirus), _firewall(), antivirus.max_age_days, policy.lock_minutes * 60)


def _defender(wanted: Antivirus) -> tuple[Setting, ...]:
    day, time = schedule(wanted.scan)
    return (
        Setting("DisableRealtimeMonitoring", False, "Chaque fichier est analysé avant d'être ouvert"),
        Setting("DisableBehaviorMonitoring", False, "Comportement des programmes surveillé"),
        Setting("DisableIOAVProtection", False, "Téléchargements et pièces jointes analysés"),
        Setting("DisableScriptScanning", False, "Scripts analysés"),
        Setting("DisableRemovableDriveScanning", False, "Clés USB analysées"),
        Setting("MAPSReporting", ADVANCED, "Protection par le nuage"),
        Setting("CloudBlockLevel", HIGH, "Niveau de blocage par le nuage : élevé"),
        Setting("SubmitSamplesConsent", SAFE_SAMPLES, "Envoi d'échantillons limité aux fichiers sans données personnelles"),
        Setting("PUAProtection", ON, "Programmes indésirables bloqués"),
        Setting("EnableControlledFolderAccess", AUDIT, "Accès aux dossiers protégés : en observation"),
        Setting("SignatureUpdateInterval", SIGNATURE_HOURS, f"Signatures recherchées toutes les {SIGNATURE_HOURS} heures"),
        Setting("CheckForSignaturesBeforeRunningScan", True, "Signatures mises à jour avant chaque analyse"),
        Setting("ScanScheduleQuickScanTime", time, "Analyse rapide chaque jour"),
        Setting("ScanParameters", FULL, "Analyse complète programmée"),
        Setting("ScanScheduleDay", day, "Jour de l'analyse complète"),
        Setting("ScanScheduleTime", time, "Heure de l'analyse complète"),
        Setting("DisableCatchupQuickScan", False, "Analyse rapide manquée : rattrapée"),
        Setting("DisableCatchupFullScan", False, "Analyse complète manquée : rattrapée"),
    )


def _firewall() -> tuple[Setting, ...]:
    return (
        Setting("Enabled", "True", "Pare-feu actif"),
        Setting("DefaultInboundAction", "Block", "Connexions entrantes refusées"),
        Setting("DefaultOutboundAction", "Allow", "Connexions sortantes permises"),
        Setting("LogBlocked", "True", "Refus consignés"),
    )


def schedule(calendar: str) -> tuple[int, str]:
    """Defender's day and time for a calendar of systemd's: as often, or more where Defender cannot say it."""
    if calendar in WORDS:
        return WORDS[calendar]
    time = TIME.search(calendar)
    if time is None:
        raise ValueError(f"{calendar!r} has no time of day")
    days = calendar[: time.start()].strip()
    return WEEK.get(days, EVERY_DAY), f"{int(time[1]):02}:{time[2]}:{time[3] or '00'}"
