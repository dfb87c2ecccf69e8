"""`make demo`: a town hall that works from home, on this computer, from nothing to a verified whole."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

STEPS = {
    "lab": "A test town: a gateway, two desktops and two laptops in networks of their own",
    "provision": "telekit provision: from bare machines to working telework",
    "verify": "telekit verify: proof, from inside and from outside",
}


@dataclass
class Demo:
    """One showing: what to build it from, where its reports go, and how long each step took."""

    release: str
    inventories: Path
    reports: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def show(self) -> int:
        """Go through the steps; 0 when every check passed."""
        self.reports.mkdir(parents=True, exist_ok=True)
        for old in (*self.reports.glob("*.png"), *self.reports.glob("*.html"), *self.reports.glob("*.xml")):
            old.unlink()
        for step, arguments in self._commands().items():
            code = self._step(step, arguments)
            if code != 0:
                print(f"\nThe demonstration stopped: telekit {step} ended with {code}.", file=sys.stderr)
                self._ways_on()
                return code
        self._tell()
        return 0

    def _commands(self) -> dict[str, list[str]]:
        where = ["--inventories", str(self.inventories), "--commune", "lab"]
        reports = ["--junit", str(self.reports / "verify.xml"), "--html", str(self.reports / "verify.html")]
        return {
            "lab": ["lab", "up", "--release", self.release, "--inventory", str(self.inventories / "lab")],
            "provision": ["provision", *where, "--yes"],
            "verify": ["verify", *where, *reports, "--screenshots", str(self.reports)],
        }

    def _step(self, step: str, arguments: list[str]) -> int:
        print(f"\n{STEPS[step]}\n$ telekit {' '.join(map(self._short, arguments))}", flush=True)
        started = time.monotonic()
        code = subprocess.run([sys.executable, "-m", "toolkit", *arguments], check=False).returncode
        self.seconds[step] = time.monotonic() - started
        return code

    def _short(self, argument: str) -> str:
        """Paths as one would type them here."""
        path = Path(argument)
        return os.path.relpath(path) if path.is_absolute() and path.is_relative_to(Path.cwd()) else argument

    def _tell(self) -> None:
        pictures = sorted(self.reports.glob("*.png"))
        print("\nIt works. To look at:")
        print(f"  report       {self._short(str(self.reports / 'verify.html'))}")
        for picture in pictures:
            print(f"  screenshot   {self._short(str(picture))}")
        times = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.seconds.items())
        print(f"  times        {times}; {sum(self.seconds.values()):.0f} s in all")
        self._ways_on()

    def _ways_on(self) -> None:
        print("\nThe town stays up. To go on:")
        print("  .venv/bin/telekit lab ssh portable-041     be on an agent's laptop")
        print("  .venv/bin/telekit plan --commune lab       after a change in inventories/lab")
        print("  .venv/bin/telekit lab down                 take it all away")


def main(arguments: list[str] | None = None) -> int:
    """Parse and show."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.demo", description=__doc__)
    parser.add_argument("--release", choices=("trixie", "bookworm"), default="trixie")
    parser.add_argument("--inventories", type=Path, default=Path("inventories"))
    parser.add_argument("--reports", type=Path, default=Path("demo"))
    asked = parser.parse_args(arguments)
    return Demo(asked.release, asked.inventories.resolve(), asked.reports.resolve()).show()


if __name__ == "__main__":
    sys.exit(main())
