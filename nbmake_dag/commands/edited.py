"""Change `pipeline.toml`: the new text is checked as a pipeline, and replaces the file as a whole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from tempfile import TemporaryDirectory

from nbmake_dag.core.graph import build_graph
from nbmake_dag.engine.loading import read_pipeline
from nbmake_dag.errors import Complaint, ConfigError, UsageError, naming
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources
from nbmake_dag_cache.memo import IdentityMemo, StatMemo


def complaints_about(config: str, text: str) -> tuple[Complaint, ...]:
    """Return why a pipeline cannot be planned."""
    root = os.path.dirname(config)
    with TemporaryDirectory() as state:
        files, identities = StatMemo(state), IdentityMemo(state)
        project = Project(config=config, root=root, repository=root)
        sources = Sources(project, files, identities, tuple(filter(None, sys.path)))
        try:
            build_graph(read_pipeline(project, text.encode("utf-8", "replace"), sources, {}))
        except ConfigError as error:
            return error.complaints
        finally:
            files.close()
            identities.close()
    return ()


def edit(config: str, change: Callable[[str], str], *, dry_run: bool = False) -> None:
    """Change the text of a pipeline, whose lines end with LF for ``change``; a link stays one.

    Raises `UsageError` where the result is no pipeline, and then leaves the file as it was.
    """
    with open(config, encoding="utf-8", newline="") as file:
        before = file.read()
    text = change(before.replace("\r\n", "\n"))
    if complaints := complaints_about(config, text):
        facts = tuple(("why", complaint.what) for complaint in complaints[:3])
        raise UsageError("the pipeline could not be built with the new lines; nothing was changed", facts)
    if dry_run:
        return
    place = os.path.realpath(config)
    temporary = f"{place}.new"
    with naming(place):
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            file.write(text.replace("\n", "\r\n") if "\r\n" in before else text)
        shutil.copymode(place, temporary)
        os.replace(temporary, place)
