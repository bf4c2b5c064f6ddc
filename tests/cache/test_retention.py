"""Retention removes what was used longest ago, and never what something kept needs."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.inventory import taken
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.last_used import LastUsed
from nbmake_dag_cache.record import Record, blobs_of, encode_record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_cache.retention import Collected, collect, keep_only
from nbmake_dag_cache.usage import Room, Shown, usage
from nbmake_dag_cache.verify import verify

MakeRecord = Callable[..., Record]
NOW = 1_000_000.0
PLENTY = 1 << 60


def age(root: Path, seconds: float = 10_000) -> None:
    """Make every blob and every temporary file so old at `NOW`."""
    for folder in ("blobs", "tmp"):
        for path in (root / folder).rglob("*"):
            os.utime(path, (NOW - seconds, NOW - seconds))


class Folder:
    """A cache folder with a record for each task, each with one output of a kilobyte of its own."""

    def __init__(self, root: Path, make_record: MakeRecord) -> None:
        self.root = str(root)
        self.blobs, self.records = BlobStore(self.root), RecordStore(self.root)
        self._make_record = make_record

    def add(self, task: str, *, started: float, content: bytes | None = None) -> Record:
        stored = self.blobs.put_bytes(content or task.encode() * (1_000 // len(task)))
        record = self._make_record(task, started=started, files=[(f"{task}.bin", stored.sha256, stored.size)])
        self.records.publish(record)
        return record

    def tasks(self) -> list[str]:
        return sorted(record.task for record in self.records)


@pytest.fixture
def folder(tmp_path: Path, make_record: MakeRecord) -> Folder:
    return Folder(tmp_path, make_record)


def test_everything_stays_while_there_is_room(folder: Folder):
    """Nothing is removed below the limits, and the sizes add up."""
    records = [folder.add(task, started=1) for task in "ab"]
    size = 2_000 + sum(len(encode_record(record)) for record in records)
    assert collect(folder.root, now=NOW, max_size=size) == Collected(
        removed_records=0, removed_blobs=0, freed=0, kept_records=2, kept_blobs=2, kept_size=size, damaged=0
    )
    assert verify(folder.root) == ()


def test_what_was_used_longest_ago_goes_first(folder: Folder):
    """A use noted by a build counts more than the time of execution; the blobs go at once."""
    old, middle, new = (folder.add(task, started=when) for task, when in [("old", 1), ("mid", 2), ("new", 3e5)])
    LastUsed(folder.root).note([middle.key], 100_000)
    LastUsed(folder.root).note([old.key], 500_000)
    sizes = {record.task: len(encode_record(record)) + 999 for record in (old, middle, new)}
    collected = collect(folder.root, now=NOW, max_size=sizes["old"] + sizes["new"])
    assert collected == Collected(
        removed_records=1,
        removed_blobs=1,
        freed=sizes["mid"],
        kept_records=2,
        kept_blobs=2,
        kept_size=sizes["old"] + sizes["new"],
        damaged=0,
    )
    assert folder.tasks() == ["new", "old"]
    assert set(LastUsed(folder.root).read()) == {old.key}


def test_records_beyond_an_age_go(folder: Folder):
    """Age counts from the last use; a clock that was ahead does no harm."""
    for task, when in [("old", NOW - 101), ("new", NOW - 99), ("future", NOW + 1_000_000)]:
        folder.add(task, started=when)
    collect(folder.root, now=NOW, max_size=PLENTY, max_age=100)
    assert folder.tasks() == ["future", "new"]


def test_protected_records_and_blobs_stay_whatever_the_limits(folder: Folder):
    """The present run's and the kept runs' records, and blobs that only runs name, outlive size and age."""
    mine = folder.add("mine", started=1)
    folder.add("other", started=2)
    notebook = folder.blobs.put_bytes(b"executed notebook").sha256
    orphan = folder.blobs.put_bytes(b"orphan").sha256
    age(Path(folder.root))
    collect(folder.root, now=NOW, max_size=0, max_age=0, keys={mine.key}, blobs={notebook})
    assert folder.tasks() == ["mine"]
    assert folder.blobs.has(notebook)
    assert not folder.blobs.has(orphan)
    assert verify(folder.root) == ()


def test_what_is_protected_takes_its_room_first(folder: Folder):
    """A protected record that was used long ago leaves less for newer ones that are not."""
    mine, other = folder.add("mine", started=1), folder.add("other", started=2)
    collect(folder.root, now=NOW, max_size=1_000 + len(encode_record(other)), keys={mine.key})
    assert folder.tasks() == ["mine"]


def test_a_blob_without_a_record_is_spared_for_an_hour(folder: Folder):
    """Blobs come before their record: a young one may be waiting for it."""
    young = folder.blobs.put_bytes(b"young").sha256
    age(Path(folder.root), 3_599)
    assert collect(folder.root, now=NOW, max_size=PLENTY).removed_blobs == 0
    age(Path(folder.root), 3_601)
    assert collect(folder.root, now=NOW, max_size=PLENTY).removed_blobs == 1
    assert not folder.blobs.has(young)


def test_a_shared_blob_stays_while_one_record_needs_it(folder: Folder):
    """What two records name is counted once, and goes with the second."""
    folder.add("old", started=1, content=b"x" * 1_000)
    record = folder.add("new", started=2, content=b"x" * 1_000)
    one = 1_000 + len(encode_record(record))
    assert collect(folder.root, now=NOW, max_size=one + 999).kept_blobs == 1
    assert folder.tasks() == ["new", "old"]
    assert collect(folder.root, now=NOW, max_size=one).removed_blobs == 0
    assert folder.tasks() == ["new"]
    assert verify(folder.root) == ()
    assert collect(folder.root, now=NOW, max_size=0).removed_blobs == 1


def test_damaged_records_and_old_half_written_files_go(folder: Folder):
    """Both are counted or cleaned without a word, and never keep a blob alive."""
    record = folder.add("broken", started=1)
    path = Path(folder.root, "records", record.own_key[:2], record.own_key, f"{record.key}.json")
    path.write_bytes(path.read_bytes()[:-1])
    (Path(folder.root) / "tmp" / ".nbdag-left").write_text("half")
    age(Path(folder.root))
    collected = collect(folder.root, now=NOW, max_size=PLENTY)
    assert (collected.damaged, collected.removed_records, collected.removed_blobs) == (1, 1, 1)
    assert [file for _, _, files in os.walk(folder.root) for file in files] == []


def test_only_what_is_used_is_kept(folder: Folder):
    """keep_only leaves the given records, what they need and the given blobs, for a small carried cache."""
    used, _ = folder.add("used", started=1), folder.add("unused", started=2)
    notebook = folder.blobs.put_bytes(b"executed notebook").sha256
    collected = keep_only(folder.root, now=NOW, keys={used.key}, blobs={notebook})
    assert folder.tasks() == ["used"]
    assert folder.blobs.has(notebook)
    assert (collected.kept_blobs, collected.removed_blobs) == (2, 1)


def test_a_task_without_a_result_in_the_last_run_keeps_the_one_used_last(folder: Folder):
    """What failed, or was not asked for, need not run again for that; other tasks' leftovers go."""
    used, old = folder.add("used", started=1), folder.add("failed", started=2)
    folder.add("gone", started=3)
    new = folder._make_record("failed", traced="1", started=4)
    folder.records.publish(new)
    LastUsed(folder.root).note([old.key], 100_000)
    keep_only(folder.root, now=NOW, keys={used.key}, tasks=["used", "failed"])
    assert {record.key for record in folder.records} == {used.key, old.key}


def test_every_kind_of_blob_is_needed(make_record: MakeRecord):
    """Outputs, cells, series and artefacts count; outputs only where they are stored."""
    names = [digit * 64 for digit in "12345"]
    values = {"files": [("a", names[0], 1)], "cells": names[1], "series": names[2], "artifacts": names[3:]}
    assert blobs_of(make_record(**values)) == set(names)
    assert blobs_of(make_record(**values, stored=False)) == set(names[1:])


@pytest.mark.parametrize("nth", range(1, 8))
def test_whoever_goes_on_after_a_kill_ends_where_it_would_have(folder: Folder, monkeypatch, nth: int):
    """Stopped before any removal, of records or of young blobs: the next time goes what is left to go."""
    for number, task in enumerate("abcd"):
        folder.add(task, started=number)
    new = folder.add("new", started=10)
    room = 1_000 + len(encode_record(new))
    now = time.time()
    calls = itertools.count(1)
    unlink = os.unlink

    def stop_at_nth(path: str) -> None:
        if not path.startswith(f"{folder.root}/tmp/") and next(calls) == nth:
            raise KeyboardInterrupt
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", stop_at_nth)
        with pytest.raises(KeyboardInterrupt):
            collect(folder.root, now=now, max_size=room)
    again = collect(folder.root, now=now, max_size=room)
    assert (folder.tasks(), again.kept_records, again.kept_blobs) == (["new"], 1, 1)
    assert verify(folder.root) == ()


def test_a_disk_without_room_for_the_list_is_an_error_of_the_disk(folder: Folder) -> None:
    """A cache is swept where the disk is full, and SQLite puts large tables on one."""

    def fill() -> None:
        with taken(folder.root, ()) as inventory:
            inventory._tables.execute("PRAGMA max_page_count = 1")
            inventory._tables.execute("CREATE TABLE more AS SELECT randomblob(100000) AS bytes")

    with pytest.raises(OSError, match="a list of what the cache holds cannot be made: database or disk is full"):
        fill()


def test_memory_does_not_grow_with_the_cache(tmp_path: Path, make_record: MakeRecord):
    """A record and its blob take no more than their entries in folders: what is read is kept in a file."""
    peaks: list[int] = []
    for count in (50, 400):
        folder = Folder(tmp_path / str(count), make_record)
        for number in range(count):
            folder.add(str(number), started=number)
        tracemalloc.start()
        collected = collect(folder.root, now=NOW, max_size=count * 1_000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert collected.removed_records > count // 4
    assert (peaks[1] - peaks[0]) / 350 < 400


def test_what_takes_the_room_is_known_by_task_and_by_run(folder: Folder):
    """Each byte counts once: a shared blob for the record used last, what two runs show for the first of them."""
    old, new = (
        folder.add("old", started=1, content=b"x" * 1_000),
        folder.add("new", started=2, content=b"x" * 1_000),
    )
    other = folder.add("other", started=3)
    notebook = folder.blobs.put_bytes(b"executed notebook")
    sizes = {record.task: len(encode_record(record)) for record in (old, new, other)}
    runs = (
        Shown(run="2", keys=frozenset({new.key}), blobs=frozenset({notebook.sha256})),
        Shown(run="1", keys=frozenset({old.key, new.key}), blobs=frozenset({notebook.sha256, "0" * 64})),
    )
    found = usage(folder.root, runs)
    assert found.tasks == {
        "old": Room(1, sizes["old"]),
        "new": Room(1, sizes["new"] + 1_000),
        "other": Room(1, sizes["other"] + 1_000),
    }
    assert found.runs == {"2": Room(1, sizes["new"] + 1_000 + notebook.size), "1": Room(1, sizes["old"])}
    assert found.rest == Room(1, sizes["other"] + 1_000)


def test_looking_at_what_takes_the_room_changes_nothing(folder: Folder, tmp_path: Path):
    """A damaged record stays for those who report it, and a cache that is not there is not made."""
    record = folder.add("broken", started=1)
    path = Path(folder.root, "records", record.own_key[:2], record.own_key, f"{record.key}.json")
    path.write_bytes(path.read_bytes()[:-1])
    assert usage(folder.root, ()).rest == Room(0, 1_000 // 6 * 6)
    assert path.exists()
    assert usage(str(tmp_path / "none"), ()).tasks == {}
    assert not (tmp_path / "none").exists()


TASKS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 7), max_size=3),
        st.floats(0, 2 * NOW),
        st.booleans(),
        st.one_of(st.none(), st.floats(0, 2 * NOW)),
    ),
    max_size=8,
)


@given(
    tasks=TASKS,
    orphans=st.sets(st.integers(8, 10)),
    max_size=st.integers(0, 10_000),
    max_age=st.none() | st.floats(0, NOW),
    old=st.booleans(),
)
def test_nothing_that_is_kept_loses_a_blob(make_record: MakeRecord, tasks, orphans, max_size, max_age, old):
    """Over any records, uses, limits and protections: the rest is whole, protected, and within its limits."""
    with tempfile.TemporaryDirectory() as root:
        blobs, records, used = BlobStore(root), RecordStore(root), LastUsed(root)
        names = {number: blobs.put_bytes(b"%d" % number * (100 << number % 4)).sha256 for number in orphans}
        protected: set[Key] = set()
        for task, (contents, started, is_protected, noted) in enumerate(tasks):
            stored = [blobs.put_bytes(b"%d" % number * (100 << number % 4)) for number in contents]
            record = make_record(
                str(task),
                started=started,
                files=[(f"{index}", blob.sha256, blob.size) for index, blob in enumerate(stored)],
            )
            records.publish(record)
            if is_protected:
                protected.add(record.key)
            if noted is not None:
                used.note([record.key], noted)
        if old:
            age(Path(root))
        kept_blobs = frozenset(list(names.values())[:1])
        before = {record.key for record in records}
        collected = collect(root, now=NOW, max_size=max_size, max_age=max_age, keys=protected, blobs=kept_blobs)
        after = {record.key for record in records}

        assert verify(root) == ()
        assert protected <= after <= before
        assert all(blobs.has(name) for name in kept_blobs)
        assert (collected.kept_records, collected.removed_records) == (len(after), len(before - after))
        if not after and not protected and not orphans:
            assert collected.kept_size == 0
        if not protected and not orphans:
            assert collected.kept_size <= max_size
        again = collect(root, now=NOW, max_size=max_size, max_age=max_age, keys=protected, blobs=kept_blobs)
        assert (again.removed_records, again.removed_blobs) == (0, 0)
