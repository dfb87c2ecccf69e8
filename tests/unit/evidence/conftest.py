"""A small town hall with a kept verification in which everything happens, and machines that say hostile things."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.unit.verify.conftest import town
from toolkit.evidence import record
from toolkit.evidence.contents import contents
from toolkit.evidence.page import page
from toolkit.evidence.record import Record
from toolkit.evidence.signature import Signature
from toolkit.journal import Entry
from toolkit.model import Commune, Derogation, Operator
from toolkit.verify.result import CheckResult, VerifyResult

STARTED = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)
HOSTILE = "</svg></p><script>alert(1)</script>\x1b[2J\u202e\x00 & {0} %s"
SIGNED = Signature("ab" * 32, good=True, fingerprint="SHA256:x", by="C. Martin")


def png(width: int = 40, height: int = 30) -> bytes:
    """A small real picture."""
    rows = b"".join(b"\x00" + bytes((10, 80, 160)) * width for _ in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def result(check: str, outcome: str, seen: str = "as expected", machine: str = "gw", theme: str = "tunnel") -> CheckResult:
    detail = f"tried; seen: {seen}" if outcome == "failed" else seen
    return CheckResult(
        machine, check, theme, f"{check} is true", outcome, detail, 0.01, f"{check} est vrai", f"trying {check} on {machine}",
        "it holds", seen, f"mend {machine}",
    )  # fmt: skip


MIXED = (
    result("peers-are-those-of-the-inventory", "passed"),
    result("shakes-hands", "passed", "handshake 3 s ago; the gateway sees 203.0.113.9:4711", "portable-1"),
    result("keeps-a-record-of-tunnels", "passed", "2026-03-01T08:00 opened device=portable-1 endpoint=203.0.113.9"),
    result("is-refused-application:paie", "failed", HOSTILE, "portable-1", "access"),
    result("clock-is-synchronised", "derogation", "accepted by le maire", "gw", "baseline"),
    result("opens-the-desktop", "not checked", "a.un is working on poste-1 now", "portable-1", "desktop"),
    result("shakes-hands", "not checked", "portable-2: no answer from 10.2.0.3 in 10 s", "portable-2"),
)


@pytest.fixture
def commune() -> Commune:
    derogations = (Derogation("clock-is-synchronised", "le maire <b>", "panne & attente", date(2026, 12, 31), "gw"),)
    return replace(town(), today=date(2026, 3, 1), derogations=derogations)


@pytest.fixture
def found(tmp_path: Path) -> VerifyResult:
    picture = tmp_path / "portable-1_poste-1.png"
    picture.write_bytes(png())
    machines = ("gw", "poste-1", "portable-1", "portable-2")
    return VerifyResult(MIXED, machines, {"portable-2": "no answer from 10.2.0.3 in 10 s"}, (picture,), STARTED, 12.5)


Keep = Callable[..., Path]


@pytest.fixture
def keep(tmp_path: Path, commune: Commune, found: VerifyResult) -> Keep:
    """Keep the run, or one like it, in the commune's folder."""
    folder = tmp_path / "essai"

    def kept(stem: str = "2026-03-01T14-05-00Z-verify", **changed: object) -> Path:
        folder.mkdir(exist_ok=True)
        run = replace(found, **changed)
        entry = Entry("verify", "essai", "", "", "c.martin", "dsi-01", 7, "c.martin@dsi", version="0.1.0", inventory="d" * 64)
        return record.write(folder, commune, run, entry, stem)

    return kept


@pytest.fixture
def kept(keep: Keep) -> Record:
    file = keep()
    return record.last(file.parent.parent)


Shown = Callable[..., str]


@pytest.fixture
def shown(commune: Commune, kept: Record) -> Shown:
    """The page of a kept run."""

    def show(run: Record = kept, language: str = "fr", signed: Signature = SIGNED, inventory: str = "d" * 64) -> str:
        return page(contents(language, commune, run, signed, inventory))

    return show


Key = Callable[..., tuple[Path, Operator]]


@pytest.fixture
def key(tmp_path: Path) -> Key:
    """An operator's key, made by ssh-keygen."""

    def make(name: str = "c.martin@dsi", passphrase: str = "") -> tuple[Path, Operator]:
        file = tmp_path / f"key-{name}"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(file)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return file, Operator(name, Path(f"{file}.pub").read_text(encoding="utf-8").strip())

    return make
