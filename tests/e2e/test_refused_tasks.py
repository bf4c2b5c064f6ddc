"""Tasks that cannot begin on this machine, or are not wanted any more: the others are built."""

from __future__ import annotations

import pytest

from tests.support.project import Project

GPU = "resources = { gpus = 64 }"


def test_results_of_a_larger_machine_are_used_on_this_one(project: Project) -> None:
    """What a task needs is of no concern while it is up to date, or can be restored; else it is refused."""
    text = """
        [tasks.above]
        command = "cp in.txt above.txt"
        inputs = ["in.txt"]
        outputs = ["above.txt"]

        [tasks.gpu]
        command = "cp above.txt gpu.txt"
        inputs = ["above.txt"]
        outputs = ["gpu.txt"]
    """
    project.write("in.txt", "1\n").pipeline(text).build().ran("above", "gpu")
    project.pipeline(f"{text}        {GPU}\n").build().ran()
    project.remove("gpu.txt").build().restored("gpu")
    changed = project.write("in.txt", "2\n").build()
    changed.ended(1, ran=["above"], failed=["gpu"]).said("it needs 64 GPUs, and this machine has ")
    project.build().said("pipeline.toml:10: task `gpu` needs 64 GPUs, and this machine has ")


def test_a_file_where_a_folder_has_to_be_fails_its_task_alone(project: Project) -> None:
    """Its place is named, and it is left as it was."""
    project.write("results", "a file\n").pipeline(
        """
        [tasks.bad]
        command = "echo 1 > results/a.txt"
        outputs = ["results/a.txt"]
        retries = 3

        [tasks.good]
        command = "echo 1 > b.txt"
        outputs = ["b.txt"]
        """
    )
    project.build("-k").ended(1, failed=["bad"], ran=["good"]).said(f"File exists: {project / 'results'}")
    assert project.read("results") == "a file\n"


def test_what_cannot_be_read_or_is_not_there_fails_its_tasks_alone_with_keep_going(project: Project) -> None:
    """Without, or where nothing else is left, the build does not begin; outputs of before stay."""
    tasks = {
        "absent": 'notebook = "absent.py"',
        "damaged": 'notebook = "damaged.ipynb"',
        "typed": 'function = "typed:run"',
        "input": 'command = "cp in.txt copy.txt"\ninputs = ["in.txt"]\noutputs = ["copy.txt"]',
        "below": 'command = "cat copy.txt"\ninputs = ["copy.txt"]',
        "good": 'command = "cat good.txt"\ninputs = ["good.txt"]',
    }
    project.pipeline("\n".join(f"[tasks.{name}]\n{keys}" for name, keys in tasks.items()))
    project.write("absent.py", "x = 1\n").write("damaged.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4}')
    project.write("typed.py", "def run(): pass\n").write("in.txt", "1").write("good.txt", "1").build()
    project.remove("absent.py", "in.txt").write("damaged.ipynb", "{").write("typed.py", "def run(:\n")
    project.write("good.txt", "2").build().ended(2).said("notebook `absent.py` does not exist")
    build = project.build("-k").ended(
        1, failed=["absent", "damaged", "input", "typed"], skipped=["below"], ran=["good"]
    )
    build.said("module `typed` cannot be read: line 1: ")
    assert project.read("copy.txt") == "1"
    project.build("-k", "absent", "damaged").ended(2).said("damaged.ipynb cannot be read as a notebook")


@pytest.mark.ray
@pytest.mark.slow
def test_a_hit_that_cannot_be_restored_after_a_failure_is_not_run(project: Project) -> None:
    """It would run again for its damaged blob, but nothing begins any more."""
    project.write("in.txt", "1\n").pipeline(
        """
        [tasks.bad]
        command = "cat in.txt > /dev/null; touch failed; exit $(cat code.txt)"
        inputs = ["in.txt"]

        [tasks.slow]
        command = "until test -e failed; do sleep 0.1; done; sleep 2; cat in.txt > /dev/null; echo same > slow.txt"
        inputs = ["in.txt"]
        outputs = ["slow.txt"]

        [tasks.hit]
        command = "cp slow.txt hit.txt; echo hit >> hit.txt"
        inputs = ["slow.txt"]
        outputs = ["hit.txt"]
        """
    )
    project.write("code.txt", "0\n").build().ran("bad", "slow", "hit")
    for blob in (project / ".nbdag/cache/blobs").glob("*/*"):
        if blob.read_text() == "same\nhit\n":
            blob.chmod(0o600)
            blob.write_text("damaged!\n")
    project.write("in.txt", "2\n").write("code.txt", "1\n").remove("hit.txt", "failed")
    # quotes are escaped in TOML, and in the events where they tell of this command
    failed = """until grep -qs ':\\"failed\\"' .nbdag/runs/*/events.jsonl; do sleep 0.1; done"""
    done = project.edit("pipeline.toml", "sleep 2", failed).build("--executor=ray", "-j2")
    done.ended(1, failed=["bad"], ran=["slow"], cancelled=["hit"]).said("hit runs again")


def test_a_result_that_was_not_strict_is_said_to_be_so(project: Project) -> None:
    """It is no question of age."""
    text = '[tasks.t]\nnotebook = "t.py"\n'
    project.write("secret.txt", "1\n").notebook("t.py", "open('secret.txt').read()")
    project.pipeline(text).build().ran("t")
    project.pipeline(f"{text}strict = true\n")
    assert (
        "strict: its result depends on files that are not declared" in project.nbdag("build", "--dry-run").stdout
    )
