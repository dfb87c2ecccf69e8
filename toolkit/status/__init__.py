"""How a commune is now: machines, tunnels, ages and ends; aggregates and devices, never anybody's hours of work."""

from toolkit.status.ask import moved, status

__all__ = ["moved", "status"]
