"""What folders and globs of inputs leave out."""

import pytest

from nbmake_dag.core.ignore import Ignored


@pytest.mark.parametrize(
    "path",
    [
        "__pycache__/",
        "src/__pycache__/",
        "m.pyc",
        "a/b/.ipynb_checkpoints/",
        ".DS_Store",
        "data/._x.csv",
        "x.csv~",
        ".x.csv.swp",
        ".#x.csv",
        "#x.csv#",
        "Thumbs.db",
        ".git/",
    ],
)
def test_what_tools_drop_is_ignored(path: str) -> None:
    """Without any pattern of the user."""
    assert path in Ignored(())


@pytest.mark.parametrize(
    "path", ["a.py", "__pycache__", "git/", ".gitignore", "a~b", "x.swp.csv", ".hidden", "data/"]
)
def test_other_files_are_not(path: str) -> None:
    """A rule for folders leaves files of the name alone, hidden files are files."""
    assert path not in Ignored(())


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        (["*.tmp"], "a/b.tmp", True),
        (["*.tmp"], "a/b.tmp/", True),
        (["tmp/"], "a/tmp/", True),
        (["tmp/"], "a/tmp", False),
        (["/tmp"], "tmp", True),
        (["/tmp"], "a/tmp", False),
        (["data/*.bak"], "data/x.bak", True),
        (["data/*.bak"], "data/old/x.bak", False),
        (["data/**/*.bak"], "data/old/x.bak", True),
        (["!*.pyc"], "m.pyc", False),
        (["!*.pyc"], "m.pyo", True),
        (["!*.pyc", "*.pyc"], "m.pyc", True),
        (["*.csv", "!keep.csv"], "a/keep.csv", False),
        (["*.csv", "!a/keep.csv"], "b/keep.csv", True),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns: list[str], path: str, *, ignored: bool) -> None:
    """A pattern with a slash inside is over the whole path, one with a slash at its end is for folders."""
    assert (path in Ignored(patterns)) is ignored
