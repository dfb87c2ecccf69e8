"""The ledger's file, ledger.json."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import date
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from toolkit.atomic import replace_file, sweep
from toolkit.errors import UsageError
from toolkit.ledger.book import Ledger
from toolkit.ledger.entries import AuthorityChange, Handover, Revocation, Rotation, Succession
from toolkit.ledger.leases import Lease

FILE = "ledger.json"
VERSION = 1
DAMAGED = "restore it from a backup, or from the history of the inventories; without it every laptop would get another address"


def read(folder: Path) -> Ledger:
    """The ledger of a commune; empty before the first provision."""
    path = folder / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Ledger()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    try:
        return _ledger(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError("the ledger is damaged", where=str(path), hint=DAMAGED) from error


def write(folder: Path, ledger: Ledger) -> None:
    """Write the ledger, whole or not at all; nothing is written when it says the same."""
    path = folder / FILE
    content = (json.dumps(_document(ledger), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    if path.is_file() and path.read_bytes() == content:
        sweep(path)
        return
    replace_file(path, content, mode=0o644)


def _document(ledger: Ledger) -> dict[str, object]:
    return {
        "version": VERSION,
        "leases": {name: _lease_document(lease) for name, lease in ledger.leases.items()},
        "retired": [{"laptop": name} | _lease_document(lease) for name, lease in ledger.retired],
        "keys": dict(ledger.keys),
        "certificates": dict(ledger.certificates),
        "kits": {name: _kit_document(kit) for name, kit in ledger.kits.items()},
        "revoked": [asdict(entry) for entry in ledger.revoked],
        "rotations": {name: _rotation_document(rotation) for name, rotation in ledger.rotations.items()},
        "previous": dict(ledger.previous),
        "made": {name: day.isoformat() for name, day in ledger.made.items()},
        "successions": {name: _succession_document(coming) for name, coming in ledger.successions.items()},
        "authority": _authority_document(ledger.authority) if ledger.authority else None,
    }


def _authority_document(change: AuthorityChange) -> dict[str, object]:
    days = {"began": change.began.isoformat(), "until": change.until.isoformat()}
    return {**days, "pem": change.pem, "issuing": change.issuing, "informed": [*change.informed], "kits": [*change.kits]}


def _succession_document(coming: Succession) -> dict[str, object]:
    days = {"began": coming.began.isoformat(), "until": coming.until.isoformat()}
    came = {word: True for word, true in (("told", coming.told), ("concluding", coming.concluding)) if true}
    return {**days, "key": coming.key, "informed": [*coming.informed], **came}


def _rotation_document(rotation: Rotation) -> dict[str, object]:
    came: dict[str, object] = {word: True for word, true in (("told", rotation.told), ("lapsed", rotation.lapsed)) if true}
    made: dict[str, object] = {"key": rotation.key} if rotation.key else {}
    return {"began": rotation.began.isoformat(), "until": rotation.until.isoformat(), **made, **came}


def _kit_document(kit: Handover) -> dict[str, object]:
    came: dict[str, object] = {word: True for word, true in (("used", kit.used), ("lapsed", kit.lapsed)) if true}
    return {"made": kit.made.isoformat(), "expires": kit.expires.isoformat(), "agent": kit.agent, **came}


def _lease_document(lease: Lease) -> dict[str, str]:
    return {"address": str(lease.address)} | ({"address6": str(lease.address6)} if lease.address6 else {})


def _ledger(document: dict[str, object]) -> Ledger:
    """The ledger that a document holds; any of the usual exceptions if it does not."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r}")
    leases = {name: _lease(item) for name, item in _mapping(document["leases"]).items()}
    retired = tuple((_word(item["laptop"]), _lease(item)) for item in _list(document["retired"]))
    addresses = [lease.address for lease in (*leases.values(), *(lease for _, lease in retired))]
    if len(set(addresses)) != len(addresses):
        raise ValueError("an address twice")
    keys = {name: _word(key) for name, key in _mapping(document["keys"]).items()}
    certificates = {name: _word(pem) for name, pem in _mapping(document["certificates"]).items()}
    kits = {name: _kit(item) for name, item in _mapping(document.get("kits", {})).items()}
    rotations = {name: _rotation(item) for name, item in _mapping(document.get("rotations", {})).items()}
    previous = {name: _word(key) for name, key in _mapping(document.get("previous", {})).items()}
    made = {name: date.fromisoformat(_word(day)) for name, day in _mapping(document.get("made", {})).items()}
    successions = {name: _succession(item) for name, item in _mapping(document.get("successions", {})).items()}
    revoked = _revoked(document.get("revoked", []))
    authority = _authority(found) if (found := document.get("authority")) is not None else None
    return Ledger(leases, retired, keys, certificates, kits, revoked, rotations, previous, made, successions, authority)


def _revoked(items: object) -> tuple[Revocation, ...]:
    names = [item.name for item in fields(Revocation)]
    return tuple(Revocation(**{name: _word(_mapping(item)[name]) for name in names}) for item in _list(items))


def _kit(item: object) -> Handover:
    found = _mapping(item)
    made, expires = date.fromisoformat(_word(found["made"])), date.fromisoformat(_word(found["expires"]))
    return Handover(made, expires, _word(found["agent"]), found.get("used") is True, found.get("lapsed") is True)


def _rotation(item: object) -> Rotation:
    found = _mapping(item)
    began, until = date.fromisoformat(_word(found["began"])), date.fromisoformat(_word(found["until"]))
    key = _word(found.get("key", ""))
    return Rotation(began, until, key, found.get("told") is True, found.get("lapsed") is True)


def _succession(item: object) -> Succession:
    found = _mapping(item)
    began, until = date.fromisoformat(_word(found["began"])), date.fromisoformat(_word(found["until"]))
    informed = tuple(map(_word, _list(found.get("informed", []))))
    return Succession(began, until, _word(found["key"]), found.get("told") is True, found.get("concluding") is True, informed)


def _authority(item: object) -> AuthorityChange:
    found = _mapping(item)
    began, until = date.fromisoformat(_word(found["began"])), date.fromisoformat(_word(found["until"]))
    informed, kits = (tuple(map(_word, _list(found.get(word, [])))) for word in ("informed", "kits"))
    return AuthorityChange(began, until, _word(found["pem"]), found.get("issuing") is True, informed, kits)


def _lease(item: object) -> Lease:
    found = _mapping(item)
    address6 = found.get("address6")
    return Lease(IPv4Address(_word(found["address"])), IPv6Address(_word(address6)) if address6 is not None else None)


def _mapping(item: object) -> dict[str, object]:
    if not isinstance(item, dict):
        raise TypeError("not an object")
    return item


def _list(item: object) -> list[Any]:
    if not isinstance(item, list):
        raise TypeError("not a list")
    return item


def _word(item: object) -> str:
    if not isinstance(item, str):
        raise TypeError("not a text")
    return item
