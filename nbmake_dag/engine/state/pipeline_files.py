"""The pipeline files of a folder, which share its ``.nbdag``: each as it is now, with each of its profiles.

What is kept for one of them is kept whichever was built last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import tomli

from nbmake_dag.config.tasks import WORK_KEYS
from nbmake_dag.observe.instance_data import Disk, parts_at
from nbmake_dag.observe.project import Project, leads_to_file

_MAX_PIPELINE_BYTES = 1 << 20
"""Files of the folder that are larger are no pipeline files."""


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline file: its name, its content, and the profiles that it and its parts have."""

    name: str
    data: bytes
    profiles: tuple[str, ...]


def pipeline_files(project: Project) -> Iterator[FoundFile]:
    """Yield the pipeline files of a project's folder, and what may be one with a syntax error, by name."""
    for entry in sorted(os.scandir(project.root), key=lambda entry: entry.name):
        if not leads_to_file(entry) or entry.stat().st_size > _MAX_PIPELINE_BYTES:
            continue
        found = _pipeline_text(entry.path)
        if found is None:
            continue
        data, profiles = found
        if b"parts" in data:
            parts = parts_at(project, data, Disk(project))
            profiles = profiles.union(*(_profiles_in(text) for text in parts.values() if isinstance(text, bytes)))
        yield FoundFile(name=entry.name, data=data, profiles=tuple(sorted(profiles)))


def _pipeline_text(path: str) -> tuple[bytes, frozenset[str]] | None:
    """Return the content of what is a pipeline file, or may be one with a syntax error, and its profiles."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    if b"tasks" not in data and b"parts" not in data:
        return None
    try:
        content = tomli.loads(data.decode())
    except (ValueError, RecursionError):
        return (data, frozenset()) if path.endswith(".toml") else None
    tasks = content.get("tasks")
    tables = [*tasks.values(), content.get("defaults")] if isinstance(tasks, dict) else []
    is_pipeline = any(isinstance(table, dict) and not table.keys().isdisjoint(WORK_KEYS) for table in tables)
    pipeline = content.get("pipeline")
    is_pipeline = is_pipeline or (isinstance(pipeline, dict) and "parts" in pipeline)
    return (data, _profiles_in(data)) if is_pipeline else None


def _profiles_in(data: bytes) -> frozenset[str]:
    try:
        profiles = tomli.loads(data.decode()).get("profiles")
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(profiles if isinstance(profiles, dict) else ())
