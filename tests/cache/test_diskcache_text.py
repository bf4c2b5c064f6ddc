"""An index holds texts, refuses pickle, and survives whatever happens to its database."""

from __future__ import annotations

import os
import pickle
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from diskcache import Cache
from diskcache.core import MODE_BINARY, MODE_PICKLE, MODE_RAW, MODE_TEXT

from nbmake_dag_cache.diskcache_text import NotTextError, TextDisk, TextIndex, open_index


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@contextmanager
def index_at(folder: Path, warn: Callable[[str], None] = lambda _: None) -> Iterator[TextIndex]:
    index = TextIndex(str(folder), warn)
    try:
        yield index
    finally:
        index.close()


def test_texts_come_back_from_the_next_process(tmp_path: Path):
    """What was written is read by name after closing; other names have nothing."""
    (tmp_path / "index").mkdir(mode=0o755)
    with index_at(tmp_path / "index") as index:
        index.write({"a": "1", "b": "ä" * 100_000, "": ""})
    said: list[str] = []
    with index_at(tmp_path / "index", said.append) as index:
        found = [index.get(name) for name in ("a", "b", "", "c")]
    assert found == ["1", "ä" * 100_000, "", None]
    assert said == []
    assert stat.S_IMODE((tmp_path / "index").stat().st_mode) == 0o700
    assert not list((tmp_path / "index").rglob("*.val"))


def test_the_oldest_texts_are_forgotten_beyond_the_limit(tmp_path: Path):
    """Only a stated limit makes an index forget, and then the first written."""
    with index_at(tmp_path / "index") as index:
        index.write({str(number): "x" for number in range(10)})
        index.write({"new": "x"}, limit=4)
        kept = [name for name in [*map(str, range(10)), "new"] if index.get(name)]
    assert kept == ["7", "8", "9", "new"]


def test_nothing_is_evicted_by_size(tmp_path: Path):
    """Settings that an older database brings along, such as a small limit, do not count."""
    with closing(Cache(str(tmp_path / "index"), size_limit=1_000, cull_limit=10)):
        pass
    opened: Any = open_index(str(tmp_path / "index"))
    with closing(opened) as cache:
        assert (cache.eviction_policy, cache.cull_limit, cache.statistics) == ("none", 0, 0)
    with index_at(tmp_path / "index") as index:
        for number in range(30):
            index.write({str(number): "x" * 10_000})
        assert all(index.get(str(number)) for number in range(30))


def test_a_planted_pickle_is_never_loaded(tmp_path: Path):
    """A pickled value, in the database or in a file beside it, is a missing row."""
    bomb = tmp_path / "exploded"
    with closing(Cache(str(tmp_path / "index"), disk_min_file_size=1_000)) as planted:
        planted["value"] = Bomb(bomb)
        planted["file"] = [Bomb(bomb), "x" * 5_000]
    pickle.loads(pickle.dumps(Bomb(bomb)))
    bomb.rmdir()
    with index_at(tmp_path / "index") as index:
        assert index.get("value") is None
        assert index.get("file") is None
        index.write({"value": "text"}, limit=10)
        assert index.get("value") == "text"
    assert not bomb.exists()


def test_a_planted_pickled_key_is_never_loaded(tmp_path: Path):
    """Walking over the keys, as forgetting does, refuses one that is not text."""
    bomb = tmp_path / "exploded"
    with closing(Cache(str(tmp_path / "index"))) as planted:
        planted[(Bomb(bomb),)] = "text"
    said: list[str] = []
    with index_at(tmp_path / "index", said.append) as index:
        index.write({"a": "1"}, limit=1)
        assert said
    assert not bomb.exists()


def test_only_plain_rows_come_out(tmp_path: Path):
    """What a row says of itself must be that it is plain text, whatever its value looks like."""
    disk = TextDisk(str(tmp_path))
    assert disk.fetch(MODE_RAW, None, "text", read=False) == "text"
    assert disk.get("key", raw=True) == "key"
    for mode in (MODE_BINARY, MODE_TEXT, MODE_PICKLE):
        with pytest.raises(NotTextError):
            disk.fetch(mode, None, "text", read=False)
    with pytest.raises(NotTextError):
        disk.fetch(MODE_RAW, None, b"bytes", read=False)
    with pytest.raises(NotTextError):
        disk.get("key", raw=False)


@pytest.mark.parametrize("value", [1, 1.0, b"bytes", None, ["list"], {"a": 1}])
def test_only_texts_go_in(tmp_path: Path, value: Any):
    """Any other value or key raises instead of being pickled."""
    with closing(open_index(str(tmp_path / "index"))) as cache:
        with pytest.raises(NotTextError):
            cache.set("name", value)
        with pytest.raises(NotTextError):
            cache.set(value, "text")


def test_a_planted_file_name_removes_nothing(tmp_path: Path):
    """A row that names a file elsewhere can be overwritten without touching that file."""
    victim = tmp_path / "victim"
    victim.write_text("keep")
    with index_at(tmp_path / "index") as index:
        index.write({"a": "1"})
    with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as connection:
        connection.execute("UPDATE Cache SET filename = '../victim', mode = 3, value = NULL")
        connection.commit()
    with index_at(tmp_path / "index") as index:
        assert index.get("a") is None
        index.write({"a": "2"})
        assert index.get("a") == "2"
    assert victim.read_text() == "keep"


def test_a_text_under_another_name_is_missing(tmp_path: Path):
    """The checksum covers the name: a row whose key was damaged gives nothing."""
    with index_at(tmp_path / "index") as index:
        index.write({"a": "1"})
    with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as connection:
        connection.execute("UPDATE Cache SET key = 'b'")
        connection.commit()
    with index_at(tmp_path / "index") as index:
        assert index.get("b") is None


def test_any_damage_of_the_database_costs_texts_and_nothing_else(tmp_path: Path):
    """Over truncations and flipped bits all through the file: the text or none, and the index works after."""
    with index_at(tmp_path / "index") as index:
        index.write({str(number): f"text {number}" * 20 for number in range(50)})
    database = tmp_path / "index" / "cache.db"
    whole = database.read_bytes()
    step = len(whole) // 30
    damaged = [whole[:length] for length in range(0, len(whole), step)]
    damaged += [
        whole[:position] + bytes([whole[position] ^ (1 << position % 8)]) + whole[position + 1 :]
        for position in [*range(0, 100, 2), *range(100, len(whole), step)]
    ]
    damaged += [b"\0" * len(whole), os.urandom(len(whole))]
    for wrong in damaged:
        for file in (tmp_path / "index").iterdir():
            file.unlink()
        database.write_bytes(wrong)
        said: list[str] = []
        with index_at(tmp_path / "index", said.append) as index:
            for number in range(50):
                assert index.get(str(number)) in (f"text {number}" * 20, None)
            index.write({"new": "text"})
            if index.get("new") is None:
                assert said
                index.write({"new": "text"})
                assert index.get("new") == "text"


def test_a_garbage_database_is_moved_aside_with_one_warning(tmp_path: Path):
    """The warning comes once, what was there can be looked at, and the next start is calm."""
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "cache.db").write_bytes(b"garbage" * 1_000)
    said: list[str] = []
    with index_at(tmp_path / "index", said.append) as index:
        assert said == [f"the index {tmp_path}/index was damaged and is recreated: file is not a database"]
        index.write({"a": "1"})
    assert (tmp_path / "index.damaged" / "cache.db").read_bytes() == b"garbage" * 1_000
    said = []
    with index_at(tmp_path / "index", said.append) as index:
        assert index.get("a") == "1"
        assert said == []


def test_a_database_that_stays_locked_is_left_to_its_holder(tmp_path: Path):
    """After a short wait the index starts again elsewhere, so that a stuck process stops nobody."""
    with index_at(tmp_path / "index") as index:
        index.write({"a": "1"})
    with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        said: list[str] = []
        with index_at(tmp_path / "index", said.append) as index:
            assert "locked" in said[0]
            index.write({"b": "2"})
            assert index.get("b") == "2"


def test_an_index_that_cannot_be_made_is_empty(tmp_path: Path):
    """Where no folder can be, there is a warning and no error."""
    (tmp_path / "file").write_text("")
    said: list[str] = []
    with index_at(tmp_path / "file" / "index", said.append) as index:
        index.write({"a": "1"})
        assert index.get("a") is None
        assert said
