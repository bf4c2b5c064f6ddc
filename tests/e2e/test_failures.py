"""Tasks that fail, hang or fail now and then, and what becomes of the others and of their outputs."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.project import Project


def broken(project: Project) -> Project:
    """Make a notebook that fails, with two tasks below it, beside a branch that is well."""
    project.pipeline(
        """
        [tasks.bad]
        notebook = "bad.py"
        outputs = ["bad.txt", "other.txt"]

        [tasks.reader]
        command = "cat bad.txt > reader.txt"
        inputs = ["bad.txt"]
        outputs = ["reader.txt"]

        [tasks.later]
        command = "true"
        after = ["reader"]

        [tasks.well]
        command = "echo well > well.txt"
        outputs = ["well.txt"]

        [tasks.below-well]
        command = "cp well.txt copy.txt"
        inputs = ["well.txt"]
        outputs = ["copy.txt"]
        """
    )
    return project.notebook(
        "bad.py",
        "open('bad.txt', 'w').write('half')",
        "print('so far')\nvalues = [1, 2]\nvalues[7]",
        "open('other.txt', 'w').write('never')",
    )


def test_a_failing_notebook_is_shown_with_its_cell_and_the_other_branch_finishes_with_k(project):
    """What reads it is skipped; notebook and partial outputs are kept; after a fix only the rest runs."""
    build = broken(project).build("-k")
    build.ended(1, failed=["bad"], ran=["below-well", "well"], skipped=["later", "reader"])
    for text in ("bad.py, cell 2, line 3", "> 3 | values[7]", "IndexError: list index out of range"):
        build.said(text)
    folder = f".nbdag/failed/{build.summary['run_id']}/bad"
    build.said(folder)
    notebook = json.loads(project.read(f"{folder}/executed.ipynb"))
    assert [cell["execution_count"] for cell in notebook["cells"]] == [1, 2, None]
    assert notebook["cells"][1]["outputs"][0]["text"] in ("so far\n", ["so far\n"])
    assert project.read(f"{folder}/bad.txt") == "half"
    assert not (project / "bad.txt").exists()
    project.edit("bad.py", "values[7]", "values[1]").build().ran("bad", "reader", "later")


def test_without_k_nothing_new_starts_after_a_failure(project):
    """What had not begun is cancelled; the task with the longest way below it began first."""
    project.pipeline(
        """
        [tasks.bad]
        command = "exit 3"

        [tasks.a]
        command = "true"
        after = ["bad"]

        [tasks.other]
        command = "true"
        """
    )
    build = project.build("-j1").ended(1, failed=["bad"], skipped=["a"], cancelled=["other"])
    build.said("exit status 3").said("cancelled: other after the failure; `--keep-going` goes on")


@pytest.mark.slow
def test_attempts_are_numbered_retried_timed_and_leave_what_was_there_before(project):
    """The last good output stays through failed attempts, and goes only for a whole new one."""
    project.notebook(
        "flaky.py",
        """
        import os, time
        attempt = int(os.environ["NBDAG_ATTEMPT"])
        """,
        "open('result.txt', 'w').write(f'attempt {attempt}')",
        """
        plan = open('plan.txt').read().split()
        if plan[attempt - 1] == 'fail':
            raise ConnectionError('hung up')
        if plan[attempt - 1] == 'hang':
            time.sleep(3600)
        """,
    )
    project.write("plan.txt", "fail hang well").pipeline(
        """
        [tasks.flaky]
        notebook = "flaky.py"
        inputs = ["plan.txt"]
        outputs = ["result.txt"]
        retries = 2
        timeout = "5s"
        """
    )
    build = project.build().ran("flaky")
    assert build.summary["tasks"][0]["attempts"] == 3
    build.said("attempt 1 failed: hung up").said("attempt 2 timed out")
    assert project.read("result.txt") == "attempt 3"

    project.edit("pipeline.toml", "retries = 2", "retries = 1").build().ran().restored()
    project.write("plan.txt", "fail hang")
    build = project.build().ended(1, failed=["flaky"])
    folder = f".nbdag/failed/{build.summary['run_id']}/flaky"
    assert project.read(f"{folder}/result.txt") == "attempt 2"
    assert "time.sleep(3600)" in project.read(f"{folder}/executed.ipynb")
    assert project.read("result.txt") == "attempt 3"
    project.write("plan.txt", "fail hang well").build().ran().restored()


def test_a_kernel_that_dies_fails_its_task_and_no_other(project):
    """Killed, or gone by its own exit: said as it is, and the rest goes on with -k."""
    project.pipeline(
        """
        [tasks.killed]
        notebook = "killed.py"
        outputs = ["killed.txt"]

        [tasks.left]
        notebook = "left.py"
        outputs = ["left.txt"]

        [tasks.well]
        notebook = "well.py"
        """
    )
    project.notebook("killed.py", "import os, signal", "os.kill(os.getpid(), signal.SIGKILL)")
    project.notebook("left.py", "open('left.txt', 'w').write('x')", "import os\nos._exit(0)")
    project.notebook("well.py", "1 + 1")
    build = project.build("-k").ended(1, failed=["killed", "left"], ran=["well"])
    build.said("killed.py, cell 2").said("left.py, cell 2").said("signal 9")
    assert not (project / "left.txt").exists()


def test_an_output_that_was_not_written_is_a_failure(project):
    """Success is strict."""
    project.pipeline('[tasks.lazy]\ncommand = "true"\noutputs = ["lazy.txt"]\n')
    project.build().ended(1, failed=["lazy"]).said("declared but not written: lazy.txt")


def test_text_that_is_not_utf_8_is_no_defect(project):
    """Variables of another encoding are not passed on; file names fail their task, messages are shown escaped."""
    project.write(
        "steps.py",
        r"""
        import os
        def name(outputs):
            os.makedirs(outputs[0])
            open(os.fsencode(outputs[0]) + b"caf\xe9", "w").close()
        def message():
            raise ValueError("bad name \udcff")
        """,
    )
    project.notebook("note.py", r'print("odd \udcff")', r'raise ValueError("bad name \udcff")')
    project.pipeline(
        """
        [software]
        variables = ["ODD"]

        [tasks.name]
        function = "steps:name"
        outputs = ["out/"]

        [tasks.message]
        function = "steps:message"

        [tasks.note]
        notebook = "note.py"

        [tasks.well]
        command = "echo ${ODD-unset} > well.txt"
        outputs = ["well.txt"]
        """
    )
    (project / "out").mkdir()
    (project / os.fsdecode(b"out/caf\xe9")).write_text("the user's")
    odd = {"ODD": os.fsdecode(b"caf\xe9")}
    build = project.build("-k", env=odd).ended(1, failed=["message", "name", "note"], ran=["well"])
    for text in (
        r"out/caf\udce9 has a name that is not UTF-8",
        r"ValueError: bad name \udcff",
        r"out/caf\udce9 was not made by nbdag",
        "warning: no task sees the variable ODD: it is not UTF-8",
    ):
        build.said(text)
    assert [task["attempts"] for task in build.summary["tasks"]] == [1, 1, 1, 1]
    assert project.read("well.txt") == "unset\n"
    project.build("well", env=odd).ran()


def test_status_and_explain_say_how_a_task_failed_until_it_has_a_result(project):
    """With the run, the cell and the exception; only what is stale is said to have failed."""
    broken(project).build("-k")
    status = " ".join(project.nbdag("status").stdout.split())
    assert "cell 2: IndexError" in status
    assert "`nbdag open bad --failed` shows it" in status
    assert "failed in run" in project.nbdag("explain", "bad").stdout
    summary = json.loads(project.nbdag("status", "--json").stdout)
    failure = {task["name"]: task["last_failure"] for task in summary["tasks"]}
    assert (failure["bad"]["cell"], failure["well"]) == ({"index": 1}, None)
    project.notebook("bad.py", "open('bad.txt', 'w')", "open('other.txt', 'w')").build("bad").ran("bad")
    project.edit("bad.py", "open('bad.txt', 'w')", "open('bad.txt', 'a')")
    assert "failed in run" not in project.nbdag("status").stdout
