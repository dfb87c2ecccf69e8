"""How fast the tunnel is for an agent's profile, measured by the way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.probe import Door, granted
from toolkit.checks.remote import script
from toolkit.checks.subject import Subject
from toolkit.checks.tried import from_laptop
from toolkit.model import RDP_PORT, Profile

SECONDS, SERVERS = 1.0, 3


@dataclass(frozen=True)
class Pace:
    """Milliseconds of each connection to a server; Mbit/s of one that sends back what it is sent, None: there is none."""

    door: Door
    times: tuple[float, ...]
    rate: float | None


def _profile(subject: Subject) -> Profile:
    return subject.commune.profile_named[subject.agent.profile]


def _pace(subject: Subject) -> Pace:
    return subject.once("pace", lambda: _measure(subject))


def _measure(subject: Subject) -> Pace:
    """Of the servers that the profile names; the remote desktop is not disturbed if there are others."""
    answers = from_laptop(subject)
    doors = [d for d in granted(subject, subject.laptop) if d.protocol == "tcp" and answers[d].open]
    doors.sort(key=lambda door: (door.port == RDP_PORT, int(door.address), door.port))
    if not doors:
        raise NotCheckedError(f"no server answers that the profile {_profile(subject).name} names")
    order = [[str(door.address), door.port] for door in doors[:SERVERS] if door.port != RDP_PORT or door == doors[0]]
    told = json.loads(subject.output(script("pace", "pace", doors=order, seconds=SECONDS)))
    return Pace(doors[0], tuple(time for time in told["times"] if time is not None), told["rate"])


@check(
    Theme.TUNNEL,
    "An application answers through the tunnel as fast as the profile demands",
    titre="À travers le tunnel, une application répond dans le délai voulu pour la fonction",
    tried="connecting five times from {machine} to a server that its agent's profile names",
    expected="half of them stand within max_latency_ms of the profile or of [policy]; without it, it is told and not judged",
    fix="is the laptop's own connection slow? else the gateway's line, its load (top), or the server",
)
def test_answers_fast_enough(subject: Subject) -> str:
    profile, found = _profile(subject), _pace(subject)
    limit = profile.max_latency_ms or subject.commune.policy.max_latency_ms
    assert found.times, f"{found.door} answered before, and now does not"
    told = f"{median(found.times):.1f} ms to {found.door}, for the profile {profile.name}"
    assert limit is None or median(found.times) <= limit, f"{told}; the limit is {limit} ms"
    return f"{told}; " + (f"the limit is {limit} ms" if limit else "no limit in the inventory")


@check(
    Theme.TUNNEL,
    "The tunnel carries as much as the profile demands",
    titre="Le tunnel a le débit voulu pour la fonction",
    tried=f"sending for {SECONDS:.0f} s from {{machine}} to a server that sends back what it gets, and counting what comes back",
    expected="min_throughput_mbit of the profile or of [policy]; without it, it is told and not judged",
    fix="is the laptop's own connection slow? else the gateway's line, its load (top), or the server",
)
def test_carries_enough(subject: Subject) -> str:
    profile, found = _profile(subject), _pace(subject)
    limit = profile.min_throughput_mbit or subject.commune.policy.min_throughput_mbit
    if found.rate is None:
        raise NotCheckedError("no server that the profile names sends back what it is sent, so that nothing could be counted")
    told = f"{found.rate:.0f} Mbit/s each way at once, for the profile {profile.name}"
    assert limit is None or found.rate >= limit, f"{found.rate:.1f} Mbit/s for the profile {profile.name}; the least is {limit}"
    return f"{told}; " + (f"the least is {limit}" if limit else "no limit in the inventory")
