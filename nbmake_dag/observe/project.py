"""Locate a project: its ``pipeline.toml``, and the repository around it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from nbmake_dag.errors import UsageError

CONFIG = "pipeline.toml"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute paths. ``root`` is the folder of the configuration; ``repository`` the git root, or ``root``."""

    config: str
    root: str
    repository: str
    workspace: str = ""
    """The repository of which this one is a copy, if it is: what is installed from there means the copy."""
    profiles: tuple[str, ...] = ()
    """Those that lie over the configuration, the later over the earlier ones."""
    store: str = ""
    """The folder whose ``cache`` and ``runs`` it uses in place of its own, if it is the copy of a trial."""
    part: str = ""
    """The part of the configuration in whose folder the search began, relative to the root."""

    @property
    def default_targets(self) -> tuple[str, ...]:
        """What is built if nothing is named: in the folder of a part its tasks, else everything."""
        return (f"{os.path.dirname(self.part)}/",) if self.part else ()

    @property
    def file(self) -> str:
        """The absolute path of the pipeline file that was found: that of the part, if it is one."""
        return os.path.join(self.root, self.part) if self.part else self.config

    @property
    def state(self) -> str:
        """What makes this checkout fast; never carried to another machine."""
        return os.path.join(self.root, ".nbdag", "state")

    @property
    def cache(self) -> str:
        """Records and blobs; may be carried to another machine."""
        return os.path.join(self.store, "cache") if self.store else os.path.join(self.root, ".nbdag", "cache")

    @property
    def runs(self) -> str:
        return os.path.join(self.store, "runs") if self.store else os.path.join(self.root, ".nbdag", "runs")

    @property
    def verdicts(self) -> str:
        """What replays found."""
        return os.path.join(self.root, ".nbdag", "verdicts")

    @property
    def blames(self) -> str:
        """What changes between runs were found to make a difference."""
        return os.path.join(self.root, ".nbdag", "blames")

    @property
    def history(self) -> str:
        """Bundles of runs of other machines."""
        return os.path.join(self.root, ".nbdag", "history")

    @property
    def pulled(self) -> str:
        """Those that other machines pushed."""
        return os.path.join(self.history, "pulled")

    def fetched(self, repository: str) -> str:
        """Those from the build artefacts of a repository on GitHub."""
        return os.path.join(self.history, "github", repository)

    @property
    def failed(self) -> str:
        """Executed notebooks and partial outputs of failed tasks, by run and task."""
        return os.path.join(self.root, ".nbdag", "failed")

    @property
    def attempts(self) -> str:
        """What attempts that run have no other place for: what they log, and what snapshots keep."""
        return os.path.join(self.state, "attempts")

    @property
    def trials(self) -> str:
        """What `replay`, `bisect` and `blame` executed: copies, and a cache and runs that no build uses."""
        return os.path.join(self.state, "trials")

    @property
    def sandboxes(self) -> str:
        """Private copies of the repository, for attempts that may see no more than they declare."""
        return os.path.join(self.state, "sandboxes")

    def make_state(self) -> None:
        """Make the folder of the state, and let git ignore all of ``.nbdag`` from then on."""
        try:
            os.makedirs(self.state)
        except FileExistsError:
            return
        with suppress(FileExistsError), open(os.path.join(self.root, ".nbdag", ".gitignore"), "x") as file:
            file.write("*\n")

    def relative(self, path: str) -> str:
        """Return an absolute path relative to the root, as a person would type it there."""
        return os.path.relpath(path, self.root)

    def absolute(self, path: str) -> str:
        return os.path.join(self.root, path)

    def here(self, path: str) -> str:
        """Return a folder of the ``workspace`` as that of this copy; any other as it is."""
        if not self.workspace:
            return path
        from nbmake_dag.inside.repository import Repository  # noqa: PLC0415 - most projects are no copies

        return Repository(self.repository, self.workspace).mapped(path)


def profiles_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the profiles that the variable ``NBDAG_PROFILE`` names, with commas or white space between them."""
    return tuple(environ.get("NBDAG_PROFILE", "").replace(",", " ").split())


def find_project(directory: str | None = None, file: str | None = None, profiles: tuple[str, ...] = ()) -> Project:
    """Find the project of a folder, or of a configuration file; raises `UsageError` where there is none.

    A file that another above it names as a part is a part of that project.
    """
    start = os.path.abspath(directory or os.curdir)
    if not os.path.isdir(start):
        raise UsageError(f"{directory} is not a folder", (), _like(os.curdir, directory or ""))
    if file is not None:
        config = os.path.join(start, file)
        if not os.path.isfile(config):
            what = f"{config} is not a file" if os.path.exists(config) else f"there is no file {config}"
            raise UsageError(what, (), _like(start, file))
        return _project(os.path.abspath(config), profiles)
    for folder in _upward(start):
        if os.path.isfile(os.path.join(folder, CONFIG)):
            return _project(os.path.join(folder, CONFIG), profiles)
        if not os.access(folder, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            raise UsageError(f"{folder} cannot be searched for a {CONFIG}: {os.strerror(errno.EACCES)}")
        if _is_git_root(folder):
            break
    raise UsageError(
        f"no {CONFIG} in {start} or above it",
        (),
        "`nbdag init` writes one for the notebooks that it finds",
    )


def _like(folder: str, path: str) -> str:
    from nbmake_dag.core.suggest import did_you_mean  # noqa: PLC0415 - only for a mistake

    return "" if os.path.exists(os.path.join(folder, path)) else did_you_mean(path, nearby(folder, path))


def _project(config: str, profiles: tuple[str, ...]) -> Project:
    config, part = _whole(config)
    root = os.path.dirname(config)
    return Project(config=config, root=root, repository=git_root(root) or root, profiles=profiles, part=part)


def _whole(config: str) -> tuple[str, str]:
    """Return the file of which another is a part, and how that names it; else the file itself."""
    found: list[tuple[str, str]] = []
    folder = os.path.dirname(config)
    for above in _upward(folder):
        if above != folder and (name := _name_in(os.path.join(above, CONFIG), config)):
            found.append((os.path.join(above, CONFIG), name))
        if _is_git_root(above):
            break
    if len(found) > 1:
        what = f"{config} is a part of two pipelines"
        raise UsageError(what, tuple(("named in", path) for path, _ in found), "leave it out of one of them")
    return found[0] if found else (config, "")


def _name_in(config: str, part: str) -> str:
    """Return how a pipeline file names another as a part, where a folder may be a link; empty if it does not."""
    try:
        with open(config, "rb") as file:
            data = file.read()
    except OSError:
        return ""
    if b"parts" not in data:
        return ""
    from nbmake_dag.config.parts import parts_in  # noqa: PLC0415 - most projects have one file
    from nbmake_dag.core.globs import is_glob, matches  # noqa: PLC0415 - likewise

    root = os.path.dirname(config)
    path = os.path.relpath(part, root)
    try:
        patterns = parts_in(data)
    except ValueError as error:
        what = f"{config} may name {part} as a part, and cannot be read: {error}"
        raise UsageError(what, (), "mend it first") from error
    for pattern in patterns:
        if is_glob(pattern) and matches(pattern, path):
            return path
        if not is_glob(pattern) and os.path.realpath(os.path.join(root, pattern)) == os.path.realpath(part):
            return pattern
    return ""


def git_root(folder: str) -> str | None:
    """Return the nearest folder at or above an absolute path that is a work tree of git."""
    return next((above for above in _upward(folder) if _is_git_root(above)), None)


def _is_git_root(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, ".git"))


def _upward(folder: str) -> list[str]:
    folders = [folder]
    while (parent := os.path.dirname(folders[-1])) != folders[-1]:
        folders.append(parent)
    return folders


def nearby(folder: str, path: str) -> list[str]:
    """Return what is there beside a path that is not, each as the path was written, relative to ``folder``.

    The path itself may be a link that leads nowhere.
    """
    above = os.path.dirname(path)
    with suppress(OSError):
        there = (os.path.join(above, name) for name in os.listdir(os.path.join(folder, above)))
        return sorted(each for each in there if each != path)
    return []


def leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a link that leads in a circle leads nowhere."""
    with suppress(OSError):
        return entry.is_dir()
    return False


def leads_to_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file or a link to one; a link that leads in a circle leads nowhere."""
    with suppress(OSError):
        return entry.is_file()
    return False
