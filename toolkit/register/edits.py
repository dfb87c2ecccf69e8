"""One agent at a time: add, renew, suspend, resume, grant. Each edits the register, writes it down, and says what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from toolkit import journal
from toolkit.errors import UsageError
from toolkit.inventory.agents import COLUMNS, PARSERS
from toolkit.inventory.problems import Refused
from toolkit.inventory.values import text
from toolkit.model import Agent, Extra, System
from toolkit.register.people import harmless
from toolkit.register.store import Edit, Register, named, open_register
from toolkit.result import Result


def add(folder: Path, written: Mapping[str, str | None], new_laptop: System | None = None) -> Result:
    """A new agent, from what was written for each field; new_laptop: what a laptop runs that commune.toml does not have."""
    values = dict(_parsed(written))
    identifier = str(values["identifier"])

    def change(register: Register, edit: Edit) -> str:
        if identifier in register.rows:
            what = f"there is an agent `{identifier}` already, on line {register.rows[identifier].line} of agents.csv"
            raise UsageError(what, hint=f"telekit agent show {identifier}")
        laptop = str(values.get("laptop") or "")
        if laptop and laptop not in register.commune.laptop_named and new_laptop is not None:
            edit.document.add_laptops([laptop], new_laptop)
        edit.table.add(values)
        return f"{identifier} is an agent now."

    return _changed(folder, "agent add", [identifier], change)


def _parsed(written: Mapping[str, str | None]) -> Iterator[tuple[str, object]]:
    for field, value in written.items():
        if value is None:
            continue
        try:
            parsed = PARSERS.get(field, text)(value)
            harmless({field: parsed})
        except Refused as refused:
            raise UsageError(refused.what, where=COLUMNS[field][0], hint=refused.hint) from None
        yield field, parsed


def renew(folder: Path, identifiers: Sequence[str], until: date | None, today: date) -> Result:
    """Access until this day (included), or without end."""
    if until is not None and until < today:
        raise UsageError(f"{until} is past", hint="telekit agent suspend closes an access")
    end = f"until {until}" if until else "without end"

    def change(register: Register, edit: Edit) -> str:
        for identifier in identifiers:
            edit.table.set(register.row(identifier).line, {"ends": until})
        suspended = [i for i in identifiers if register.row(i).agent.suspended]
        still = f" Suspended all the same: {', '.join(suspended)}." if suspended else ""
        return f"Access {end}: {', '.join(identifiers)}.{still}"

    return _changed(folder, "agent renew", identifiers, change)


def suspend(folder: Path, identifiers: Sequence[str], since: date, reason: str = "") -> Result:
    """No access from this day on, until somebody resumes it."""

    def change(register: Register, edit: Edit) -> str:
        for identifier in identifiers:
            edit.table.set(register.row(identifier).line, {"suspended": since})
        return f"Suspended from {since}: {', '.join(identifiers)}."

    return _changed(folder, "agent suspend", identifiers, change, reason)


def resume(folder: Path, identifiers: Sequence[str], today: date) -> Result:
    """Access again for whoever was suspended."""

    def change(register: Register, edit: Edit) -> str:
        agents = [register.row(identifier).agent for identifier in identifiers]
        for agent in agents:
            if agent.suspended:
                edit.table.set(register.row(agent.identifier).line, {"suspended": None})
        ended = [agent for agent in agents if agent.ends and agent.ends < today]
        closed = "".join(f" {agent.identifier}'s access ended on {agent.ends}: telekit agent renew." for agent in ended)
        return f"No longer suspended: {', '.join(identifiers)}.{closed}"

    return _changed(folder, "agent resume", identifiers, change)


def grant(folder: Path, extra: Extra, today: date) -> Result:
    """One application more for one agent, until a day, for a reason."""
    if extra.until < today:
        raise UsageError(f"{extra.until} is past", hint="an extra ends on a day to come")

    def change(register: Register, edit: Edit) -> str:
        agent = named(register.commune, extra.agent)
        if extra.application in register.commune.profile_named[agent.profile].applications:
            raise UsageError(f"{agent.identifier} has `{extra.application}` already, by the profile {agent.profile}")
        edit.document.add_extra(extra)
        return f"{extra.agent} reaches {extra.application} until {extra.until}: {extra.reason}."

    return _changed(folder, "agent grant", [extra.agent], change, extra.reason)


Change = Callable[[Register, Edit], str]


def _changed(folder: Path, command: str, identifiers: Sequence[str], change: Change, reason: str = "") -> Result:
    with _journalled(folder, command) as (register, run):
        edit = register.edit()
        closing = change(register, edit)
        slug = register.commune.slug
        if not edit.contents:
            run.forget()
            closing = "The register says so already; nothing was written."
            return Result(command, slug, summary={"agents": _facts(register, identifiers), "written": False}, closing=closing)
        noted = edit.save()
        after = open_register(folder)
        result = Result(
            command, slug, summary={"agents": _facts(after, identifiers), "written": True},
            problems=noted, closing=closing, next=f"telekit provision --commune {slug}",
        )  # fmt: skip
        run.finish(result, note="; ".join(part for part in (", ".join(identifiers), reason) if part))
        return result


@contextmanager
def _journalled(folder: Path, command: str) -> Iterator[tuple[Register, journal.Run]]:
    slug = open_register(folder).commune.slug
    with journal.run(folder, command, slug) as run:
        # Read again: whoever held the lock until now may have written.
        yield open_register(folder), run


def _facts(register: Register, identifiers: Sequence[str]) -> list[dict[str, object]]:
    from toolkit.register.listing import facts

    found: list[Agent] = [agent for agent in register.commune.agents if agent.identifier in identifiers]
    return [facts(register.commune, agent) for agent in found]
