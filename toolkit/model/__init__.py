"""What telekit knows of a town hall: frozen, typed, valid, and without any input or output.

`toolkit.inventory` makes a Commune from files; `toolkit.ledger` completes it with tunnel addresses and public keys.
Every default of the inventory format stands here and nowhere else.
"""

from toolkit.model.choices import Clipboard, Mode, Role, SecondFactor, System
from toolkit.model.commune import Access, Commune
from toolkit.model.machines import Desktop, Gateway, KeyChange, Laptop, Machine
from toolkit.model.network import HOME_NETWORKS, NOT_INTERNET, RDP_PORT, Address, Endpoint, LocalNetwork, Network, SshAddress
from toolkit.model.people import Agent, Application, Derogation, Extra, Grant, Operator, Profile
from toolkit.model.secret import Secret
from toolkit.model.settings import Antivirus, Directory, Policy

__all__ = [
    "HOME_NETWORKS",
    "NOT_INTERNET",
    "RDP_PORT",
    "Access",
    "Address",
    "Agent",
    "Antivirus",
    "Application",
    "Clipboard",
    "Commune",
    "Derogation",
    "Desktop",
    "Directory",
    "Endpoint",
    "Extra",
    "Gateway",
    "Grant",
    "KeyChange",
    "Laptop",
    "LocalNetwork",
    "Machine",
    "Mode",
    "Network",
    "Operator",
    "Policy",
    "Profile",
    "Role",
    "SecondFactor",
    "Secret",
    "SshAddress",
    "System",
]
