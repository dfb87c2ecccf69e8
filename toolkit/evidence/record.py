"""Every verification is kept beside the journal, compressed: one line says what it came to, the next one all of it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from toolkit.atomic import replace_file
from toolkit.errors import UsageError
from toolkit.evidence import signature
from toolkit.evidence.discreet import discreet
from toolkit.journal import Entry
from toolkit.model import Commune, Derogation
from toolkit.verify.result import CheckResult, VerifyResult

FOLDER, ENDING = "verifications", ".jsonl.gz"
FORMAT = 1
# A report with hundreds of pictures opens slowly and is read by nobody.
PICTURES = 8
# So many runs are kept at most, and none for longer than the town hall keeps its logs.
KEPT, DAYS_OF_A_MONTH = 500, 31
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError)


@dataclass(frozen=True)
class Head:
    """What a run came to. began: ISO 8601, local; of: how many machines the inventory had; key: the comment of the operator's."""

    commune: str
    began: str
    seconds: float
    machines: int
    of: int
    unreachable: int
    passed: int
    failed: int
    not_checked: int
    derogations: int
    user: str = ""
    host: str = ""
    key: str = ""
    version: str = ""
    revision: str = ""
    inventory: str = ""
    format: int = FORMAT

    @property
    def whole(self) -> bool:
        """It looked at every machine of the inventory."""
        return self.machines == self.of

    @property
    def when(self) -> datetime:
        return datetime.fromisoformat(self.began)


@dataclass(frozen=True)
class Picture:
    """A screenshot of a remote desktop, as PNG."""

    laptop: str
    desktop: str
    png: bytes


@dataclass(frozen=True)
class Record:
    """A kept run. derogations: those of the inventory at that time; more_pictures: how many were taken and not kept."""

    file: Path
    head: Head
    found: VerifyResult
    derogations: tuple[Derogation, ...] = ()
    pictures: tuple[Picture, ...] = ()
    more_pictures: int = 0
    history: tuple[Head, ...] = field(default=())


def write(folder: Path, commune: Commune, found: VerifyResult, entry: Entry, stem: str) -> Path:
    """Keep a run; what tells of a person is left out. stem: the file's name, as the journal's entry has it."""
    kept = discreet(commune, found)
    lines = (
        json.dumps(part, ensure_ascii=False, separators=(",", ":"))
        for part in (_head(commune, kept, entry), _body(commune, kept))
    )
    file = folder / FOLDER / f"{stem}{ENDING}"
    file.parent.mkdir(mode=0o750, exist_ok=True)
    # Without the time, so that the same run gives the same bytes.
    replace_file(file, gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0), mode=0o640)
    _prune(folder, found.started - timedelta(days=DAYS_OF_A_MONTH * commune.policy.journal_months))
    return file


def _prune(folder: Path, since: datetime) -> None:
    """Remove what is older, and more than is kept at all, with its signature; a time that cannot be read is no reason to."""
    *old, _ = _files(folder)
    surplus = set(old[: max(0, len(old) + 1 - KEPT)])
    for file in old:
        if file in surplus or _before(file, since):
            signature.file_of(file).unlink(missing_ok=True)
            file.unlink(missing_ok=True)


def _before(file: Path, since: datetime) -> bool:
    """By what the run itself says."""
    with suppress(*DAMAGED, AssertionError), _opened(file) as stream:
        return _read_head(stream).when < since
    return False


def _head(commune: Commune, found: VerifyResult, entry: Entry) -> dict[str, Any]:
    return asdict(
        Head(
            commune=commune.slug, began=found.started.isoformat(timespec="seconds"), seconds=round(found.seconds, 1),
            machines=len(found.machines), of=len(commune.machines), unreachable=len(found.unreachable),
            passed=len(found.passed), failed=len(found.failed), not_checked=len(found.not_checked),
            derogations=len(found.derogations), user=entry.user, host=entry.host, key=entry.key, version=entry.version,
            revision=entry.revision, inventory=entry.inventory,
        )
    )  # fmt: skip


def _body(commune: Commune, found: VerifyResult) -> dict[str, Any]:
    abouts: dict[tuple[str, ...], int] = {}
    places = {name: place for place, name in enumerate(found.machines)}
    results = []
    for r in found.results:
        about = (r.check, r.theme, *(t.replace(r.machine, "{machine}") for t in (r.title, r.titre, r.tried, r.expected, r.fix)))
        more = [r.detail] if r.detail != r.seen else []
        results.append([places[r.machine], abouts.setdefault(about, len(abouts)), r.outcome, r.seconds, r.seen, *more])
    pictures = [
        {"laptop": laptop, "desktop": desktop, "png": base64.b64encode(file.read_bytes()).decode()}
        for file in found.screenshots[:PICTURES]
        for laptop, _, desktop in [file.stem.partition("_")]
    ]
    return {
        "machines": found.machines, "unreachable": dict(found.unreachable), "abouts": list(abouts), "results": results,
        "derogations": [asdict(d) | {"until": d.until.isoformat()} for d in commune.derogations], "pictures": pictures,
        "more_pictures": max(0, len(found.screenshots) - PICTURES),
    }  # fmt: skip


# -- reading ---------------------------------------------------------------------------------------------------------


def last(folder: Path) -> Record:
    """The last run that was kept, with the heads of all of them, the first one first."""
    files = _files(folder)
    if not files:
        what = "no verification was kept yet, so there is nothing to report"
        raise UsageError(what, where=folder.name, hint=f"telekit verify --commune {folder.resolve().name}")
    return read(files[-1], tuple(history(folder)))


def history(folder: Path) -> Iterator[Head]:
    """What each kept run came to, the first one first; one that cannot be read is left out."""
    for file in _files(folder):
        with suppress(*DAMAGED), _opened(file) as stream:
            yield _read_head(stream)


def read(file: Path, before: Sequence[Head] = ()) -> Record:
    """One kept run, whole."""
    try:
        with _opened(file) as stream:
            head, body = _read_head(stream), json.loads(stream.readline())
        found = _found(head, body)
        derogations = tuple(Derogation(**fields | {"until": _day(fields["until"])}) for fields in body["derogations"])
        pictures = tuple(Picture(p["laptop"], p["desktop"], base64.b64decode(p["png"], validate=True)) for p in body["pictures"])
    except DAMAGED as error:
        hint = "restore it from a backup, or move it away and verify again"
        raise UsageError(
            f"the kept verification cannot be read: {error or type(error).__name__}", where=str(file), hint=hint
        ) from error
    return Record(file, head, found, derogations, pictures, int(body["more_pictures"]), tuple(before))


def _files(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob(f"*{ENDING}"))


def _opened(file: Path) -> TextIO:
    return gzip.open(file, "rt", encoding="utf-8")


def _read_head(stream: TextIO) -> Head:
    given = json.loads(stream.readline())
    if given["format"] != FORMAT:
        raise ValueError(f"it is of format {given['format']}, which another telekit wrote")
    names = {field.name for field in fields(Head)}
    head = Head(**{name: value for name, value in given.items() if name in names})
    assert head.when.tzinfo is not None
    return head


def _day(text: str) -> Any:
    return datetime.fromisoformat(text).date()


def _found(head: Head, body: Mapping[str, Any]) -> VerifyResult:
    machines = tuple(body["machines"])
    abouts = [tuple(about) for about in body["abouts"]]
    results = tuple(_result(machines[place], abouts[about], *rest) for place, about, *rest in body["results"])
    return VerifyResult(results, machines, body["unreachable"], (), head.when, head.seconds)


def _result(
    machine: str, about: tuple[str, ...], outcome: str, seconds: float, seen: str, detail: str | None = None
) -> CheckResult:
    check, theme, *texts = about
    title, titre, tried, expected, fix = (text.replace("{machine}", machine) for text in texts)
    return CheckResult(
        machine=machine, check=check, theme=theme, title=title, outcome=outcome, detail=seen if detail is None else detail,
        seconds=seconds, titre=titre, tried=tried, expected=expected, seen=seen, fix=fix,
    )  # fmt: skip
