"""A run that is being written is not one that was interrupted."""

from __future__ import annotations

import json

import pytest

from tests.support.project import await_true, kill

pytestmark = pytest.mark.timing


def test_a_run_under_way_is_running_until_it_ends_or_its_build_is_killed(project):
    """`runs`, `show` and their JSON say so, what has not ended is not cancelled, and no site has it yet."""
    begun, go = project.root.parent / "begun", project.root.parent / "go"
    project.pipeline(
        f"""
        [pipeline]
        name = "p"

        [tasks.first]
        command = "true"

        [tasks.slow]
        command = "touch {begun}; while ! test -e {go}; do sleep 0.05; done"
        after = ["first"]

        [tasks.last]
        command = "true"
        after = ["slow"]
        """
    )
    build = project.start("build")
    await_true(begun.exists, 60, "the task did not begin")
    listed = project.nbdag("runs").stdout.splitlines()[1]
    assert " running " in listed
    assert "1 ran, 2 not ended yet" in listed
    shown = [line.split() for line in project.nbdag("show").stdout.splitlines()]
    assert shown[0][-2:] == ["p", "running"]
    assert [" ".join(line[1:3]) for line in shown[-3:]] == ["ran first", "running slow", "waiting last"]
    assert "running" in project.nbdag("show", "latest", "slow").stdout.partition("attempts")[2].split()
    assert [run["result"] for run in json.loads(project.nbdag("runs", "--json").stdout)["runs"]] == ["running"]
    assert "0 runs, nothing new" in project.nbdag("report").stderr
    kill(build)
    shown = [line.split() for line in project.nbdag("show").stdout.splitlines()]
    assert shown[0][-2:] == ["p", "interrupted"]
    assert [" ".join(line[1:3]) for line in shown[-3:]] == ["ran first", "cancelled slow", "cancelled last"]
    assert "1 run, 1 new" in project.nbdag("report").stderr
    go.touch()
    assert project.build().code == 0
    assert " success " in project.nbdag("runs").stdout.splitlines()[1]
