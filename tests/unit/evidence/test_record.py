"""A verification is kept whole, except for what it tells of people."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.evidence.conftest import MIXED, STARTED, Keep, result
from toolkit.errors import UsageError
from toolkit.evidence import record
from toolkit.evidence.record import Record
from toolkit.model import Commune


def test_a_kept_run_is_read_as_it_was_made(kept: Record, commune: Commune) -> None:
    personal = {"shakes-hands", "keeps-a-record-of-tunnels", "opens-the-desktop"}
    assert [r for r in kept.found.results if r.check not in personal] == [r for r in MIXED if r.check not in personal]
    assert [(r.check, r.outcome, r.tried, r.fix) for r in kept.found.results] == [
        (r.check, r.outcome, r.tried, r.fix) for r in MIXED
    ]
    assert kept.derogations == commune.derogations
    assert (kept.pictures[0].laptop, kept.pictures[0].desktop) == ("portable-1", "poste-1")
    head = kept.head
    assert (head.passed, head.failed, head.not_checked, head.derogations, head.unreachable) == (3, 1, 2, 1, 1)
    assert (head.machines, head.of, head.whole, head.user) == (4, 4, True, "c.martin")


def test_nothing_in_it_tells_who_worked_from_where_or_when(kept: Record) -> None:
    text = gzip.decompress(kept.file.read_bytes()).decode()
    for personal in ("a.un", "203.0.113.9", "08:00", "Alice", "no answer from"):
        assert personal not in text
    assert "an agent is working on poste-1 now" in text


def test_another_machine_that_missed_a_laptop_does_not_name_it(keep: Keep) -> None:
    other = result("is-refused-other-laptops", "not checked", "it takes portable-2 too: silent. Not portable-20", "portable-1")
    run = record.read(keep(results=(other,)))
    assert run.found.results[0].seen == "it takes a laptop too: silent. Not portable-20"


def test_the_same_run_gives_the_same_bytes_readable_by_the_operators_alone(keep: Keep) -> None:
    one, other = keep(), keep("2026-03-02T14-05-00Z-verify")
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_mode & 0o777 == 0o640
    assert one.parent.stat().st_mode & 0o007 == 0


def test_the_last_one_is_told_and_the_others_are_its_history(keep: Keep) -> None:
    keep("2026-02-01T14-05-00Z-verify", results=MIXED[:1])
    folder = keep().parent.parent
    run = record.last(folder)
    assert [head.passed for head in run.history] == [1, 3]
    assert run.head.passed == 3


def test_a_damaged_file_is_no_history_and_a_damaged_last_one_is_told(keep: Keep) -> None:
    damaged, good = keep("2026-01-01T14-05-00Z-verify"), keep()
    damaged.write_bytes(good.read_bytes()[:40])
    folder = good.parent.parent
    assert len(record.last(folder).history) == 1
    good.write_bytes(b"not gzip")
    with pytest.raises(UsageError, match=r"cannot be read.*restore it"):
        record.last(folder)


def test_without_any_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no verification was kept yet.*telekit verify --commune"):
        record.last(tmp_path)


def test_of_many_pictures_some_are_kept_and_the_rest_counted(keep: Keep, tmp_path: Path) -> None:
    picture = tmp_path / "portable-1_poste-1.png"
    run = record.read(keep(screenshots=(picture,) * 20))
    assert (len(run.pictures), run.more_pictures) == (record.PICTURES, 20 - record.PICTURES)


def test_runs_older_than_the_logs_are_removed_with_their_signatures(keep: Keep) -> None:
    old = keep("2025-01-01T14-05-00Z-verify", started=STARTED - timedelta(days=400))
    signature = old.with_name(f"{old.name}.sig")
    signature.touch()
    damaged = old.with_name("2025-02-01T14-05-00Z-verify.jsonl.gz")
    damaged.write_bytes(b"not gzip")
    kept, last = keep("2026-02-01T14-05-00Z-verify"), keep()
    assert sorted(last.parent.iterdir()) == [damaged, kept, last]


def test_more_runs_than_are_kept_at_all_are_removed_the_first_ones_first(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "KEPT", 3)
    files = [keep(f"2026-02-0{day}T14-05-00Z-verify") for day in range(1, 6)]
    assert sorted(files[0].parent.iterdir()) == files[2:]
