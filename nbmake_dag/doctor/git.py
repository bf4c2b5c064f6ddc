"""Facts about a repository from git; none where git is not installed, or there is no repository."""

from __future__ import annotations

from collections.abc import Iterable

from nbmake_dag.core.model import ProjectPath, Task
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.git import ask_git
from nbmake_dag.observe.project import Project


def tracked_outputs(project: Project, tasks: Iterable[Task]) -> list[Complaint]:
    """Complain about outputs that are in git: every build would change what git compares."""
    listed = ask_git(project.root, "ls-files", "-z") or ""
    tracked = [path for path in listed.split("\0") if path]
    return [
        Complaint(
            what=f"output `{output.path}` of task `{task.name}` is tracked by git",
            place=task.place_of("outputs"),
            hint=f"git rm -r --cached {output.path} && echo /{output.path} >> .gitignore",
        )
        for task in tasks
        for output in task.outputs
        if any(_is_of(path, output.path) for path in tracked)
    ]


def unignored_state(project: Project) -> list[Complaint]:
    """Complain where git would add nbdag's own files."""
    if ask_git(project.root, "rev-parse", "--git-dir") is None:
        return []
    if ask_git(project.root, "check-ignore", "--quiet", ".nbdag/x") is not None:
        return []
    return [Complaint(what="`.nbdag/` is not ignored by git", place=".gitignore", hint="add the line `/.nbdag/`")]


def _is_of(path: str, output: ProjectPath) -> bool:
    return path.startswith(output) if output.endswith("/") else path == output
