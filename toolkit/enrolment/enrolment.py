"""What telekit hands out to a commune's machines: addresses, keys, certificates, first passwords."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from toolkit import ledger
from toolkit.behind import behind, ready
from toolkit.enrolment.handout import Handout
from toolkit.errors import TelekitError
from toolkit.ledger import AuthorityChange, Succession
from toolkit.model import Desktop, Gateway, Laptop, Machine, Secret
from toolkit.result import counted
from toolkit.secrets import (
    escrow_name,
    new_preshared_key,
    new_private_key,
    next_name,
    preshared_name,
    public_half,
    tunnel_key_name,
)
from toolkit.targets import Job

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from toolkit.secrets import Vault

FOREIGN = "its WireGuard key is neither the one that the laptops know nor the one that is kept for it in the secrets"
OWN_BACK = "remove /etc/wireguard/private.key there and provision: it gets its own back, and no laptop notices"
# A signing request has some hundreds; who sends much more means no good.
CHARACTERS = 8192


class Enrolment:
    """The commune of a job with everything that the ledger and the vault know; nothing is written before `save`."""

    def __init__(self, job: Job, *, as_of: Path | None = None) -> None:
        """as_of: a folder with an earlier ledger, for an earlier inventory."""
        self.folder = job.folder
        self._written = job.commune
        self._names = job.names
        self.ledger = ledger.read(as_of or job.folder).allocated(job.commune)
        # The laptops that are here, and have not yet written down that their new key is theirs.
        self._trying: set[str] = set()
        # The agents who must have a second factor, and have been given none so far.
        self._codeless: set[str] = set()
        self._forced = False
        self.job = self._completed(job)

    def _completed(self, job: Job) -> Job:
        commune = replace(self.ledger.complete(self._written), authority=self._authority())
        machines = tuple(machine for machine in commune.machines if machine.name in self._names)
        return replace(job, commune=commune, machines=machines)

    def _authority(self) -> str | None:
        from toolkit import authority

        file = self.folder / authority.FILE
        return file.read_text(encoding="ascii") if file.is_file() else None

    @cached_property
    def _vault(self) -> Vault:
        return self.job.vault()

    def prepare(self) -> None:
        """All that can fail without any machine, before any machine is touched: secrets, the authority, addresses."""
        change = self.ledger.authority
        if change is not None and (self._forced or ready(self.job.commune, change)):
            self._advance(change)
        self._ensured()
        self.save()
        self.job = self._completed(self.job)

    def save(self) -> None:
        """Keep what was handed out: the secrets first, since the ledger speaks of them."""
        if "_vault" in self.__dict__:
            self._vault.save()
        ledger.write(self.folder, self.ledger)

    # -- what recipes receive ----------------------------------------------------------------------------------------

    @property
    def _handout(self) -> Handout:
        return Handout(self.job, self.ledger, lambda: self._vault)

    def data(self) -> dict[str, dict[str, object]]:
        """Machine name → its recipe's host.data, as things stand."""
        from toolkit.second_factor import codeless

        self._codeless.update(agent.identifier for agent in codeless(lambda: self._vault, self.job.commune))
        return self._handout.everything()

    def warnings(self, machine: Machine) -> tuple[str, ...]:
        """What somebody should know before it is provisioned."""
        agents = self.job.commune.agents_of(machine) if isinstance(machine, Desktop) else ()
        who = [agent.identifier for agent in agents if agent.identifier in self._codeless]
        if not who:
            return ()
        more = f" and {counted(len(who) - 1, 'other')}" if len(who) > 1 else ""
        first = f"telekit agent kit {who[0]}"
        return (f"{who[0]}{more} cannot log in before they have a kit, with the code that it asks them for: {first}",)

    def known_passwords(self) -> dict[str, Secret]:
        """Agent identifier → first password, for the agents who were given one."""
        found = {a.identifier: self._vault.get(f"password/{a.identifier}") for a in self.job.commune.agents}
        return {identifier: password for identifier, password in found.items() if password is not None}

    def known_seeds(self) -> dict[str, Secret]:
        """Agent identifier → seed of the second factor, for the agents whose desktop asks for its codes."""
        from toolkit.second_factor import asked, known

        commune = self.job.commune
        found = {a.identifier: known(self._vault, a) for a in commune.active_agents if asked(a, commune)}
        return {identifier: factor.seed for identifier, factor in found.items() if factor}

    # -- what machines answered --------------------------------------------------------------------------------------

    def record(self, answers: Mapping[str, str]) -> dict[str, str]:
        """Enter the machines' public halves, issue certificates, save; machine name → why it cannot go on."""
        issuer, change = self._ensured(), self.ledger.authority
        if change is not None and change.issuing:
            issuer = change.pem
        refused: dict[str, str] = {}
        self.ledger = self.ledger.outlasted(self.job.commune.today, made=False)
        told = all(gateway.name in answers for gateway in self.job.commune.gateways)
        for machine in self.job.machines:
            if machine.name in answers:
                try:
                    self._enter(machine, answers[machine.name].strip(), issuer, told=told)
                except TelekitError as error:
                    refused[machine.name] = str(replace(error.problem, where=""))
        self.save()
        self.job = self._completed(self.job)
        return refused | self._incomplete(set(answers) - set(refused))

    @property
    def handshakes_matter(self) -> bool:
        """Whether a kit is not known to be used or void, or a new key to have shaken hands."""
        kits = any(not kit.used and not kit.lapsed for kit in self.ledger.kits.values())
        return kits or self.keys_change

    @property
    def keys_change(self) -> bool:
        """Whether there is a second key, a laptop's or a gateway's, which the gateways must know before a laptop uses it."""
        coming = any(rotation.key and not rotation.lapsed for rotation in self.ledger.rotations.values())
        return coming or bool(self.ledger.successions)

    def told(self) -> None:
        """The gateways know every key that is to come; and have their new ones alone, where they were to conclude."""
        self.ledger = self.ledger.told()
        for name, coming in self.ledger.successions.items():
            if coming.concluding:
                self._succeed(name)
        self.save()
        self.job = self._completed(self.job)

    def succession(self, until: date) -> None:
        """Begin to replace the gateways' own keys, or go on until then. `prepare` writes it: the new key is kept first."""
        for gateway in self._written.gateways:
            coming = self.ledger.successions.get(gateway.name)
            if coming is None:
                private = new_private_key()
                self._vault.put(next_name(escrow_name(gateway.name)), private)
                coming = Succession(self.job.commune.today, until, public_half(private))
            self.ledger = self.ledger.succeeding(gateway.name, replace(coming, until=until))
        self.job = self._completed(self.job)

    def informed(self, names: Iterable[str]) -> None:
        """These machines have what they were to have: laptops the keys that are to come, desktops their certificates."""
        before, commune, change = self.ledger, self.job.commune, self.ledger.authority
        laptops = {laptop.name for laptop in commune.laptops} & set(names)
        for name, coming in self.ledger.successions.items():
            if coming.told:
                known = tuple(sorted({*coming.informed, *laptops}))
                self.ledger = self.ledger.succeeding(name, replace(coming, informed=known))
        if change is not None:
            mine = {desktop.name for desktop in commune.desktops} & set(names) if change.issuing else laptops
            self.ledger = replace(self.ledger, authority=replace(change, informed=tuple(sorted({*change.informed, *mine}))))
        if self.ledger != before:
            self.save()

    def replace_authority(self, until: date) -> None:
        """Begin to replace the commune's authority, or give people with kits until then. `prepare` writes it."""
        from toolkit import authority

        change = self.ledger.authority
        if change is None:
            change = AuthorityChange(self.job.commune.today, until, authority.successor(self._vault, self._written))
        self.ledger = replace(self.ledger, authority=replace(change, until=until))
        self.job = self._completed(self.job)

    def force_authority(self) -> None:
        """Have `prepare` take the next step of the authority's change, whoever it is too early for."""
        self._forced = True

    def _advance(self, change: AuthorityChange) -> None:
        """Desktops get certificates of the new authority; then the old one is trusted and kept no more."""
        from toolkit import authority

        if change.issuing:
            authority.succeed(self.folder, self._vault, change.pem)
            self.ledger = replace(self.ledger, authority=None)
        else:
            self.ledger = replace(self.ledger, authority=replace(change, issuing=True, informed=()))

    def conclude(self) -> None:
        """Have the gateways' old keys go with the next visit to them."""
        for name, coming in self.ledger.successions.items():
            if coming.told:
                self.ledger = self.ledger.succeeding(name, replace(coming, concluding=True))

    @property
    def succession_waits(self) -> bool:
        """Whether a gateway's old key goes as soon as every device uses the new one."""
        return any(coming.told and not coming.concluding for coming in self.ledger.successions.values())

    def concludes(self, keys: Collection[str]) -> bool:
        """Whether all devices use the gateways' next keys, given the public keys of those that do: then the old ones go."""
        waits = [coming for coming in self.ledger.successions.values() if coming.told and not coming.concluding]
        return bool(waits) and not any(behind(self.job.commune, coming, keys) for coming in waits)

    def moved(self, keys: Collection[str]) -> None:
        """Given the public keys of the devices that use a gateway's next key: when all do, the old one goes."""
        if self.concludes(keys):
            self.conclude()
            self.save()

    def _succeed(self, name: str) -> None:
        """The gateway has its new key and no other; of the old one, no copy is kept."""
        self._vault.promote(next_name(escrow_name(name)), escrow_name(name))
        self.ledger = self.ledger.succeeded(name, self.job.commune.today)

    def rotate(self, names: Iterable[str], until: date) -> None:
        """Begin to replace these laptops' keys: managed ones make theirs when they are reached. `prepare` writes it."""
        today = self.job.commune.today
        for name in names:
            self.ledger = self.ledger.rotating(name, today, until)
            if not self.job.commune.laptop_named[name].managed:
                private = new_private_key()
                self._vault.put(next_name(tunnel_key_name(name)), private)
                self._offer(name, public_half(private))
        self.job = self._completed(self.job)

    def _offer(self, name: str, public: str) -> None:
        """A key pair has its own preshared key: so laptops from before preshared keys get theirs, too."""
        self.ledger = self.ledger.offered(name, public)
        self._vault.put(next_name(preshared_name(name)), new_preshared_key())

    def _conclude(self, name: str) -> None:
        """The new key has shaken hands: what goes with it takes the old one's place, too."""
        self.ledger = self.ledger.rotated(name, self.job.commune.today)
        for kept in (preshared_name(name), tunnel_key_name(name)):
            self._vault.promote(next_name(kept), kept)

    def arrived(self, keys: Collection[str]) -> None:
        """Given the public keys that have ever shaken hands with the gateway, a kit that nobody used in time is void.

        The key that it shares with the gateway is replaced, so that not even a copy of it opens a tunnel some day.
        A new key that is among them is the laptop's key; one that is not, after the last day for it, is given up.
        """
        for name in set(self.ledger.shaken(keys)) - self._trying:
            self._conclude(name)
        self.ledger = self.ledger.outlasted(self.job.commune.today, made=True)
        self.ledger = self.ledger.arrived(keys)
        late = self.ledger.overdue(self.job.commune.today)
        for name in late:
            self._vault.put(preshared_name(name), new_preshared_key())
        self.ledger = self.ledger.lapsed(late)
        self.save()
        self.job = self._completed(self.job)

    @property
    def without_escrow(self) -> tuple[str, ...]:
        """The gateways whose own key is not among the secrets yet."""
        return tuple(m.name for m in self.job.machines if isinstance(m, Gateway) and not self._handout.escrow(m))

    def keep(self, name: str, private: Secret) -> None:
        """Keep a gateway's own key, if it is the one that the laptops know; UsageError if it is none at all."""
        if public_half(private) == self.ledger.keys.get(name):
            self._vault.put(escrow_name(name), private)
            self.save()

    def _ensured(self) -> str:
        from toolkit import authority

        present = self._authority()
        if present is not None and not any(isinstance(machine, Desktop) for machine in self.job.machines):
            return present
        return authority.ensure(self.folder, self._vault, self._written)

    def _enter(self, machine: Machine, public: str, authority: str, *, told: bool) -> None:
        """told: every gateway is here to be told what follows from it."""
        if len(public) > CHARACTERS:
            raise TelekitError(f"what it gave has {len(public)} characters", where=machine.name)
        if isinstance(machine, Desktop):
            self._certify(machine, public, authority)
            return
        coming = self.ledger.successions.get(machine.name)
        if isinstance(machine, Gateway) and coming is not None and public == coming.key:
            # It was cut off after it had concluded.
            self._succeed(machine.name)
            return
        if isinstance(machine, Gateway):
            self._recognize(machine, public)
        if isinstance(machine, Laptop):
            self._enter_laptop(machine.name, *public.split("\n", 1), told=told)
            return
        self.ledger = self.ledger.enrolled(machine.name, public, self.job.commune.today)

    def _enter_laptop(self, name: str, public: str, coming: str = "", *, told: bool) -> None:
        """coming: the key that it has made to take the place of the present one, if a rotation asked for it."""
        known, change = self.ledger.keys.get(name), self.ledger.rotations.get(name)
        if coming and coming == known:
            # Its new key has shaken hands, and it was cut off before it could write that down: it tries again by itself.
            return
        if change and public == change.key:
            if told:
                self._conclude(name)
            return
        self._trying |= {name} if coming else set()
        self.ledger = self.ledger.enrolled(name, public, self.job.commune.today)
        if public != known:
            self._vault.put(preshared_name(name), new_preshared_key())
            self._vault.delete(next_name(preshared_name(name)))
        elif coming and (current := self.ledger.under_way(name)) and coming != current.key:
            self._offer(name, coming)

    def _recognize(self, gateway: Gateway, public: str) -> None:
        """A gateway with another key would shut out every laptop that is not at hand."""
        kept = self._vault.get(escrow_name(gateway.name))
        if kept is not None and public not in (public_half(kept), self.ledger.keys.get(gateway.name)):
            raise TelekitError(FOREIGN, where=gateway.name, hint=OWN_BACK)

    def _certify(self, desktop: Desktop, csr: str, ca: str) -> None:
        from toolkit import authority

        commune, present = self.job.commune, desktop.certificate
        if not present or authority.due(present, commune.today, desktop=desktop, commune=commune, ca_pem=ca, csr_pem=csr):
            self.ledger = self.ledger.certified(desktop.name, authority.issue(self._vault, ca, csr, desktop, commune))

    def _incomplete(self, answered: set[str]) -> dict[str, str]:
        """Without the gateway's key no laptop can have a tunnel: its recipe would write one that never opens."""
        gateway = self.job.commune.gateway
        if gateway.public_key:
            return {}
        reason = f"{gateway.name} has no key yet: provision it first or together"
        return {machine.name: reason for machine in self.job.commune.laptops if machine.name in answered}
