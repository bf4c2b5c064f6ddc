"""Files appear whole at their place, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmake_dag_cache.key import Key
from nbmake_dag_cache.layout import CacheLayout, files_below, is_key, is_sha256, publish, remove


def test_the_layout_is_the_one_that_is_documented():
    """Records lie in folders by own key, blobs by name, both spread by their first two digits."""
    layout = CacheLayout("/cache")
    own_key, key = Key("ab" + "0" * 30), Key("cd" + "1" * 30)
    assert layout.record(own_key, key) == f"/cache/records/ab/{own_key}/{key}.json"
    assert layout.record_folder(own_key) == f"/cache/records/ab/{own_key}"
    assert layout.blob("ef" + "2" * 62) == "/cache/blobs/ef/ef" + "2" * 62


def test_only_hexadecimal_digits_of_the_right_number_are_names():
    """Nothing that could leave a folder is taken for a name."""
    assert is_key("0123456789abcdef" * 2)
    assert is_sha256("0123456789abcdef" * 4)
    for text in ("", "../..", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n", "٣" * 32):
        assert not is_key(text)
        assert not is_sha256(text * 2)


def test_a_published_file_replaces_the_old_one(tmp_path: Path):
    """Folders are made, the old content is replaced, and nothing else is left."""
    layout, target = CacheLayout(str(tmp_path)), tmp_path / "a" / "b" / "file"
    publish(layout, str(target), b"old")
    publish(layout, str(target), b"new")
    assert target.read_bytes() == b"new"
    assert [entry.path for entry in files_below(str(tmp_path))] == [str(target)]


def test_a_file_that_cannot_be_published_leaves_nothing(tmp_path: Path):
    """The error passes on, and the temporary file is gone."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(NotADirectoryError):
        publish(CacheLayout(str(tmp_path)), str(tmp_path / "taken" / "file"), b"data")
    assert [entry.name for entry in files_below(str(tmp_path))] == ["taken"]


def test_a_folder_gives_way_to_the_file_whose_place_it_took(tmp_path: Path):
    """Nothing of a cache is a folder where a file belongs, so that it is not in the way for ever."""
    (tmp_path / "taken" / "x").mkdir(parents=True)
    publish(CacheLayout(str(tmp_path)), str(tmp_path / "taken"), b"data")
    assert (tmp_path / "taken").read_bytes() == b"data"


def test_files_below_are_sorted_and_links_are_not_followed(tmp_path: Path):
    """A missing folder is empty, and a link to a folder is one entry."""
    for name in ("b", "a/z", "a/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    os.symlink("a", tmp_path / "link")
    assert [os.path.relpath(entry.path, tmp_path) for entry in files_below(str(tmp_path))] == [
        "a/y",
        "a/z",
        "b",
        "link",
    ]
    assert list(files_below(str(tmp_path / "missing"))) == []


def test_removing_twice_is_no_error(tmp_path: Path):
    """The second time it says that the file was gone."""
    (tmp_path / "file").write_text("")
    assert [remove(str(tmp_path / "file")), remove(str(tmp_path / "file"))] == [True, False]
