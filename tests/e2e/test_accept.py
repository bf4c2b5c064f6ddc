"""`nbdag build --accept`: a change known to change nothing is taken as done."""

from __future__ import annotations

import pytest

from tests.support.project import Project


@pytest.fixture
def project(project: Project) -> Project:
    """Two commands in a row."""
    return project.write("text.txt", "one").pipeline(
        """
        [tasks.copy]
        command = "cat text.txt > copy.txt"
        inputs = ["text.txt"]
        outputs = ["copy.txt"]

        [tasks.count]
        command = "wc -c < copy.txt > count.txt"
        inputs = ["copy.txt"]
        outputs = ["count.txt"]
        """
    )


def test_an_accepted_change_runs_nothing(project: Project) -> None:
    """After a refactoring the present outputs count as those of the new code, and what is below is left alone."""
    project.build().ran("copy", "count")
    project.edit("pipeline.toml", "cat text.txt > copy.txt", "cp text.txt copy.txt")

    accepted = project.build("--accept", "copy")

    accepted.said("accepted: copy\n1 task: 0 ran")
    assert (accepted.code, accepted.having("up_to_date")) == (0, ["copy"])
    assert "needs" not in project.nbdag("show", "latest", "copy").stdout
    assert project.nbdag("graph", "--run", "latest").stdout.count("-->") == 0
    assert "warning" not in project.nbdag("report").stderr
    assert project.build().having("up_to_date") == ["copy", "count"]


def test_what_could_not_be_used_is_said(project: Project) -> None:
    """As a build says it, which would have nothing to say of it afterwards."""
    project.build().ran("copy", "count")
    project.write(".nbdag/state/last.json", "damaged")
    accepted = project.edit("pipeline.toml", "cat text.txt > copy.txt", "cp text.txt copy.txt").build("--accept")
    assert accepted.err.count("last.json cannot be used and is put aside") == 1


def test_an_accepted_result_says_so_in_every_later_hit(project: Project) -> None:
    """`explain` tells that nobody ran this."""
    project.build()
    project.edit("pipeline.toml", "cat text.txt > copy.txt", "cp text.txt copy.txt")
    project.build("--accept")

    assert "accepted without running" in project.nbdag("explain", "copy").stdout


def test_an_accepted_result_still_names_what_it_does_not_declare(project: Project) -> None:
    """With its content of now, so that a later edit of it is seen, and until it is declared."""
    project.write("w.py", "def run(outputs):\n    open(outputs[0], 'w').write(open('cfg').read())\n")
    project.write("cfg", "1").pipeline('[tasks.t]\nfunction = "w:run"\noutputs = ["t.txt"]\n').build().ran("t")
    project.edit("w.py", "'w'", "'wt'").build("--accept")
    project.build().ran().said("t reads cfg and does not declare it")
    assert "changed" not in project.build().err
    project.write("cfg", "2").build().ran().said("changed")
    project.edit("pipeline.toml", "outputs", 'inputs = ["c*g"]\noutputs').build("--accept")
    assert "does not declare" not in project.build().ran().err


def test_a_change_back_is_still_a_hit(project: Project) -> None:
    """Accepting adds a record; it takes none away."""
    project.build()
    project.edit("pipeline.toml", "cat text.txt > copy.txt", "cp text.txt copy.txt")
    project.build("--accept")
    project.edit("pipeline.toml", "cp text.txt copy.txt", "cat text.txt > copy.txt")

    project.build().ran()


def test_a_stale_task_above_that_is_no_target_is_refused(project: Project) -> None:
    """What rests on something stale cannot be declared fresh; nothing is recorded."""
    project.build()
    project.write("text.txt", "another")

    done = project.nbdag("build", "--accept", "count")

    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: `copy` is stale, and what is below it cannot be accepted",
    )
    project.build().ran("copy", "count")


def test_an_output_that_is_not_there_is_refused(project: Project) -> None:
    """Only what exists can be accepted. What was refused is no run."""
    done = project.nbdag("build", "--accept")
    assert "there is no run latest" in project.nbdag("show", "latest").stderr

    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: `copy` cannot be accepted: declared but not written: copy.txt",
    )


def test_a_true_record_is_not_replaced_by_what_was_edited_by_hand(project: Project) -> None:
    """Unchanged code made something else, so its output is refused, also where the cache is only written."""
    project.build()
    project.write("copy.txt", "mine")

    for mode in ("read-write", "write"):
        refused = project.nbdag("build", "--accept", f"--cache={mode}", "copy")
        assert "outputs of `copy` are not as they were made" in refused.stderr


def test_what_was_written_by_hand_and_accepted_is_kept_for_good(project: Project) -> None:
    """No task can make it again: its bytes stay when a later build replaces it, even if results are not stored."""
    project.edit("pipeline.toml", 'outputs = ["copy.txt"]', 'outputs = ["copy.txt"]\nstore = false')
    project.build()
    project.edit("pipeline.toml", "cat text.txt > copy.txt", "cp text.txt copy.txt")
    project.write("copy.txt", "mine")
    project.build("--accept", "copy")
    project.edit("pipeline.toml", "cp text.txt copy.txt", "cat < text.txt > copy.txt")
    project.build().ran("copy")
    assert project.nbdag("clean", "--cache", "-y").returncode == 0

    assert [path.read_bytes() for path in (project / ".nbdag/cache/blobs").glob("*/*")] == [b"mine"]
