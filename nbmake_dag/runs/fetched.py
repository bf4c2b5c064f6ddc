"""Store the bundles of a repository's build artefacts in a folder, so that each is fetched once.

An artefact has a folder of its own, named by its number; those of forks are in ``forks``. Beside them ``complete``
has the number up to which all were seen, so that thousands of artefacts are not listed each time.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from contextlib import suppress

import msgspec

from nbmake_dag.observe.state_file import read_regular
from nbmake_dag.runs.github import Artifact, DownloadError, GitHub, RateLimitError
from nbmake_dag.runs.places import SUFFIX
from nbmake_dag.runs.zip_members import Limits, RefusedArchiveError, members
from nbmake_dag_reporting.bundle import BundleError, decode_bundle

PREFIX = "nbdag-run-"
"""How the names of artefacts begin that hold bundles."""
_COMPLETE = "complete"
_OVERLAP = 100
"""So many artefacts that were seen are looked at again: one with a lower number may be uploaded for longer."""


class Fetched(msgspec.Struct, kw_only=True):
    """The result of fetching a repository's artefacts; ``refused`` are their names, each with the reason."""

    folders: tuple[str, ...]
    new: int = 0
    expired: int = 0
    of_forks: int = 0
    refused: list[str] = []
    failed: int = 0
    """How many of them may be fetched another time."""
    stopped: str = ""
    """Why not all could be fetched."""


def fetch(github: GitHub, repository: str, folder: str, *, forks: bool) -> Fetched:
    """Fetch what is not there yet; raises `UsageError`, `InfrastructureError` where nothing can be listed."""
    own, theirs = os.path.join(folder, "own"), os.path.join(folder, "forks")
    fetched = Fetched(folders=(own, theirs) if forks else (own,))
    seen = min(map(_seen, fetched.folders))
    newest, known = 0, 0
    try:
        for artifact in github.artifacts(repository):
            newest = max(newest, artifact.id)
            known += artifact.id <= seen
            if known > _OVERLAP:
                break
            if artifact.name.startswith(PREFIX):
                _fetch(github, repository, artifact, theirs if artifact.is_of_fork else own, fetched)
    except RateLimitError as error:
        fetched.stopped = str(error)
    if not fetched.stopped and not fetched.failed:
        for above in fetched.folders:
            _note_seen(above, newest)
    return fetched


def _seen(above: str) -> int:
    """Return up to which number all artefacts were seen; 0 where that, or one of what was fetched, is gone."""
    with suppress(OSError, ValueError):
        number, count = map(int, read_regular(os.path.join(above, _COMPLETE)).split())
        return number if count <= _count(above) else 0
    return 0


def _note_seen(above: str, newest: int) -> None:
    os.makedirs(above, exist_ok=True)
    path = os.path.join(above, _COMPLETE)
    with open(f"{path}.part", "w", encoding="ascii") as file:
        file.write(f"{newest} {_count(above)}\n")
    os.replace(f"{path}.part", path)


def _count(above: str) -> int:
    return sum(name.isdecimal() for name in os.listdir(above))


def _keep(folder: str, bundles: dict[str, bytes]) -> None:
    """Put gzipped bundles, by run, into a new folder that is there with all of them or not at all."""
    above = os.path.dirname(folder)
    os.makedirs(above, exist_ok=True)
    temporary = tempfile.mkdtemp(dir=above, prefix=".")
    try:
        for run_id, data in bundles.items():
            with open(os.path.join(temporary, run_id + SUFFIX), "wb") as file:
                file.write(data)
        os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _fetch(github: GitHub, repository: str, artifact: Artifact, above: str, fetched: Fetched) -> None:
    folder = os.path.join(above, str(artifact.id))
    if os.path.isdir(folder):
        return
    if above not in fetched.folders:
        fetched.of_forks += 1
    elif artifact.expired:
        fetched.expired += 1
    else:
        try:
            _keep(folder, _bundles(github, repository, artifact))
            fetched.new += 1
        except (DownloadError, RefusedArchiveError, BundleError) as error:
            fetched.failed += isinstance(error, DownloadError)
            fetched.refused.append(f"{artifact.name} ({artifact.id}): {error}")


def _bundles(github: GitHub, repository: str, artifact: Artifact) -> dict[str, bytes]:
    with tempfile.TemporaryFile() as file:
        github.download(repository, artifact, file)
        bundles = {
            decode_bundle(content, artifact.name).run.id: gzip.compress(content, mtime=0)
            for content in members(file, ".json", Limits())
        }
    if not bundles:
        raise RefusedArchiveError("it holds no bundle")
    return bundles
