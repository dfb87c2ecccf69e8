"""What a check saw, without what it says about a person: evidence is about machines, and nobody's working hours."""

from __future__ import annotations

import re
from dataclasses import replace

from toolkit.model import Commune, Role
from toolkit.verify.result import NOT_CHECKED, PASSED, CheckResult, VerifyResult

# What these see when they pass is where somebody was, and when.
PERSONAL = frozenset({"shakes-hands", "keeps-a-record-of-tunnels", "the-town-hall-is-not-hidden"})
LEFT_OUT = "as expected; what was seen tells of a person and is not kept"
SILENT = "the machine did not answer"
WORD = re.compile(r"[\w.-]+")


def discreet(commune: Commune, found: VerifyResult) -> VerifyResult:
    """The same result, to be kept: no agent's name, no address from where somebody worked, no laptop that was off."""
    laptops = {machine.name for machine in commune.machines if machine.role is Role.LAPTOP}
    silent = {name: SILENT if name in laptops else why for name, why in found.unreachable.items()}
    # What another machine's check says of a laptop that is off tells as much as its own.
    people = {name: "a laptop" for name in silent if name in laptops} | {a.identifier: "an agent" for a in commune.agents}

    def told(result: CheckResult) -> CheckResult:
        if result.machine in silent and result.outcome == NOT_CHECKED:
            return replace(result, seen=silent[result.machine], detail=silent[result.machine])
        if result.outcome == PASSED and result.check.partition(":")[0] in PERSONAL:
            return replace(result, seen=LEFT_OUT, detail=LEFT_OUT)
        return replace(result, seen=_without(result.seen, people), detail=_without(result.detail, people))

    return replace(found, results=tuple(map(told, found.results)), unreachable=silent)


def _without(text: str, words: dict[str, str]) -> str:
    def said(word: re.Match[str]) -> str:
        name = word[0].rstrip(".-")
        return words.get(name, name) + word[0][len(name) :]

    return WORD.sub(said, text)
