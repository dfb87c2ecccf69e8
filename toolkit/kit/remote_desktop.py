"""The file that opens an agent's desktop on Windows, on a Mac or on a phone."""

from __future__ import annotations

from toolkit.kit.templates import text
from toolkit.model import RDP_PORT, Agent, Clipboard, Commune

# Programs for phones take the file's bytes as they are, Windows takes ASCII as well as UTF-16.
ENCODING = "ascii"


def host(agent: Agent, commune: Commune) -> str:
    """The name of the agent's desktop as its certificate says it."""
    assert agent.desktop is not None
    return commune.domain_name(agent.desktop)


def connection(agent: Agent, commune: Commune) -> bytes:
    """The .rdp file. Level 1: a desktop that cannot prove its identity is not connected to, and nobody can click it away.

    The format has no line for the keyboard: the desktop's own configuration decides.
    """
    policy = commune.policy
    content = text(
        "mon-bureau.rdp.j2",
        host=host(agent, commune),
        port=RDP_PORT,
        user=agent.identifier,
        clipboard=int(policy.clipboard is not Clipboard.NONE),
        drives=int(policy.drives),
    )
    return content.replace("\n", "\r\n").encode(ENCODING)
