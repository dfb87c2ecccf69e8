"""What recipes receive of what the ledger and the vault know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toolkit.ledger import LEFT, STOLEN, Ledger
from toolkit.model import Desktop, Gateway, KeyChange, Laptop, Machine, Secret
from toolkit.secrets import escrow_name, next_name, preshared_name, public_half
from toolkit.targets import Job, data_of

if TYPE_CHECKING:
    from toolkit.secrets import Vault


@dataclass(frozen=True)
class Handout:
    """Each machine receives its own and no other's; the vault is opened when somebody has something in it."""

    job: Job
    ledger: Ledger
    vault: Callable[[], Vault]

    def everything(self) -> dict[str, dict[str, object]]:
        """Machine name → its recipe's host.data, as things stand."""
        shared = self._preshared()
        return {
            machine.name: data_of(machine, self.job.commune, self._passwords(machine), shared) | self._own(machine)
            for machine in self.job.machines
        }

    def _own(self, machine: Machine) -> dict[str, object]:
        if isinstance(machine, Gateway):
            return self.escrow(machine) | self._successor(machine) | self._preshared_next()
        if isinstance(machine, Desktop):
            return self._voided() | self._second_factors(machine)
        return self._given_up(machine) | self._second_factor(machine) | self._rotation(machine)

    # -- a gateway ---------------------------------------------------------------------------------------------------

    def escrow(self, gateway: Gateway) -> dict[str, object]:
        """A gateway's own key, for the day on which it has none: the one that the laptops know, or nothing."""
        kept = self.vault().get(escrow_name(gateway.name))
        coming = self.ledger.successions.get(gateway.name)
        known = (self.ledger.keys.get(gateway.name), coming.key if coming else None)
        return {"escrow": kept} if kept is not None and public_half(kept) in known else {}

    def _successor(self, gateway: Gateway) -> dict[str, object]:
        """The private key that takes the place of its own; on its last day, as if it had done so already."""
        coming = self.ledger.successions.get(gateway.name)
        if coming is None:
            return {"successor": None}
        data: dict[str, object] = {"successor": self.vault().get(next_name(escrow_name(gateway.name)))}
        if not coming.concluding:
            return data
        commune = self.job.commune
        alone = replace(gateway, public_key=coming.key, next_key=None)
        gateways = tuple(alone if other.name == gateway.name else other for other in commune.gateways)
        return data | {"machine": alone, "commune": replace(commune, gateways=gateways)}

    def _preshared_next(self) -> dict[str, object]:
        """Laptop → what it will share with the gateway once it has its next key."""
        waiting = [laptop.name for laptop in self.job.commune.laptops if laptop.next_key]
        found = {name: self.vault().get(next_name(preshared_name(name))) for name in waiting}
        return {"preshared_next": {name: key for name, key in found.items() if key is not None}}

    # -- a desktop ---------------------------------------------------------------------------------------------------

    def _voided(self) -> dict[str, object]:
        """Whose password may be in a thief's hands."""
        agents = [entry.agent for entry in self.ledger.revoked if entry.reason == STOLEN]
        return {"voided": tuple(dict.fromkeys(agents))}

    def _second_factors(self, desktop: Desktop) -> dict[str, object]:
        """Agent identifier → seed and emergency codes."""
        from toolkit.second_factor import demanded

        commune = self.job.commune
        found = {agent.identifier: demanded(self.vault(), agent, commune) for agent in commune.agents_of(desktop)}
        return {"second_factors": {identifier: factor.whole for identifier, factor in found.items() if factor}}

    # -- a laptop ----------------------------------------------------------------------------------------------------

    def _given_up(self, laptop: Laptop) -> dict[str, object]:
        """Which keys went with an agent who left.

        A laptop that was stolen gets no other key by turning up: somebody has to look at it first.
        """
        mine = [entry for entry in self.ledger.revoked if entry.laptop == laptop.name and entry.reason == LEFT]
        return {"given_up": tuple(entry.key for entry in mine)} if mine else {}

    def _second_factor(self, laptop: Laptop) -> dict[str, object]:
        """Whether its agent is asked for a code."""
        from toolkit.second_factor import demanded

        agent = self.job.commune.agent_of.get(laptop.name)
        return {"second_factor": demanded(self.vault(), agent, self.job.commune) is not None} if agent else {}

    def _rotation(self, laptop: Laptop) -> dict[str, object]:
        """The rotation of its own key, if there is one."""
        change = self.ledger.under_way(laptop.name)
        if change is None:
            return {"rotation": None}
        # Not before the gateways know the key: the laptop tries it as soon as it has this.
        preshared = self.vault().get(next_name(preshared_name(laptop.name))) if change.told else None
        return {"rotation": KeyChange(change.key, change.until, preshared)}

    # -- what several have -------------------------------------------------------------------------------------------

    def _preshared(self) -> dict[str, Secret]:
        """Laptop → the key that it shares with the gateway, where the two have one."""
        if not any(isinstance(machine, Gateway | Laptop) for machine in self.job.machines):
            return {}
        enrolled = [laptop for laptop in self.job.commune.laptops if laptop.public_key]
        found = {laptop.name: self.vault().get(preshared_name(laptop.name)) for laptop in enrolled}
        return {name: key for name, key in found.items() if key is not None}

    def _passwords(self, machine: Machine) -> Mapping[str, Secret]:
        from toolkit.secrets import initial_password

        commune = self.job.commune
        agents = commune.agents_of(machine) if isinstance(machine, Desktop) else ()
        if machine.name in commune.agent_of:
            agents = (commune.agent_of[machine.name],)
        return {agent.identifier: initial_password(self.vault(), agent) for agent in agents}
