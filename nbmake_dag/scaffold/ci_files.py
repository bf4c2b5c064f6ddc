"""The files that build a pipeline on a CI system: those of our examples, fitted to a repository."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files as package_files
from typing import Literal, TypeAlias

import msgspec

from nbmake_dag.observe.git import ask_git

CiSystem: TypeAlias = Literal["github", "gitlab"]

_FOLDERS: dict[CiSystem, str] = {"github": ".github", "gitlab": ".gitlab"}
_INCLUDED = ".gitlab/nbdag.yml"
_INCLUDE = f"include:\n  - local: {_INCLUDED}\n"
_INSTALL = "-r requirements.txt"
_DIRECTORY = re.compile(r"^(  (?:NBDAG_)?DIRECTORY: )\.( # of pipeline\.toml\n)", re.MULTILINE)
_BRANCH = re.compile(r"^(    branches: )\[main\]$", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_UNPUBLISHED = "nbmake-dag @ git+https://github.com/OWNER/nbdag@TAG"


class CiFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to write; ``path`` is relative to the root of the repository."""

    path: str
    text: str


class CiPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to write, and what is left to a person."""

    files: tuple[CiFile, ...]
    hints: tuple[str, ...]


def ci_plan(system: CiSystem, repository: str, root: str, secrets: Sequence[str] = ()) -> CiPlan:
    """Fit the files to the folder ``root`` of a pipeline, its requirements, its branch and its secrets."""
    directory = os.path.relpath(root, repository)
    install, source = _install(repository, directory)
    branch = _default_branch(repository)
    found: list[CiFile] = []
    # on GitLab a variable of the project reaches each job by itself
    passed = "".join(f"  {name}: ${{{{ secrets.{name} }}}}\n" for name in secrets) if system == "github" else ""
    for name, text in _templates(system):
        fitted = _DIRECTORY.sub(lambda match: f"{match[1]}{_scalar(directory)}{match[2]}{passed}", text)
        fitted = _BRANCH.sub(lambda match: f"{match[1]}[{_scalar(branch)}]", fitted)
        found.append(CiFile(path=f"{_FOLDERS[system]}/{name}", text=fitted.replace(_INSTALL, install)))
    hints: list[str] = []
    if not _names_nbdag(os.path.join(repository, source)):
        requirement = _requirement()
        placeholders = (
            "; OWNER and TAG stand for the repository that you install nbdag from, until it is on an index"
        )
        hints.append(
            f"{source} must name nbdag: {requirement}{placeholders if requirement == _UNPUBLISHED else ''}"
        )
    if passed:
        hints.append(
            f"write the values of {', '.join(secrets)} into the repository's settings: Secrets and variables,"
            " Actions; a workflow that was there already must pass them, see `nbdag help secrets`"
        )
    if system == "gitlab":
        path = os.path.join(repository, ".gitlab-ci.yml")
        if not os.path.lexists(path):
            found.append(CiFile(path=".gitlab-ci.yml", text=_INCLUDE))
        elif _INCLUDED not in _read(path):
            hints.append(f"write into .gitlab-ci.yml:\n{_INCLUDE.rstrip()}")
    return CiPlan(files=tuple(found), hints=tuple(hints))


def _templates(system: CiSystem) -> list[tuple[str, str]]:
    folder = package_files("nbmake_dag").joinpath("scaffold", "ci", system)
    found: list[tuple[str, str]] = []
    folders = [("", folder)]
    for above, place in folders:
        for entry in sorted(place.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                folders.append((f"{above}{entry.name}/", entry))
            else:
                found.append((f"{above}{entry.name}", entry.read_text(encoding="utf-8")))
    return found


def _install(repository: str, directory: str) -> tuple[str, str]:
    """Return what pip is to install, and the file that says so."""
    folders = dict.fromkeys((directory, "."))
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, "requirements.txt"))
        if os.path.isfile(os.path.join(repository, path)):
            return f"-r {shlex.quote(path)}", path
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, "pyproject.toml"))
        if re.search(r"^\[project\]", _read(os.path.join(repository, path)), re.MULTILINE):
            return shlex.quote(folder if folder == "." else f"./{folder}"), path
    return _INSTALL, "requirements.txt"


def _scalar(text: str) -> str:
    """Write a text as YAML has it."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _default_branch(repository: str) -> str:
    head = ask_git(repository, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    if head and head.strip():
        return head.strip().removeprefix("origin/")
    main = ask_git(repository, "rev-parse", "--verify", "--quiet", "refs/heads/main")
    current = None if main else ask_git(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    return (current or "").strip() or "main"


def _names_nbdag(path: str) -> bool:
    return re.search(r"nbmake[-_.]dag|nbdag", _read(path), re.IGNORECASE) is not None


def _requirement() -> str:
    """Return the requirement that installs this nbdag: from where it was installed, if that was a repository."""
    try:
        told = distribution("nbmake-dag").read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
    origin = json.loads(told) if told else {}
    commit = origin.get("vcs_info", {}).get("commit_id")
    return f"nbmake-dag @ git+{origin['url']}@{commit}" if commit else _UNPUBLISHED


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
