"""What a glob matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.core.globs import (
    escaped,
    is_glob,
    matches,
    may_match_below,
    may_mean,
    may_overlap,
    static_prefix,
    unescaped,
)


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("*.csv", ["a.csv", "é.csv"], ["a.txt", "d/a.csv", ".csv", ".a.csv"]),
        ("d/*.csv", ["d/a.csv"], ["a.csv", "d/e/a.csv", "d/a.csv/b"]),
        ("?.csv", ["a.csv"], ["ab.csv", ".csv", "/.csv"]),
        ("[ab].csv", ["a.csv", "b.csv"], ["c.csv"]),
        ("[!ab].csv", ["c.csv"], ["a.csv", "..csv", "/.csv"]),
        ("[a-c]1", ["b1"], ["d1", "-1"]),
        ("[^a]1", ["^1", "a1"], ["b1", "/1"]),
        ("[+-9]1", ["01"], ["/1", ".1"]),
        ("x[+-9]1", ["x01", "x.1"], ["x/1"]),
        ("[c-a]1", [], ["a1", "b1", "c1", "-1"]),
        ("[a&&b]1", ["a1", "&1", "b1"], ["c1"]),
        ("[.]hidden", [".hidden"], ["xhidden"]),
        ("**/*.csv", ["a.csv", "d/a.csv", "d/e/a.csv"], ["a.txt", ".git/a.csv", "d/.e/a.csv"]),
        ("d/**", ["d/a", "d/e/a"], ["d", "d/", "d/.a", "d/.e/a", "e/a"]),
        ("d/**/a", ["d/a", "d/e/a", "d/e/f/a"], ["d/ea", "da"]),
        (".*", [".a"], ["a", ".a/b"]),
        ("a+(b).csv", ["a+(b).csv"], ["aab.csv"]),
    ],
)
def test_a_glob_matches(pattern: str, matched: list[str], others: list[str]) -> None:
    """Wildcards stay within a name, ``**`` crosses folders, and a leading dot must be written."""
    assert [path for path in (*matched, *others) if matches(pattern, path)] == matched


@pytest.mark.parametrize(
    ("pattern", "prefix"), [("*.csv", ""), ("a/b/*.csv", "a/b/"), ("a/b*/c", "a/"), ("a/b.csv", "a/")]
)
def test_the_fixed_part_of_a_glob_is_its_folders_before_a_wildcard(pattern: str, prefix: str) -> None:
    """Only what is below it has to be searched."""
    assert static_prefix(pattern) == prefix


def test_only_wildcards_make_a_glob() -> None:
    """Other signs are ordinary characters."""
    assert [path for path in ("a*", "a?", "a[b]", "a+b", "{a}", "a") if is_glob(path)] == ["a*", "a?", "a[b]"]


names = st.text(alphabet="ab.*", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
paths = st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)
patterns = st.lists(st.just("**") | names.filter(lambda name: "**" not in name), min_size=1, max_size=4).map(
    "/".join
)


@given(pattern=patterns, path=paths, cut=st.integers(1, 3))
def test_a_folder_that_holds_a_match_may_hold_one(pattern: str, path: str, cut: int) -> None:
    """No folder is left out of a search that has a match below it, and a match starts with the fixed part."""
    if not matches(pattern, path):
        return
    assert path.startswith(static_prefix(pattern))
    parts = path.split("/")
    if cut < len(parts):
        assert may_match_below(pattern, "/".join(parts[:cut]) + "/")


@pytest.mark.parametrize("path", ["a.csv", "a[1].csv", "what?.txt", "*", "[[]", "a]b", "[*]", "x[!]y", "[]"])
def test_every_path_can_be_declared(path):
    """An escaped path is no glob and names the path; it also matches it, and nothing else that differs."""
    text = escaped(path)
    assert (is_glob(text), unescaped(text), matches(text, path)) == (False, path, True)


def test_an_escape_beside_a_wildcard_is_a_glob():
    """The other wildcards of the text stay what they are."""
    assert is_glob("[[]a]*.csv")
    assert matches("[[]a]*.csv", "[a]1.csv")
    assert not matches("[[]a]*.csv", "a1.csv")


@given(pattern=patterns | patterns.map(lambda pattern: f"{pattern}/"), path=paths)
def test_what_may_mean_a_path_may_overlap_with_it(pattern: str, path: str) -> None:
    """The quick question about one path has the same answer, and no match is denied."""
    assert may_mean(pattern, path) == may_overlap(pattern, escaped(path))
    assert may_mean(pattern, path) or not matches(pattern, path)
