"""What an agent's laptop tried, once and all at the same time, and what can be said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.forged import forgeries
from toolkit.checks.matrix import Cell, matrix
from toolkit.checks.probe import SSH_PORT, Answer, Door, application_doors, desktop_doors, from_gateway, granted, knock_and_forge
from toolkit.checks.subject import Subject
from toolkit.checks.witness import Packet, Witness, watched
from toolkit.model import Address, Commune

# Until the gateway answers inside the tunnel; where it does not, what is tried then says so.
STANDS = "for i in $(seq 10); do timeout 3 ping -n -c 1 -W 1 {gateway} >/dev/null 2>&1 && break; done"


@dataclass(frozen=True)
class Tried:
    """What answered a laptop, under which false addresses it could send, and what the gateway saw of all that."""

    answers: Mapping[Door, Answer]
    forged: frozenset[Address]
    witness: Witness

    def packet(self, source: Address | None, door: Door) -> Packet | None:
        return Packet(source, door.protocol, door.address, door.port) if source else None


def tried(subject: Subject) -> Tried:
    """Everything that this laptop could try, while the gateway looks; tried once, by whoever asks first."""
    return subject.once("doors", lambda: _try(subject))


def _try(subject: Subject) -> Tried:
    doors = [*application_doors(subject), *desktop_doors(subject.commune), *administration(subject.commune)]
    doors += [cell.door for cells in matrix(subject).values() for cell in cells]
    # A tunnel without a session holds back what it is given, and of so much at once it drops the first.
    subject.run(STANDS.format(gateway=subject.commune.gateway_address()))
    with watched(subject) as witness:
        found = knock_and_forge(subject, doors, forgeries(subject))
    return Tried(found.answers, found.forged, witness)


def administration(commune: Commune) -> list[Door]:
    """SSH of the gateway, at all its addresses, and of every desktop."""
    addresses: list[Address] = [d.address for d in commune.desktops]
    addresses += [a for a in (commune.gateway.address, commune.gateway_address(), commune.gateway_address6()) if a]
    return [Door("tcp", address, SSH_PORT) for address in addresses]


def from_laptop(subject: Subject) -> Mapping[Door, Answer]:
    """What answers this laptop, of everything that the town hall has."""
    return tried(subject).answers


def refusals(subject: Subject) -> Mapping[Door, Answer]:
    """The same, for checks that expect no answer: they are not made where the laptop reaches nothing at all."""
    answers = from_laptop(subject)
    welcome = granted(subject, subject.laptop)
    if welcome and not any(answers[door].open for door in welcome if door in answers):
        raise NotCheckedError("the laptop reaches nothing of what it may, so that its being refused proves nothing")
    return answers


def judged(subject: Subject, group: str) -> str:
    """Whether each cell of this part of the matrix is as it must be; a cell that proves nothing is not taken for good."""
    cells, seen = matrix(subject)[group], tried(subject)
    if seen.witness.why:
        raise NotCheckedError(f"the gateway could not look on: {seen.witness.why}")
    found = {cell: _verdict(subject, seen, cell) for cell in cells}
    wrong = [f"{cell.door} {what}" for cell, (fine, what) in found.items() if fine is False]
    assert not wrong, _listed(wrong)
    unproven = [f"{cell.door} {what}" for cell, (fine, what) in found.items() if fine is None]
    if unproven:
        raise NotCheckedError(f"{len(unproven)} of {len(cells)} cells prove nothing: {_listed(unproven)}")
    return _counted(cells, [what for _, what in found.values()])


def _verdict(subject: Subject, seen: Tried, cell: Cell) -> tuple[bool | None, str]:
    """Good, bad or (None) unknown, and what was seen."""
    door, answer = cell.door, seen.answers[cell.door]
    own = subject.laptop.tunnel_address if door.address.version == 4 else subject.laptop.tunnel_address6
    packet = seen.packet(own, door)
    came, passed = packet in seen.witness.came, packet in seen.witness.passed
    if cell.allowed:
        return _welcome(subject, cell, answer, passed=passed)
    if answer.open and cell.allowed is False:
        return False, f"answers ({answer})"
    if not came:
        return None, f"did not come to the gateway ({answer})"
    if cell.allowed is None:
        return True, "goes through the gateway"
    if passed:
        return False, f"passes the gateway's firewall, though nobody answers ({answer})"
    return True, "refused by the gateway"


def _welcome(subject: Subject, cell: Cell, answer: Answer, *, passed: bool) -> tuple[bool | None, str]:
    if answer.open:
        return True, "answers"
    alive = from_gateway(subject).get(cell.door)
    if alive is not None and not alive.open:
        return None, f"does not answer the gateway either ({alive})"
    return False, f"does not answer ({answer}), and {'passed' if passed else 'was not let through'} the gateway's firewall"


def _listed(cells: Sequence[str]) -> str:
    return "; ".join(cells[:8]) + (f"; and {len(cells) - 8} more" if len(cells) > 8 else "")


def _counted(cells: Sequence[Cell], words: Sequence[str]) -> str:
    """As in: 24 cells (IPv4 TCP 8, IPv4 UDP 8 …): 3 answers, 21 refused by the gateway."""
    kinds = Counter(f"IPv{cell.door.address.version} {cell.door.protocol.upper()}" for cell in cells)
    shapes = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
    return f"{len(cells)} cells ({shapes}): " + ", ".join(f"{number} {word}" for word, number in Counter(words).most_common())
