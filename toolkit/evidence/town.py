"""The town hall as the inventory has it: a drawing, its machines, and what agents reach, in numbers and never by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from toolkit.evidence.blocks import BAD, GOOD, OPEN, Block, Cell, Column, Figure, Section, Table, Text
from toolkit.evidence.network import network
from toolkit.evidence.record import Record
from toolkit.evidence.words import Words
from toolkit.model import Commune, Machine, Mode, Role, SecondFactor
from toolkit.verify.result import DEROGATION, FAILED, NOT_CHECKED, PASSED

# Up to this many machines stand in the table each; of more, those that want attention.
EACH, SHOWN = 60, 60


def town(words: Words, commune: Commune) -> Section:
    """How the machines are connected."""
    mode = words("mode_full" if commune.network.mode is Mode.FULL else "mode_split")
    drawing = network(words, commune)
    figure = Figure(words("network_alt", **_sizes(commune)), words("network_caption"), drawing)
    return Section("reseau", words("network"), (Text(words("network_is")), figure, Text(mode)))


def _sizes(commune: Commune) -> dict[str, object]:
    return {"laptops": len(commune.laptops), "desktops": len(commune.desktops), "applications": len(commune.applications)}


# -- machines --------------------------------------------------------------------------------------------------------


def machines(words: Words, commune: Commune, record: Record) -> Section:
    """By role, and one by one where that can be read."""
    return Section("machines", words("machines"), tuple(_machine_blocks(words, commune, record)))


def _machine_blocks(words: Words, commune: Commune, record: Record) -> Iterator[Block]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in record.found.machines}
    for result in record.found.results:
        counts[result.machine][result.outcome] += 1
    examined = [machine for machine in commune.machines if machine.name in counts]
    yield _roles(words, commune, record, examined, counts)
    foreign = sum(not laptop.managed for laptop in commune.laptops)
    if foreign:
        yield Text(words.some(foreign, "foreign"))
    silent = [m for m in examined if m.name in record.found.unreachable]
    if any(m.role is Role.LAPTOP for m in silent):
        yield Text(words("silent_laptops"))
    named = [m for m in examined if m not in silent or m.role is not Role.LAPTOP]
    if len(examined) > EACH:
        named = [m for m in named if m in silent or counts[m.name][FAILED] or counts[m.name][DEROGATION]]
        if not named:
            yield Text(words("machines_all_well"))
            return
    yield _each(words, record, named[:SHOWN], counts, few=len(examined) > EACH)
    if len(named) > SHOWN:
        yield Text(words.some(len(named) - SHOWN, "more_machines"))


def _roles(
    words: Words, commune: Commune, record: Record, examined: Sequence[Machine], counts: dict[str, Counter[str]]
) -> Table:  # fmt: skip
    rows = []
    for role in Role:
        mine = [m for m in examined if m.role is role]
        silent = sum(m.name in record.found.unreachable for m in mine)
        failed = sum(bool(counts[m.name][FAILED]) for m in mine)
        total = sum(m.role is role for m in commune.machines)
        cells = [len(mine), len(mine) - silent - failed, failed, silent]
        tones = (GOOD if cells[1] else "", BAD if failed else "", BAD if silent else "")
        rows.append(
            (Cell(words.name("roles", role)), Cell(words.number(total)), Cell(words.number(cells[0])),
             *(Cell(words.number(n), tone) for n, tone in zip(cells[1:], tones, strict=True)))
        )  # fmt: skip
    titles = ("role", "in_inventory", "examined", "in_order", "to_be_mended", "silent")
    return Table(
        words("by_role"), tuple(Column(words(t), number=t != "role", share=3 if t == "role" else 2) for t in titles), tuple(rows)
    )


def _each(
    words: Words, record: Record, named: Sequence[Machine], counts: dict[str, Counter[str]], *, few: bool
) -> Table:  # fmt: skip
    rows = []
    for machine in named:
        count, silent = counts[machine.name], record.found.unreachable.get(machine.name)
        state = Cell(words("state_silent"), BAD) if silent else Cell(words("state_bad"), BAD) if count[FAILED] else None
        if state is None:
            state = Cell(words("state_good"), GOOD) if count[PASSED] else Cell(words("state_unknown"), OPEN)
        numbers = (Cell(str(count[o])) for o in (PASSED, FAILED, NOT_CHECKED, DEROGATION))
        rows.append((Cell(machine.name), Cell(words.name("roles", machine.role)), *numbers, state))
    titles = ("machine", "role", "column_passed", "column_failed", "column_unchecked", "column_accepted", "state")
    columns = tuple(Column(words(t), number=t.startswith("column_"), share=3 if t == "machine" else 2) for t in titles)
    return Table(words("machines_few" if few else "machines_each"), columns, tuple(rows))


# -- agents and accesses ---------------------------------------------------------------------------------------------


def agents(words: Words, commune: Commune) -> Section:
    """How many may telework and what functions reach: nobody's name, and nobody's hours."""
    return Section("acces", words("agents"), tuple(_agent_blocks(words, commune)))


def _agent_blocks(words: Words, commune: Commune) -> Iterator[Block]:
    active = commune.active_agents
    suspended = sum(bool(a.suspended and a.suspended <= commune.today) for a in commune.agents)
    soon = sum(bool(a.last_day and a.last_day <= commune.horizon) for a in active)
    extras = sum(extra.until >= commune.today for extra in commune.extras)
    yield Text(words("agents_are"))
    numbers = {"active": len(active), "suspended": suspended, "soon": soon, "days": commune.policy.ending_soon_days}
    said = {name: words.number(number) for name, number in numbers.items()}
    yield Text(words("agents_numbers", agents=words.count(len(commune.agents), "agent"), **said))
    if extras:
        yield Text(words.some(extras, "extras"))
    yield _profiles(words, commune)
    yield _applications(words, commune)


def _profiles(words: Words, commune: Commune) -> Table:
    number = Counter(agent.profile for agent in commune.active_agents)
    rows = tuple(
        (
            Cell(profile.name), Cell(words.number(number[profile.name])),
            Cell(words.name("factors", profile.second_factor), GOOD if profile.second_factor is SecondFactor.REQUIRED else OPEN),
            Cell(", ".join(commune.application_keyed[key].title for key in profile.applications) or "—"),
        )
        for profile in commune.profiles
    )  # fmt: skip
    columns = (Column(words("function"), share=2), Column(words("active_agents"), number=True, share=1),
               Column(words("second_factor"), share=2), Column(words("applications"), share=5))  # fmt: skip
    return Table(words("by_function"), columns, rows)


def _applications(words: Words, commune: Commune) -> Table:
    number = Counter(app.key for agent in commune.active_agents for app in commune.applications_of(agent))
    rows = tuple(
        (Cell(app.title), Cell(app.owner or "—"), Cell(_ports(app.tcp, app.udp)), Cell(words.number(number[app.key])))
        for app in commune.applications
    )
    columns = (Column(words("application"), share=4), Column(words("owner"), share=3), Column(words("ports"), share=2),
               Column(words("reached_by"), number=True, share=2))  # fmt: skip
    return Table(words("by_application"), columns, rows)


def _ports(tcp: Sequence[int], udp: Sequence[int]) -> str:
    return ", ".join([*(f"TCP {port}" for port in tcp), *(f"UDP {port}" for port in udp)])
