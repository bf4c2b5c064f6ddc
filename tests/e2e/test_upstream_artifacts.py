"""Artifacts that a task reads from others: what leaves the store is what went in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.project import Project


@pytest.fixture
def logging(project: Project) -> Project:
    """Make a task that logs a text, and one that copies it together with an input."""
    project.pipeline(
        """
        [tasks.art]
        function = "steps:art"

        [tasks.use]
        function = "steps:use"
        after = ["art"]
        inputs = ["knob.txt"]
        outputs = ["use.txt"]
        """
    )
    project.write(
        "steps.py",
        """
        import os
        import nbmake_dag as nbdag

        def art():
            nbdag.log_text("the truth\\n", "notes/note.txt")

        def use():
            note = nbdag.upstream()["art"].artifacts["notes/note.txt"]
            assert os.path.basename(note.path) == "note.txt"
            assert ".nbdag/cache" not in note.path
            os.chmod(note.path, 0o600)
            text = note.read_text()
            open(note.path, "a").write("changed by its reader")
            open("use.txt", "w").write(text + open("knob.txt").read())
        """,
    )
    project.write("knob.txt", "1\n").build().ran("art", "use")
    return project


def _blob(project: Project) -> Path:
    (found,) = [path for path in (project / ".nbdag/cache/blobs").rglob("*") if _is(path, b"the truth\n")]
    return found


def _is(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def test_a_reader_cannot_change_the_store(logging: Project) -> None:
    """It has a copy under the artifact's own name, which it may write to."""
    assert _blob(logging).read_bytes() == b"the truth\n"
    logging.write("knob.txt", "2\n").build().ran("use")
    assert logging.read("use.txt") == "the truth\n2\n"


def test_a_damaged_artifact_is_made_again_before_it_is_read(logging: Project) -> None:
    """One flipped bit makes its task run, where a task that runs may read it."""
    blob = _blob(logging)
    os.chmod(blob, 0o600)
    blob.write_bytes(b"the Truth\n")
    logging.build().ran()
    build = logging.write("knob.txt", "2\n").build().ran("art", "use")
    assert build.reasons("art") == ["its artifact notes/note.txt is no longer in the cache"]
    assert logging.read("use.txt") == "the truth\n2\n"


def test_a_missing_artifact_is_made_again_where_it_is_needed(logging: Project) -> None:
    """Nothing runs while nobody reads it."""
    _blob(logging).unlink()
    logging.remove(".nbdag/state").build().ran()
    logging.write("knob.txt", "2\n").build().ran("art", "use")
    assert logging.read("use.txt") == "the truth\n2\n"


def test_an_artifact_damaged_behind_the_back_of_the_plan_fails_its_reader_once(logging: Project) -> None:
    """Bytes that change between the plan and the read are noticed as they leave; the next build mends it."""
    blob = _blob(logging)
    damage = (
        f"import pathlib; p = pathlib.Path({str(blob)!r}); p.exists() and (p.chmod(0o600), p.write_bytes(b'x'))"
    )
    logging.edit("steps.py", "def use():\n", f"def use():\n    {damage}\n")
    failed = logging.build()
    assert failed.code == 1
    assert "artifact notes/note.txt was damaged in nbdag's cache: build again" in failed.err
    logging.edit("steps.py", f"    {damage}\n", "")
    logging.write("knob.txt", "3\n").build().ran("art", "use")
    assert logging.read("use.txt") == "the truth\n3\n"
