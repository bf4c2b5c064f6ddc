"""What `pipeline.toml` says, for commands that run nothing; its notebooks need not be there."""

from __future__ import annotations

import os

from nbmake_dag.core.model import Pipeline
from nbmake_dag.observe.project import Project


def settings_of(project: Project) -> Pipeline:
    """Read the pipeline without looking at its notebooks; raises `ConfigError`."""
    from nbmake_dag.core.config import expand, parse  # noqa: PLC0415 - not for --help

    with open(project.config, "rb") as file:
        return expand(parse(file.read(), file=os.path.basename(project.config)), {}, {})
