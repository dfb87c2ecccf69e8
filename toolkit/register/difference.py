"""What an import changes in the register: who joins, who leaves, what is different. Pure: nothing is read or written.

Three rules keep people safe. What a source does not say stays as it is. Who is no longer listed gets a last day, and keeps
the line. And no import gives back an access that has ended or was suspended, unless the source says a new end or the
operator asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from toolkit.errors import Problem
from toolkit.model import Agent
from toolkit.register.people import Listing, Person


@dataclass(frozen=True)
class Wishes:
    """How the operator wants it. last_day: of who leaves. partial: the source lists only some; nobody leaves for it."""

    today: date
    last_day: date
    partial: bool = False
    remove_leavers: bool = False
    reopen: bool = False


@dataclass(frozen=True)
class Change:
    """An agent who stays, and the fields that become different."""

    agent: Agent
    fields: Mapping[str, object]


@dataclass(frozen=True)
class Difference:
    """What an import would do. leaves: with what is written on their lines. removed: whose line goes."""

    joins: tuple[Agent, ...] = ()
    leaves: tuple[Change, ...] = ()
    removed: tuple[Agent, ...] = ()
    changes: tuple[Change, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.joins or self.leaves or self.removed or self.changes)

    @property
    def laptops(self) -> tuple[str, ...]:
        """The laptops that it gives to somebody."""
        given = [agent.laptop for agent in self.joins] + [change.fields.get("laptop") for change in self.changes]
        return tuple(dict.fromkeys(str(name) for name in given if name))

    def losing(self, today: date) -> int:
        """How many agents have access today and would have none tomorrow."""
        closed = [change.agent for change in self.leaves] + list(self.removed)
        closed += [change.agent for change in self.changes if change.fields.get("suspended")]
        return sum(agent.active(today) for agent in closed)


def compare(register: Mapping[str, Agent], found: Listing, wishes: Wishes) -> Difference:
    """Given the agents as agents.csv says them and a source's people, what is different."""
    comparison = _Comparison(register, wishes, list(found.warnings))
    joins = tuple(comparison.joins(found.people))
    changes = tuple(comparison.changes(found.people))
    gone = [] if wishes.partial else list(comparison.unlisted(found.people))
    removed = tuple(gone) if wishes.remove_leavers else ()
    leaves = () if wishes.remove_leavers else tuple(comparison.leaves(gone))
    return Difference(joins, leaves, removed, changes, tuple(comparison.warnings))


@dataclass(frozen=True)
class _Comparison:
    register: Mapping[str, Agent]
    wishes: Wishes
    warnings: list[Problem]

    def _warn(self, person: Person, what: str, hint: str = "") -> None:
        self.warnings.append(Problem(f"{person.identifier}: {what}", person.where, hint, warning=True))

    def joins(self, people: Iterable[Person]) -> Iterator[Agent]:
        for person in people:
            if person.identifier in self.register:
                continue
            missing = [word for field, word in NEEDED.items() if field not in person.said]
            if person.disabled:
                self._warn(person, "not added: the account is disabled")
            elif missing:
                hint = "say in [directory.profiles] which service or group has which profile" if "profile" in missing else ""
                self._warn(person, f"not added: no {' and no '.join(missing)}", hint)
            else:
                yield Agent(person.identifier, **person.said)  # type: ignore[arg-type]  # fields by name

    def changes(self, people: Iterable[Person]) -> Iterator[Change]:
        for person in people:
            agent = self.register.get(person.identifier)
            if agent is not None and (fields := self._fields(agent, person)):
                yield Change(agent, fields)

    def _fields(self, agent: Agent, person: Person) -> dict[str, object]:
        """The fields of an agent that become different."""
        fields = {name: value for name, value in person.said.items() if value != getattr(agent, name)}
        today = self.wishes.today
        if person.disabled and not agent.suspended:
            fields["suspended"] = today
        elif agent.suspended and self.wishes.reopen and not person.disabled:
            fields["suspended"] = None
        after = replace(agent, **fields)  # type: ignore[arg-type]  # fields by name
        if after.ends and after.ends < today:
            if self.wishes.reopen and "ends" not in person.said:
                fields["ends"] = None
            elif not person.disabled:
                hint = f"telekit agent renew {agent.identifier}, or import with --reopen"
                self._warn(person, f"is listed, but the access ended on {after.ends}: it stays closed", hint)
        return fields

    def unlisted(self, people: Iterable[Person]) -> Iterator[Agent]:
        listed = {person.identifier for person in people}
        return (agent for identifier, agent in self.register.items() if identifier not in listed)

    def leaves(self, gone: Iterable[Agent]) -> Iterator[Change]:
        last_day = self.wishes.last_day
        for agent in gone:
            if agent.ends is None or agent.ends > last_day:
                never_started = agent.starts is not None and agent.starts > last_day
                yield Change(agent, {"ends": last_day} | ({"starts": None} if never_started else {}))


# What somebody new cannot be without, as sentences name it.
NEEDED = {"last_name": "last name", "first_name": "first name", "profile": "profile"}


def yesterday(today: date) -> date:
    return today - timedelta(days=1)
