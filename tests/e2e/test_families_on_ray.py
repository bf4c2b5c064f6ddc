"""Families that only a run can know, where Ray executes: what comes out is what comes out without it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.families_everywhere import GATHERERS, MADE, NAMES, make_families, of_each
from tests.support.project import Project, await_true

pytestmark = [pytest.mark.ray, pytest.mark.timing, pytest.mark.slow, pytest.mark.timeout(600)]
ON_RAY = ("--executor=ray", "-j2")


def test_families_in_all_their_forms_are_the_same_on_ray(project: Project, tmp_path: Path) -> None:
    """What tasks make, gathers, a check, a pool, a profile and a part, as they grow, fail and go back."""
    alone = Project.copied(make_families(project).root, tmp_path / "alone")
    for names, options in (
        (NAMES, ()),
        ("moss\noslo\nwrong\n", ("-k", "--profile", "ci")),
        ('oslo\n"rome\n', ("-k",)),
    ):
        alone.write("names.txt", names)
        project.write("names.txt", names)
        without, found = alone.build("--executor=inline", *options), project.build(*ON_RAY, *options)
        statuses = {task["status"] for task in without.summary["tasks"]}
        found.ended(without.code, **{status: without.having(status) for status in statuses})
        assert project.contents(MADE) == alone.contents(MADE)
        if '"' in names:
            found.said("`list.csv` is not CSV, in line 3")
            assert found.having("failed") == ["fit[...]"]
        elif "wrong" in names:
            assert found.having("failed") == ["proof"]
    project.write("names.txt", NAMES).build().ran()


def test_a_ray_worker_may_be_killed_while_families_become_known(project: Project) -> None:
    """One that makes a list, and one that runs an instance: each runs once more, and the build ends well."""
    make_families(project)
    for what, command in (("list", "(echo n; cat names"), ("letter", "cat clean/")):
        held = f"test -e ../go-{what} || {{ touch ../at-{what}; sleep 600; }}; "
        project.edit("pipeline.toml", f'"{command}', f'"{held}{command}')
    build = project.start("build", *ON_RAY)
    for what in "list", "letter":
        await_true((project.root.parent / f"at-{what}").exists, 240, f"{what} did not begin")
        (project.root.parent / f"go-{what}").touch()
        (worker,) = [pid for pid, command in project.processes().items() if command.startswith(f"ray::{what}")]
        os.kill(worker, signal.SIGKILL)
    assert build.wait(240) == 0
    project.build().ran()
    everything = project.contents(MADE)
    project.remove(".nbdag", *MADE)
    project.build("--executor=inline").ran("list", "etl/split", *of_each("oslo", "rome", "bonn"), *GATHERERS)
    assert project.contents(MADE) == everything
