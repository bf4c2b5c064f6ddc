"""Private copies of a repository: the files of the workspace or of a commit, and what an order puts over them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import assert_never

from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.observe.git import ask_git, commit_of, environment, listed_files, run_git
from nbmake_dag.observe.project import Project
from nbmake_dag.referee.order import Absent, Base, Blob, Bytes, Commit, Content, OnDisk, Workspace
from nbmake_dag_cache.blobs import BlobError, BlobStore, copy_file

_TIMEOUT_S = 600.0


def copy_of(project: Project, folder: str, *, above: int = 0) -> Project:
    """Return what a project is called in a copy in a folder, which has nothing in it yet.

    ``above`` is how many folders above the repository it has files in.
    """
    repository = os.path.join(folder, *["above"] * above, os.path.basename(project.repository) or "repository")
    root = os.path.normpath(os.path.join(repository, os.path.relpath(project.root, project.repository)))
    # what looks for the root of a repository finds this one
    os.makedirs(os.path.join(repository, ".git"))
    os.makedirs(root, exist_ok=True)
    config = os.path.join(root, os.path.basename(project.config))
    return replace(project, config=config, root=root, repository=repository, workspace=project.repository)


def furnish(project: Project, copy: Project, base: Base) -> None:
    """Put the files into a copy that it begins with; raises `UsageError` for a commit that is not there."""
    match base:
        case Workspace():
            _copy_tree(project.repository, copy.repository)
        case Commit(revision=revision):
            index = os.path.join(os.path.dirname(copy.repository), "index")
            _check_out(project.repository, revision, copy.repository, index)
            _cut_links(copy.repository)
        case _:
            assert_never(base)


def _copy_tree(repository: str, target: str) -> None:
    """Copy the files of a work tree and those of its submodules."""
    listed = listed_files(repository)
    for path in walk(repository) if listed is None else listed:
        source, place = os.path.join(repository, path), os.path.join(target, path)
        if os.path.islink(source) and os.path.isdir(source):
            _copy_link(source, place, repository)
        elif _is_repository(source):
            _copy_tree(source, place)
        else:
            copy_over(source, place)


def _copy_link(source: str, place: str, repository: str) -> None:
    """Copy a link to a folder of the same repository; what is written through another would be written there."""
    real, above = os.path.realpath(source), os.path.realpath(os.path.dirname(source))
    if _is_below(real, os.path.realpath(repository)) and not os.path.lexists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(os.path.relpath(real, above), place)


def _cut_links(root: str) -> None:
    """Put files in the place of links that lead out of a folder; those to folders go."""
    real = os.path.realpath(root)
    for folder, folders, names in os.walk(root):
        for path in (os.path.join(folder, name) for name in (*folders, *names)):
            if os.path.islink(path) and not _is_below(os.path.realpath(path), real):
                source = os.path.realpath(path)
                os.unlink(path)
                copy_over(source, path)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}{os.sep}")


def _is_repository(path: str) -> bool:
    return os.path.lexists(os.path.join(path, ".git"))


def put(path: str, content: Content, stores: tuple[BlobStore, ...], folder: str) -> bool:
    """Put one file into a copy, or take it away; ``False`` where its bytes are nowhere.

    Raises `UsageError` for one outside of the ``folder`` of the copy: paths come from runs of others, too.
    """
    if not _is_below(os.path.realpath(os.path.dirname(path)), os.path.realpath(folder)):
        raise UsageError(f"the run has a file that is outside of any copy of its project: {path}")
    if os.path.lexists(path) and not isinstance(content, Blob):
        os.unlink(path)
    match content:
        case Absent():
            return True
        case Bytes(data=data, executable=executable):
            _make_folder_of(path)
            with open(path, "xb") as file:
                file.write(data)
            os.chmod(path, 0o755 if executable else 0o644)
            return True
        case OnDisk(path=source):
            return copy_over(source, path)
        case Blob(sha256=sha256, executable=executable):
            _make_folder_of(path)
            for blobs in stores:
                try:
                    blobs.restore(sha256, path, executable=executable)
                except BlobError:
                    continue
                return True
            return False
        case _:
            assert_never(content)


def copy_over(source: str, target: str) -> bool:
    """Copy a file, with a link as what it leads to; ``False`` where there is none."""
    if not os.path.isfile(source):
        return False
    _make_folder_of(target)
    if os.path.lexists(target):
        os.unlink(target)
    copy_file(source, target)
    return True


def _make_folder_of(path: str) -> None:
    """Make the folder of a file, also where a link leads to it."""
    os.makedirs(os.path.realpath(os.path.dirname(path)), exist_ok=True)


def walk(root: str) -> Iterator[str]:
    """Yield the files below a folder, relative to it, without hidden folders, environments and pointers of git."""
    for folder, folders, names in os.walk(root):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in names if name != ".git")


def _check_out(repository: str, revision: str, target: str, index: str) -> None:
    """Write the files of a commit into a folder, with those of submodules that are there.

    The repository, its index and its work tree stay as they are.
    """
    environ = {**environment(), "GIT_INDEX_FILE": index, "GIT_OPTIONAL_LOCKS": "0"}
    for arguments in (
        ("read-tree", f"{revision}^{{tree}}"),
        ("checkout-index", "--all", "--force", f"--prefix={target}/"),
    ):
        done = subprocess.run(
            ["git", *arguments],
            cwd=repository,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UsageError(f"commit {revision} cannot be read", tuple(("git says", line) for line in reason[:3]))
    for path, commit in _submodules(repository, revision):
        inner = os.path.join(repository, path)
        if _is_repository(inner) and commit_of(inner, commit):
            _check_out(inner, commit, os.path.join(target, path), index)


def _submodules(repository: str, revision: str) -> Iterator[tuple[str, str]]:
    """Yield the submodules of a commit, each with its own commit."""
    for line in (ask_git(repository, "ls-tree", "-r", "-z", revision) or "").split("\0"):
        if line.startswith("160000 "):
            entry, _, path = line.partition("\t")
            yield path, entry.split(" ")[2]


def file_of_commit(repository: str, revision: str, path: str) -> tuple[bytes, bool] | None:
    """Return the bytes of a file of a commit, and whether it can be executed; ``None`` where it has none."""
    listed = ask_git(repository, "ls-tree", "-z", revision, "--", path)
    if not listed:
        return None
    mode, kind, name = listed.split("\0")[0].split("\t")[0].split(" ")
    if kind != "blob" or mode == "120000":
        return None
    done = run_git(repository, "cat-file", "blob", name, timeout=_TIMEOUT_S)
    return None if done is None or done.returncode else (done.stdout, mode == "100755")
