"""The recipes of the town's machines, each by its role, as a pyinfra deploy file."""

from pyinfra import host

from toolkit.roles import ROLES

ROLES[host.data.machine.role].deploy()()
