"""HR's list of agents, a CSV file in the forms of agents.csv → the people in it."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.inventory.agents import refuse_backwards, refuse_twice, sheet
from toolkit.inventory.problems import Problems, Refused
from toolkit.inventory.text import decode
from toolkit.register.people import Listing, Person, harmless, listing

NEEDED = ("identifier", "last_name", "first_name")


def read(content: bytes, file: str, profiles: Mapping[str, str]) -> Listing:
    """Given the bytes of a CSV file, the people it lists; profiles: service → profile, for lines that name no profile."""
    problems = Problems(file)
    people: list[Person] = []
    try:
        found = sheet(decode(content), problems, NEEDED, foreign=True)
    except Refused as refused:
        problems.error(0, refused.what, refused.hint)
        found = None
    by_service = {service.casefold(): profile for service, profile in profiles.items()}
    records = [] if found is None else list(found.records(problems, NEEDED))
    for line, values in records:
        person = _person(line, values, by_service, problems)
        people += [person] if person else []
    refuse_twice([(line, str(values["identifier"])) for line, values in records if "identifier" in values], problems)
    return listing(file, people, problems)


def _person(line: int, values: dict[str, object], by_service: Mapping[str, str], problems: Problems) -> Person | None:
    if not all(name in values for name in NEEDED):
        return None
    refuse_backwards(line, values, problems)
    try:
        harmless(values)
    except Refused as refused:
        problems.error(line, refused.what, refused.hint)
    mapped = by_service.get(str(values.get("service", "")).casefold())
    if mapped and "profile" not in values:
        values["profile"] = mapped
    said = {name: value for name, value in values.items() if name != "identifier"}
    return Person(str(values["identifier"]), said, problems.place(line))
