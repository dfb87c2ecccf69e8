"""What was measured, kept piece by piece: a run that is cut off loses only the piece that it was at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from toolkit.atomic import replace_file

Found = Mapping[str, Any]
FAILURES = "failures"


def read(folder: Path, part: str) -> dict[str, Any] | None:
    """A part's file; None: nothing of it was measured."""
    file = folder / f"{part}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def keep(folder: Path, part: str, found: Found, about: Mapping[str, Any]) -> bool:
    """Put these pieces in the place of earlier ones of the same name, beside the others.

    about: the computer and the versions. Pieces that were measured with others are given up, and it is said by False:
    one page never holds numbers against each other that do not belong together.
    """
    earlier = read(folder, part) or {}
    comparable = all(earlier.get(key) == value for key, value in about.items())
    results = earlier["results"] if comparable else {}
    dates = earlier.get("dates", dict.fromkeys(results, earlier.get("date"))) if comparable else {}
    today = date.today().isoformat()
    content = {
        "date": today,
        **about,
        "dates": {**dates, **dict.fromkeys(found, today)},
        "results": {**results, **found},
    }
    folder.mkdir(exist_ok=True)
    replace_file(folder / f"{part}.json", (json.dumps(content, indent=1) + "\n").encode(), mode=0o644)
    return comparable or not earlier


def failed(found: Found) -> list[str]:
    """Every run that ended with an error, in words."""
    return [line for piece in found.values() if isinstance(piece, dict) for line in piece.get(FAILURES, ())]
