"""A command whose output nobody reads to its end."""

from __future__ import annotations

import os
import subprocess

from tests.support.project import Project


def test_a_reader_that_goes_away_does_not_change_how_a_command_ends(project: Project) -> None:
    """A failing build fails, and what is stale is stale."""
    project.pipeline('[tasks.a]\ncommand = "exit 3"\n')
    for arguments in (["build", "--summarize"], ["status", "--exit-code"]):
        reading, writing = os.pipe()
        os.close(reading)
        command, environment = project.command(*arguments), project.environment()
        for error in (None, writing):
            done = subprocess.run(
                command, cwd=project.root, env=environment, stdout=writing, stderr=error, check=False
            )
            assert done.returncode == 1, arguments
        os.close(writing)
