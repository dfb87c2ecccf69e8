"""A new commune's folder: asked for, checked, written, never over one that is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from toolkit.atomic import replace_file
from toolkit.errors import Problem, UsageError
from toolkit.inventory import load
from toolkit.inventory.agents import HEADER
from toolkit.inventory.folder import CSV, KEYS, TOML
from toolkit.inventory.habits import insee
from toolkit.inventory.operators import parse as parse_operators
from toolkit.inventory.problems import Problems, Refused
from toolkit.inventory.toml import parse as parse_toml
from toolkit.inventory.values import address, domain, endpoint, host_label, network, network4, plain, ssh, text
from toolkit.model import HOME_NETWORKS, Network

TUNNEL_PREFIX = 22
Answers = dict[str, str]
# Given a question and a proposal, the answer.
Ask = Callable[[str, str], str]


@dataclass(frozen=True)
class Question:
    """One thing that only the town hall knows. propose: from the answers so far; several: comma-separated."""

    key: str
    words: str
    parse: Callable[[object], object]
    propose: Callable[[Answers], str] = lambda _: ""
    several: bool = False
    optional: bool = False


def questions(inventories: Path) -> tuple[Question, ...]:
    """In the order in which they are asked; later ones propose from earlier answers."""
    return (
        Question("name", "Name of the commune", text),
        Question("slug", "Short name, for the folder and --commune", host_label, lambda a: plain(a["name"])),
        Question("insee", "INSEE code (5 characters)", insee),
        Question("domain", "Internet domain of the town hall", domain, lambda a: f"{a['slug']}.fr"),
        Question("contact", "Whom agents call when something does not work", text, lambda _: "Support informatique"),
        Question("lan", "The town hall's networks (CIDR, comma-separated)", network, several=True),
        Question("admin", "From where administrators use SSH", network, lambda a: a["lan"], several=True),
        Question("dns", "The town hall's DNS servers (may be empty)", address, several=True, optional=True),
        Question("tunnel", "A network for the tunnel, not in use", network4, lambda a: propose_tunnel(a["lan"], inventories)),
        Question("gateway", "Name of the gateway", host_label, lambda _: "gw-mairie"),
        Question("gateway_ssh", "Where the gateway's SSH answers", ssh, lambda a: _first_address(a["lan"])),
        Question("endpoint", "Public name and UDP port of the VPN", endpoint, lambda a: f"vpn.{a['domain']}:51820"),
    )  # fmt: skip


def answered(given: Mapping[str, str | None], inventories: Path, ask: Ask | None) -> Answers:
    """What was given, else asked for, else proposed where nobody can be asked."""
    answers: Answers = {}
    for question in questions(inventories):
        try:
            answers[question.key] = _answer(question, given.get(question.key), answers, ask)
        except Refused as refused:
            raise UsageError(refused.what, where=f"--{question.key.replace('_', '-')}", hint=refused.hint) from None
    return answers


def _answer(question: Question, value: str | None, answers: Answers, ask: Ask | None) -> str:
    if value is not None or ask is None:
        return parsed(question, question.propose(answers) if value is None else value)
    words, proposal = question.words, question.propose(answers)
    while True:
        try:
            return parsed(question, ask(words, proposal))
        except Refused as refused:
            words = f"  {refused.what}{f' ({refused.hint})' if refused.hint else ''}\n{question.words}"


def parsed(question: Question, answer: str) -> str:
    """The answer as it will be written, or Refused."""
    if not question.several:
        if not answer.strip():
            raise Refused("must be given")
        return str(question.parse(answer))
    items = [item for item in re.split(r"[,;\s]+", answer.strip()) if item]
    if not items and not question.optional:
        raise Refused("must be given")
    return ", ".join(str(question.parse(item)) for item in items)


def propose_tunnel(lan: str, inventories: Path) -> str:
    """The first /22 of 10.128.0.0/9 that overlaps neither the LAN, nor a usual home range, nor another commune's networks."""
    taken = [*HOME_NETWORKS, *(network(item) for item in lan.split(", ") if item), *_neighbours(inventories)]
    mine = [n for n in taken if isinstance(n, IPv4Network)]
    candidates = IPv4Network("10.128.0.0/9").subnets(new_prefix=TUNNEL_PREFIX)
    free = (candidate for candidate in candidates if not any(candidate.overlaps(n) for n in mine))
    found = next(free, None)
    return str(found) if found else ""


def _neighbours(inventories: Path) -> Iterator[Network]:
    """The LANs and tunnels of the communes beside it, also of those that do not pass `check`."""
    for file in sorted(inventories.glob(f"*/{TOML}")):
        document = parse_toml(file.read_text(encoding="utf-8", errors="replace"), Problems(str(file)))
        section = document.values.get("network") if document else None
        if isinstance(section, dict):
            yield from _networks([section.get("tunnel"), *_listed(section.get("lan"))])


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _networks(values: Iterable[object]) -> Iterator[Network]:
    for value in values:
        try:
            yield network(value)
        except Refused:
            continue


def _first_address(lan: str) -> str:
    return str(network(lan.split(", ")[0])[1])


def public_keys(folder: Path) -> tuple[str, ...]:
    """The lines of ~/.ssh/*.pub that can open the vault."""
    files = sorted(folder.glob("*.pub")) if folder.is_dir() else []
    lines = [line.strip() for file in files for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    return tuple(line for line in dict.fromkeys(lines) if line and _accepted(line))


def _accepted(line: str) -> bool:
    problems = Problems(KEYS)
    return bool(parse_operators(line, problems)) and not problems.in_order()


def write(inventories: Path, answers: Answers, keys: Sequence[str]) -> tuple[Path, tuple[Problem, ...]]:
    """Write the folder, and prove that `check` accepts it; its warnings."""
    folder = inventories / answers["slug"]
    if folder.exists():
        raise UsageError("it is there already, and stays as it is", where=str(folder), hint="choose another --slug")
    folder.mkdir(parents=True, mode=0o755)
    made = {TOML: render(answers), CSV: HEADER + "\n", KEYS: "".join(f"{key}\n" for key in keys)}
    for name, content in made.items():
        if content:
            replace_file(folder / name, content.encode(), mode=0o644)
    return folder, load(folder).warnings


def render(answers: Answers) -> str:
    """commune.toml with what was answered, and the rest to uncomment."""
    return TEMPLATE.format(
        **{key: quoted(value) for key, value in answers.items()}, title=answers["name"], **_lists(answers), **_examples(answers)
    )


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _lists(answers: Answers) -> dict[str, str]:
    """The TOML lists; zones are answered for by the town hall's servers, where it has some."""
    keys = ("lan", "admin", "dns")
    lists = {f"{key}_list": "[" + ", ".join(quoted(i) for i in answers[key].split(", ") if i) + "]" for key in keys}
    return lists | {"zones_list": f"[{quoted(answers['domain'])}]" if answers["dns"] else "[]"}


def _examples(answers: Answers) -> dict[str, str]:
    """Addresses of its own LAN for the lines to uncomment."""
    lan = network(answers["lan"].split(", ")[0])
    last = int(lan.num_addresses) - 2
    return {
        "desktop_address": str(lan[min(21, last)]), "application_address": str(lan[min(15, last)]),
        "bench_address": str(lan[min(42, last)]), "bench": str(lan),
    }  # fmt: skip


TEMPLATE = """\
# {title} for telekit: what IT staff write by hand. Beside it: agents.csv (who) and operators.keys (who administers).
# Lines that begin with # are examples. After every change: telekit check, telekit plan, telekit provision.

[commune]
name    = {name}
insee   = {insee}
domain  = {domain}
# Agents read this when something does not work.
contact = {contact}

[network]
lan    = {lan_list}
# Every laptop gets one address of the tunnel, for good.
tunnel = {tunnel}
# The town hall's own DNS servers, and the zones that they answer for.
dns    = {dns_list}
zones  = {zones_list}
# From where administrators use SSH; where laptops are prepared.
admin  = {admin_list}
# bench = ["{bench}"]
# full: everything through the tunnel; split: only the LAN.
mode   = "full"

[[gateway]]
name     = {gateway}
ssh      = {gateway_ssh}
endpoint = {endpoint}

# [[desktop]]
# name    = "bureau-finances-03"
# address = "{desktop_address}"
# An identifier of agents.csv; without owner it is a shared session host.
# owner   = "m.durand"

# [[laptop]]
# name = "portable-042"
# Its address on the bench, for its first time.
# ssh  = "{bench_address}"

# [application.finances]
# title   = "Gestion financière"
# address = "{application_address}"
# tcp     = [443]

# [profile.comptable]
# applications = ["finances"]
"""
