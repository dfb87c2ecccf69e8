"""What an import comes to, in words and in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from toolkit.errors import Problem, UsageError
from toolkit.model import Agent, Commune
from toolkit.register.difference import Change, Difference
from toolkit.register.people import Listing
from toolkit.result import Result, counted


def fields_of(agent: Agent) -> dict[str, object]:
    """An agent's fields by name; None for an empty one."""
    return {name: getattr(agent, name) or None for name in Agent.__dataclass_fields__}


def shown(commune: Commune, found: Listing, difference: Difference) -> Result:
    """The difference, nothing being written yet."""
    closing = "\n".join(
        [*_sentences(difference), f"{found.source} lists {counted(len(found.people), 'agent')}: {_counts(difference)}."]
    )
    return Result("agent import", commune.slug, summary=_summary(difference), problems=difference.warnings, closing=closing)


def _counts(difference: Difference) -> str:
    parts = [
        (len(difference.joins), "join", "joins"),
        (len(difference.leaves) + len(difference.removed), "leave", "leaves"),
        (len(difference.changes), "change", "changes"),
    ]
    told = [f"{count} {one if count != 1 else many}" for count, one, many in parts if count]
    return ", ".join(told) or "the register says the same"


def _summary(difference: Difference) -> dict[str, object]:
    return {
        "joins": [_agent(agent) for agent in difference.joins],
        "leaves": [{"agent": c.agent.identifier, "last_day": str(c.fields["ends"])} for c in difference.leaves],
        "removed": [agent.identifier for agent in difference.removed],
        "changes": list(_changes(difference.changes)),
        "written": False,
    }


def _agent(agent: Agent) -> dict[str, object]:
    found = fields_of(agent)
    found["agent"] = found.pop("identifier")
    return {name: _plain(value) for name, value in found.items()}


def _changes(changes: Iterable[Change]) -> Iterator[dict[str, object]]:
    for change in changes:
        before = {name: _plain(getattr(change.agent, name) or None) for name in change.fields}
        after = {name: _plain(value) for name, value in change.fields.items()}
        yield {"agent": change.agent.identifier, "before": before, "after": after}


def _plain(value: object) -> object:
    return None if value is None else str(value)


def closed(result: Result, refused: UsageError | None, sentence: str) -> Result:
    """The difference as the last word; refused: why it could not be written as it is."""
    problems = (*result.problems, replace(refused.problem, warning=True)) if refused else result.problems
    return replace(result, problems=problems, closing=f"{result.closing}\n{sentence}".rstrip())


def written(result: Result, noted: tuple[Problem, ...]) -> Result:
    """The register holds it now."""
    return replace(
        result,
        summary={**result.summary, "written": True},
        problems=(*result.problems, *noted),
        closing=f"{result.closing}\nThe register is written.",
        next=f"telekit plan --commune {result.commune}",
    )


def note(difference: Difference) -> str:
    """Who, for the journal."""
    groups = {
        "joined": [agent.identifier for agent in difference.joins],
        "left": [change.agent.identifier for change in difference.leaves],
        "removed": [agent.identifier for agent in difference.removed],
        "changed": [change.agent.identifier for change in difference.changes],
    }
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in groups.items() if names)


WORDS = {
    "last_name": "last name", "first_name": "first name", "service": "service", "profile": "profile", "laptop": "laptop",
    "desktop": "desktop", "starts": "first day", "ends": "last day", "suspended": "suspended",
}  # fmt: skip


def _sentences(difference: Difference) -> Iterator[str]:
    """The difference for a person: + joins, − leaves, ~ changes."""
    names = [agent.identifier for agent in (*difference.joins, *difference.removed)]
    names += [change.agent.identifier for change in (*difference.leaves, *difference.changes)]
    width = max(map(len, names), default=0)
    for agent in difference.joins:
        parts = (agent.full_name, agent.service, agent.profile, agent.laptop or "no laptop", *_dates(agent))
        yield f"  + {agent.identifier:<{width}}  {', '.join(part for part in parts if part)}"
    for change in difference.leaves:
        yield f"  - {change.agent.identifier:<{width}}  {change.agent.full_name}, last day {change.fields['ends']}"
    for agent in difference.removed:
        yield f"  - {agent.identifier:<{width}}  {agent.full_name}, the line is removed"
    for change in difference.changes:
        told = "; ".join(_told(change.agent, name, value) for name, value in change.fields.items())
        yield f"  ~ {change.agent.identifier:<{width}}  {told}"


def _dates(agent: Agent) -> Iterator[str]:
    if agent.starts:
        yield f"from {agent.starts}"
    if agent.ends:
        yield f"until {agent.ends}"


def _told(agent: Agent, name: str, value: object) -> str:
    return f"{WORDS[name]} {_value(getattr(agent, name))} → {_value(value)}"


def _value(value: object) -> str:
    return "none" if value in (None, "") else str(value)
