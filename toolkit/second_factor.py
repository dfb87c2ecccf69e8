"""The second factor of remote desktops: each agent's seed and emergency codes in the vault, and the codes made of a seed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as randomness
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from toolkit.model import Agent, Commune, SecondFactor, Secret

if TYPE_CHECKING:
    from toolkit.secrets import Vault

# What authenticator applications take without being told: SHA-1, six digits, half a minute (RFC 6238).
DIGITS, STEP = 6, 30
SEED_BYTES = 20
# The desktop's module knows them by their eight digits, of which the first is not zero.
EMERGENCY_CODES, SMALLEST, LARGEST = 8, 10_000_000, 99_999_999


@dataclass(frozen=True, slots=True)
class Factor:
    """An agent's seed, in base32, and the emergency codes that it began with, one a line."""

    seed: Secret
    emergency: Secret

    @property
    def whole(self) -> Secret:
        """Both as a desktop's recipe takes them."""
        return Secret(f"{self.seed.reveal()}\n{self.emergency.reveal()}")


def seed_name(agent: Agent) -> str:
    """The vault's name for an agent's seed."""
    return f"totp/{agent.identifier}"


def emergency_name(agent: Agent) -> str:
    """The vault's name for an agent's emergency codes."""
    return f"totp-codes/{agent.identifier}"


def known(vault: Vault, agent: Agent) -> Factor | None:
    """What the vault has for an agent; None: not enrolled."""
    seed, emergency = vault.get(seed_name(agent)), vault.get(emergency_name(agent))
    return Factor(seed, emergency or Secret("")) if seed is not None else None


def renewed(vault: Vault, agent: Agent) -> Factor:
    """A new seed and new emergency codes in the vault, whatever was there."""
    codes: set[int] = set()
    while len(codes) < EMERGENCY_CODES:
        codes.add(SMALLEST + randomness.randbelow(LARGEST - SMALLEST + 1))
    seed = Secret(base64.b32encode(randomness.token_bytes(SEED_BYTES)).decode())
    factor = Factor(seed, Secret("\n".join(map(str, codes))))
    vault.put(seed_name(agent), factor.seed)
    vault.put(emergency_name(agent), factor.emergency)
    return factor


def asked(agent: Agent, commune: Commune) -> bool:
    """Whether the agent's desktop asks for a code, or would after a kit."""
    return commune.second_factor_of(agent) is not SecondFactor.OFF


def demanded(vault: Vault, agent: Agent, commune: Commune) -> Factor | None:
    """What the agent's desktop asks for: made on first ask where it is required, what there is where it is optional."""
    match commune.second_factor_of(agent):
        case SecondFactor.REQUIRED:
            return known(vault, agent) or renewed(vault, agent)
        case SecondFactor.OPTIONAL:
            return known(vault, agent)
    return None


def codeless(vault: Callable[[], Vault], commune: Commune) -> list[Agent]:
    """The agents who must have a second factor and have none yet; the vault is opened for them alone."""
    must = [agent for agent in commune.active_agents if commune.second_factor_of(agent) is SecondFactor.REQUIRED]
    return [agent for agent in must if known(vault(), agent) is None]


def handed_out(vault: Vault, agent: Agent, commune: Commune) -> Factor | None:
    """What goes into the agent's kit: with a kit, those to whom it is left enrol too."""
    return known(vault, agent) or renewed(vault, agent) if asked(agent, commune) else None


def code(seed: Secret, at: float) -> Secret:
    """The code of a moment, in seconds since 1970."""
    counter = int(at // STEP).to_bytes(8, "big")
    digest = hmac.digest(base64.b32decode(seed.reveal()), counter, hashlib.sha1)
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return Secret(f"{number % 10**DIGITS:0{DIGITS}}")


def address(agent: Agent, commune: Commune, seed: Secret) -> Secret:
    """What an authenticator application reads from a QR code: the seed, and under what name it shows its codes."""
    issuer = quote(commune.name, safe="")
    return Secret(f"otpauth://totp/{issuer}:{quote(agent.identifier, safe='')}?secret={seed.reveal()}&issuer={issuer}")
