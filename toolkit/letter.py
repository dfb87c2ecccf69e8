"""The letter by which an agent learns the first password of their remote desktop: written to a file, never to a screen."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit import journal
from toolkit.errors import UsageError
from toolkit.inventory.problems import guess
from toolkit.model import Agent, Commune, Secret
from toolkit.result import Result
from toolkit.secrets import initial_password
from toolkit.targets import Job

LETTER = """\
{commune}

À l'attention de {agent}

Votre bureau à distance : {desktop}
Votre identifiant       : {identifier}
Votre premier mot de passe : {password}

Il ouvre votre session sur l'ordinateur portable de la mairie et sur votre bureau à distance.
Ouvrez votre ordinateur portable, attendez que le tunnel soit établi, puis ouvrez l'icône « Mon bureau » et
saisissez cet identifiant et ce mot de passe. Ne les confiez à personne : aucun collègue, aucun technicien
ne vous les demandera. Détruisez cette lettre après votre première connexion.
{contact}"""


def write(job: Job, identifier: str, output: Path) -> Result:
    """Put the agent's first password into a new file that only its owner can read, and note who did."""
    agent = _agent(job.commune, identifier)
    key = job.identities[0] if job.identities else None
    with journal.run(job.folder, "password", job.commune.slug, key=key) as run:
        vault = job.vault()
        password = initial_password(vault, agent)
        vault.save()
        _create(output, text(job.commune, agent, password))
        result = Result(
            "password", job.commune.slug, summary={"agent": identifier, "output": str(output)},
            closing=f"The letter for {agent.full_name} is in {output}; delete it once it is handed over.",
        )  # fmt: skip
        run.finish(result, note=f"letter for {identifier}")
        return result


def _agent(commune: Commune, identifier: str) -> Agent:
    agent = next((a for a in commune.agents if a.identifier == identifier), None)
    if agent is None:
        hint = guess(identifier, [a.identifier for a in commune.agents]) or "see agents.csv"
        raise UsageError(f"{commune.slug} has no agent `{identifier}`", hint=hint)
    if not (agent.desktop or agent.laptop):
        raise UsageError(f"{identifier} has neither desktop nor laptop, and so no password", hint="give one in agents.csv")
    return agent


def text(commune: Commune, agent: Agent, password: Secret) -> str:
    """The letter."""
    contact = f"\nEn cas de difficulté : {commune.contact}\n" if commune.contact else ""
    return LETTER.format(
        commune=commune.name, agent=agent.full_name, desktop=agent.desktop or "—", identifier=agent.identifier,
        password=password.reveal(), contact=contact,
    )  # fmt: skip


def _create(output: Path, content: str) -> None:
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise UsageError("it is there already, and stays as it is", where=str(output), hint="name another file") from error
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(output)) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
