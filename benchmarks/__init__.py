"""Side-by-side measurements of telekit and its peers: `make bench`."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
