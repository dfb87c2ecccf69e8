"""The files of a commune, read, checked and turned into one frozen Commune."""

from toolkit.inventory.folder import Loaded, find, load, slugs

__all__ = ["Loaded", "find", "load", "slugs"]
