"""Somebody on the Internet who answers laptops while verify runs, where there is a place to stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address

from toolkit.checks.remote import source
from toolkit.checks.subject import Subject
from toolkit.model import Address


def stranger(subject: Subject) -> Mapping[Address, int]:
    """Where they answer, by TCP and UDP alike: address → port; empty without a vantage point on the Internet."""
    return subject.evidence.once("stranger", lambda: _stand(subject))


def _stand(subject: Subject) -> Mapping[Address, int]:
    outside = subject.evidence.internet
    if outside is None:
        return {}
    process = outside.popen(["python3", "-I", "-c", source("stranger")])

    def leave() -> None:
        # Whoever stands there goes when nobody holds the other end any more, also when verify is killed.
        for end in (process.stdin, process.stdout, process.stderr):
            end.close()
        process.wait(timeout=5)

    subject.evidence.closing.append(leave)
    told = process.stdout.readline()
    return {ip_address(address): int(port) for address, port in json.loads(told or b"{}").items()}
