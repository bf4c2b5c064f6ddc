"""Declared paths: what they become, and which are refused."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.config.paths import PathError, folded, read_path, read_pattern, written_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data/x.csv", "data/x.csv"),
        ("./data//x.csv", "data/x.csv"),
        ("data/../x", "x"),
        ("data/", "data/"),
        ("data/.", "data/"),
        (".", "./"),
        ("..", "../"),
        ("../common/x", "../common/x"),
        (".hidden/x", ".hidden/x"),
        ("my data/é", "my data/é"),
        ("e\u0301", "é"),
        (".github/x", ".github/x"),
    ],
)
def test_a_path_is_normalised(text, expected):
    """Dots and double slashes go, the slash of a folder stays, Unicode is in form C."""
    assert read_path(text) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("/x", "is absolute"),
        ("~/x", "begins with `~`, which is not expanded"),
        ("a\nb", "holds a line break or a control character"),
        ("a\0b", "holds a line break or a control character"),
        ("a\x1bb", "holds a line break or a control character"),
        ("a\u2028b", "holds a line break or a control character"),
        ("a\\b", "holds a backslash"),
        ("s3://a/b", "is a URL"),
        (".git/config", "is inside a folder that belongs to git or nbdag"),
        ("a/../.GIT/x", "is inside a folder that belongs to git or nbdag"),
        ("sub/.nbdag/cache", "is inside a folder that belongs to git or nbdag"),
        (".nbdag", "is inside a folder that belongs to git or nbdag"),
        ("a/" + "é" * 128, "has a part of more than 255 bytes"),
        ("x" * 256, "has a part of more than 255 bytes"),
    ],
)
def test_a_path_that_cannot_be_declared_is_refused(text, what):
    """Whether read or written, these have no meaning or a dangerous one."""
    for read in (read_path, read_pattern, written_path):
        with pytest.raises(PathError) as caught:
            read(text)
        assert caught.value.what == what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("../x", "is not inside the project"),
        ("a/../../x", "is not inside the project"),
        ("..", "is not inside the project"),
        (".", "is not inside the project"),
        ("a/..", "is not inside the project"),
        ("a/*.csv", "is a glob, and what a task writes is declared file by file"),
        ("a?", "is a glob, and what a task writes is declared file by file"),
        ("a[1]", "is a glob, and what a task writes is declared file by file"),
    ],
)
def test_a_task_writes_named_files_inside_the_project(text, what):
    """What may be read, such as files above and globs, may not be written."""
    read_pattern(text)
    with pytest.raises(PathError) as caught:
        written_path(text)
    assert caught.value.what == what


@pytest.mark.parametrize("text", ["*.csv", "data/**/*.csv", "**", "a?[0-9][!x].csv", "../**/x"])
def test_a_glob_stays_as_it_is(text):
    """The wildcards are `*`, `?`, `[...]` and `**`."""
    assert read_pattern(text) == text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("data**/x", "joins `**` with other text"),
        ("data/***", "joins `**` with other text"),
        ("*/../x", "goes up after a wildcard"),
        ("a[bc", "has a `[` that is not closed"),
        ("a[]", "has a `[` that is not closed"),
    ],
)
def test_a_glob_that_would_mean_something_else_is_refused(text, what):
    """What other tools read in different ways is not read at all."""
    with pytest.raises(PathError) as caught:
        read_pattern(text)
    assert caught.value.what == what


@given(st.text(st.sampled_from("ab./é~*\n.gitnbdag"), max_size=20))
def test_a_written_path_never_leaves_the_project(text):
    """Whatever is declared, what is accepted is normal, inside, and accepted again as itself."""
    try:
        path = written_path(text)
    except PathError:
        return
    assert not posixpath.isabs(path)
    assert ".." not in path.split("/")
    assert written_path(path) == path


@pytest.mark.parametrize(
    ("first", "second"), [("A", "a"), ("é", "e\u0301"), ("É", "e\u0301"), ("straße", "STRASSE"), ("x/", "x")]
)
def test_some_paths_are_the_same_to_some_file_systems(first, second):
    """Case, the form of Unicode and the slash of a folder do not make two paths."""
    assert folded(first) == folded(second)
