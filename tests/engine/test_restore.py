"""Outputs put back from the cache, and bytes of the user that are rescued before."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag.core.schedule import Restore
from nbmake_dag.engine.results.restore import PutBack, Restoring, restore
from nbmake_dag.engine.state.rescued_files import rescue_files
from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.protocol import Failure
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag_cache.blobs import BlobDamagedError, BlobMissingError, BlobStore
from nbmake_dag_cache.digest import digest_bytes
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.record import Output
from tests.cache.sharing import OUTPUT, TABLE, make_record

DECLARED = ("a.csv", "d/")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a project whose one task made a file and a folder."""
    (tmp_path / "d" / "deep").mkdir(parents=True)
    for path, text in (("a.csv", "a"), ("d/1.csv", "1"), ("d/deep/2.csv", "2")):
        (tmp_path / path).write_text(text)
    return Project(config=str(tmp_path / "pipeline.toml"), root=str(tmp_path), repository=str(tmp_path))


@pytest.fixture
def blobs(project: Project) -> BlobStore:
    return BlobStore(project.cache)


@pytest.fixture
def outputs(project: Project, blobs: BlobStore) -> tuple[Output, ...]:
    """Store what the task made."""
    stored = collect_outputs(project.root, DECLARED, blobs)
    assert not isinstance(stored, Failure)
    return stored


def _files(project: Project) -> dict[str, str]:
    return {
        os.path.relpath(os.path.join(folder, name), project.root): Path(folder, name).read_text()
        for folder, _, names in os.walk(project.root)
        for name in names
        if ".nbdag" not in folder
    }


MADE = {"a.csv": "a", "d/1.csv": "1", "d/deep/2.csv": "2"}


def test_what_is_restored_is_what_was_made(
    project: Project, blobs: BlobStore, outputs: tuple[Output, ...]
) -> None:
    """Deleted and edited files come back, and a file that joined a folder goes."""
    os.unlink(project.absolute("a.csv"))
    Path(project.absolute("d/1.csv")).write_text("edited")
    Path(project.absolute("d/stray.csv")).write_text("stray")
    restore(project, blobs, outputs)
    assert _files(project) == MADE


@pytest.mark.parametrize("place", ["d/stray", "d/deep/stray", "d/1.csv", "d/deep", "d"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("nothing", path)], ids=["pipe", "link"])
def test_what_is_no_file_gives_way(
    project: Project, blobs: BlobStore, outputs: tuple[Output, ...], place: str, make: Callable[[str], None]
) -> None:
    """A link to nothing would be in the folder after each build, and be found again by the next."""
    if os.path.lexists(project.absolute(place)):
        os.rename(project.absolute(place), project.absolute("moved"))
    make(project.absolute(place))
    restore(project, blobs, outputs)
    assert set(os.listdir(project.absolute("d"))) == {"1.csv", "deep"}
    assert os.listdir(project.absolute("d/deep")) == ["2.csv"]
    assert {path: text for path, text in _files(project).items() if not path.startswith("moved")} == MADE


def test_a_folder_where_a_file_was_made_gives_way(
    project: Project, blobs: BlobStore, outputs: tuple[Output, ...]
) -> None:
    """So does a file where a folder was."""
    os.unlink(project.absolute("a.csv"))
    os.makedirs(project.absolute("a.csv/inside"))
    os.rename(project.absolute("d"), project.absolute("moved"))
    Path(project.absolute("d")).write_text("a file")
    restore(project, blobs, outputs)
    assert {path: text for path, text in _files(project).items() if not path.startswith("moved")} == MADE


def test_a_missing_blob_is_said(project: Project, blobs: BlobStore, outputs: tuple[Output, ...]) -> None:
    """A record whose bytes are not there is no hit."""
    os.unlink(CacheLayout(project.cache).blob(outputs[0].files[0].sha256))
    with pytest.raises(BlobMissingError):
        restore(project, blobs, outputs)


def test_a_damaged_blob_is_said_and_goes_nowhere(
    project: Project, blobs: BlobStore, outputs: tuple[Output, ...]
) -> None:
    """The file in its place stays as it was."""
    blob = CacheLayout(project.cache).blob(outputs[0].files[0].sha256)
    os.chmod(blob, 0o644)
    Path(blob).write_text("b")
    with pytest.raises(BlobDamagedError):
        restore(project, blobs, outputs)
    assert _files(project) == MADE


def test_only_files_of_the_user_are_rescued(project: Project, blobs: BlobStore) -> None:
    """What nbdag put there last can be made again; an edit of it cannot."""
    ours = {path: digest_bytes(text.encode()) for path, text in MADE.items()}
    paths = tuple(ProjectPath(path) for path in DECLARED)
    assert rescue_files(project, blobs, paths, (), ours) == ()
    Path(project.absolute("d/1.csv")).write_text("edited")
    (rescued,) = rescue_files(project, blobs, paths, (), ours)
    assert (rescued.path, blobs.read(rescued.sha256, 100)) == ("d/1.csv", b"edited")


def test_what_stood_there_before_the_first_build_is_rescued(project: Project, blobs: BlobStore) -> None:
    """Nothing is known of it, so all of it is the user's."""
    rescued = rescue_files(project, blobs, tuple(ProjectPath(path) for path in DECLARED), (), {})
    assert {item.path: blobs.read(item.sha256, 100).decode() for item in rescued} == MADE


@pytest.mark.parametrize("damage", [TABLE.upper(), TABLE[:2], None])
def test_a_file_whose_blob_is_damaged_is_rescued(project: Project, blobs: BlobStore, damage: bytes | None) -> None:
    """That a record has its digest does not help where the bytes are gone, whatever size the blob has."""
    Path(project.absolute("out")).mkdir()
    Path(project.absolute(OUTPUT)).write_bytes(TABLE)
    known, paths = [make_record(blobs=blobs)], [ProjectPath(OUTPUT)]
    assert rescue_files(project, blobs, paths, known, {}) == ()
    blob = Path(CacheLayout(project.cache).blob(known[0].outputs[0].files[0].sha256))
    blob.unlink()
    if damage is not None:
        blob.write_bytes(damage)
    (rescued,) = rescue_files(project, blobs, paths, known, {})
    assert (rescued.path, blobs.read(rescued.sha256, 100)) == (OUTPUT, TABLE)


class _Held:
    """Restores of many tasks, each of which waits at its beginning until it may go on."""

    def __init__(self, project: Project, blobs: BlobStore) -> None:
        self.begun: queue.Queue[TaskName] = queue.Queue()
        self.done: queue.Queue[PutBack] = queue.Queue()
        self.may_go_on = threading.Event()
        self.restoring = Restoring(project, blobs, self._rescue, None, self.done.put)
        self.tasks = [TaskName(str(number)) for number in range(20)]
        for task in self.tasks:
            self.restoring.begin(Restore(task=task, record=make_record(blobs=blobs), missing=()))

    def _rescue(self, task: TaskName, paths: Iterable[ProjectPath]) -> tuple[RescuedFile, ...]:
        del paths
        self.begun.put(task)
        assert self.may_go_on.wait(30)
        return ()


def test_what_has_not_begun_when_restoring_ends_never_begins(project: Project, blobs: BlobStore) -> None:
    """Without the lock, nothing more is written into the workspace; what has begun is waited for."""
    held = _Held(project, blobs)
    begun = [held.begun.get(timeout=30)]
    threading.Timer(0.5, held.may_go_on.set).start()
    held.restoring.close()
    begun += [held.begun.get() for _ in range(held.begun.qsize())]
    assert len(begun) < len(held.tasks)
    assert sorted(held.done.get().instruction.task for _ in begun) == sorted(begun)
    assert held.done.empty()


def test_what_has_not_begun_can_be_cancelled_once(project: Project, blobs: BlobStore) -> None:
    """Of some tasks alone; the others are restored."""
    held = _Held(project, blobs)
    begun = {held.begun.get(timeout=30)}
    cancelled = set(held.restoring.cancel(held.tasks[:15]))
    assert held.restoring.cancel(held.tasks[:15]) == []
    held.may_go_on.set()
    others = set(held.tasks) - cancelled
    assert {held.done.get(timeout=30).instruction.task for _ in others} == others
    assert cancelled
    assert begun | set(held.tasks[15:]) <= others
    held.restoring.close()
    assert held.done.empty()


def test_whatever_goes_wrong_in_a_restore_is_answered(project: Project, blobs: BlobStore) -> None:
    """A build would wait for ever for one that is not."""

    def rescue(task: TaskName, paths: Iterable[ProjectPath]) -> tuple[RescuedFile, ...]:
        raise ValueError(f"{task} {paths}")

    done: queue.Queue[PutBack] = queue.Queue()
    restoring = Restoring(project, blobs, rescue, None, done.put)
    restoring.begin(Restore(task=TaskName("a"), record=make_record(blobs=blobs), missing=()))
    assert isinstance(done.get(timeout=30).error, ValueError)
    restoring.close()
