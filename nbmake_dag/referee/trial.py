"""Trials: chosen tasks executed in a private copy, with a process, an environment and a cache of their own.

All trials of a project share a cache and a folder of runs, below ``.nbdag/state/trials``. They write nowhere
else, and no build reads there: a result of mixed ingredients never becomes a hit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.processes.private_folder import private_folder
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import read_regular
from nbmake_dag.referee.child import ANSWER, ORDER, ChildAnswer, ChildOrder, ChildTask
from nbmake_dag.referee.copies import copy_of, furnish, put
from nbmake_dag.referee.environment import clean
from nbmake_dag.referee.order import Blob, Commit, Order, Tried, TriedTask
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.layout import CacheLayout, files_below, temporary_in
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore

_LARGEST = 1 << 30
_ENDING_S = 20.0


class Trials:
    """The trials of a project; any thread may use it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.cache = os.path.join(project.trials, "cache")
        self.runs = os.path.join(project.trials, "runs")
        self.records = RecordStore(self.cache)
        self.blobs = BlobStore(self.cache)
        self._of_builds = BlobStore(project.cache)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_stopped = False

    @contextlib.contextmanager
    def at_once(self, count: int) -> Generator[ThreadPoolExecutor]:
        """Yield threads for trials; if what uses them ends by an error or a signal, so do the trials."""
        with ThreadPoolExecutor(count) as threads:
            try:
                yield threads
            except BaseException:
                self._is_stopped = True
                threads.shutdown(wait=False, cancel_futures=True)
                for child in list(self._running):
                    _end(child)
                raise

    def read(self, sha256: str) -> bytes | None:
        """Return a blob of the trials, else of the project's cache; ``None`` where neither has it."""
        for blobs in (self.blobs, self._of_builds):
            with contextlib.suppress(BlobError):
                return blobs.read(sha256, _LARGEST)
        return None

    def run(self, order: Order) -> Tried:
        """Carry out an order; raises `UsageError` for a commit that cannot be read.

        What goes wrong in the trial is in its answer.
        """
        if self._is_stopped:
            return Tried(problem="it was stopped")
        noted = self._noted(order.notes) if order.notes else {}
        if noted:
            given = {name: task.record for name, task in noted.items() if task.record}
            left = tuple(name for name in order.tasks if name not in noted)
            order = replace(order, tasks=left, given={**order.given, **given})
            if not left:
                return Tried(tasks=noted)
        if order.lend:
            self._lend()
        with private_folder(os.path.join(self.project.trials, "copies")) as folder:
            copy = copy_of(self.project, folder, above=_above(self.project, order))
            furnish(self.project, copy, order.base)
            self._give(order.given.values(), copy, folder)
            for path, content in order.files.items():
                put(copy.absolute(path), content, (self._of_builds, self.blobs), folder)
            with open(os.path.join(folder, ORDER), "wb") as file:
                file.write(msgspec.json.encode(_for_child(order, copy, self.project)))
            tried = self._answer(folder, order)
            return replace(tried, tasks={**noted, **tried.tasks})

    def _noted(self, path: str) -> dict[TaskName, TriedTask]:
        """Return the tasks that a trial has executed before it was interrupted, as far as all is left of them."""
        found: dict[TaskName, TriedTask] = {}
        with contextlib.suppress(OSError):
            for line in read_regular(path).splitlines():
                # the last one may be cut off
                with contextlib.suppress(msgspec.DecodeError):
                    name, task = msgspec.json.decode(line, type=tuple[str, ChildTask])
                    if task.record and all(map(self.blobs.has, _blobs_of(task.record))):
                        found[TaskName(name)] = _tried_task(task)
        return found

    def _answer(self, folder: str, order: Order) -> Tried:
        """Start the child, and wait for what it answers."""
        environ = {
            **clean(os.environ, order.passed),
            # git does not find the repository above the copy
            "GIT_CEILING_DIRECTORIES": folder,
        }
        with open(os.path.join(folder, "printed"), "w+b") as printed:
            child = subprocess.Popen(
                [sys.executable, "-m", "nbmake_dag.referee.child", folder],
                env=environ,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            self._running.add(child)
            if self._is_stopped:
                _end(child)
            in_time = _wait(child, order.timeout)
            self._running.discard(child)
            printed.seek(0)
            said = printed.read().decode("utf-8", "replace").strip().splitlines()
        answer = ChildAnswer(problem=": ".join(["a trial ended without an answer", *said[-1:]]))
        with contextlib.suppress(OSError, msgspec.DecodeError):
            answer = msgspec.json.decode(read_regular(os.path.join(folder, ANSWER)), type=ChildAnswer)
        problem = answer.problem if in_time else f"it took longer than {order.timeout:g} s"
        return Tried(
            run_id=answer.run_id,
            problem=problem,
            tasks={TaskName(name): _tried_task(task) for name, task in answer.tasks.items()},
        )

    def _give(self, records: Iterable[Record], copy: Project, folder: str) -> None:
        """Let a trial see results: records, what was logged, and outputs as far as blobs of them are left."""
        for record in records:
            self.records.publish(record)
            logged = record.logged
            for sha256 in {*(item.sha256 for item in logged.artifacts.values()), logged.series} - {None}:
                if sha256 and not self.blobs.has(sha256) and (data := self.read(sha256)) is not None:
                    self.blobs.put_bytes(data)
            for output in record.outputs:
                for path in output.folders:
                    os.makedirs(copy.absolute(path), exist_ok=True)
                for file in output.files:
                    content = Blob(file.sha256, file.executable)
                    put(copy.absolute(file.path), content, (self._of_builds, self.blobs), folder)

    def _lend(self) -> None:
        """Make the records and blobs of the project's cache those of the trials too, by hard links."""
        here, there = CacheLayout(self.project.cache), CacheLayout(self.cache)
        # blobs first: a record is believed
        for source, target in ((here.blobs, there.blobs), (here.records, there.records)):
            for entry in files_below(source):
                place = os.path.join(target, os.path.relpath(entry.path, source))
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    _link(entry.path, place, there)


def _tried_task(task: ChildTask) -> TriedTask:
    return TriedTask(
        status=task.status,
        record=task.record,
        failure=task.failure,
        other=task.other,
        duration_s=task.duration_s,
    )


def _blobs_of(record: Record) -> Iterator[str]:
    for output in record.outputs:
        yield from (file.sha256 for file in output.files)


def _link(source: str, place: str, layout: CacheLayout) -> None:
    """Link a file of a cache into another, which may be on another disk: then it is copied."""
    try:
        os.link(source, place)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            raise
        if not os.path.lexists(place):
            os.makedirs(layout.temporary, exist_ok=True)
            temporary = temporary_in(layout.temporary)
            shutil.copyfile(source, temporary)
            os.replace(temporary, place)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Tell a child to end, by the end of its standard input."""
    if child.stdin is not None:
        child.stdin.close()


def _wait(child: subprocess.Popen[bytes], timeout: float | None) -> bool:
    """Wait for a child; ``False`` if it had to be ended. It is told to end by the end of its standard input."""
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    else:
        return True
    finally:
        _end(child)
        try:
            child.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _above(project: Project, order: Order) -> int:
    """Return how many folders above the repository an order has files in."""
    paths = (os.path.relpath(project.absolute(path), project.repository) for path in order.files)
    return max((path.split("/").count("..") for path in paths), default=0)


def _for_child(order: Order, copy: Project, project: Project) -> ChildOrder:
    return ChildOrder(
        config=copy.config,
        root=copy.root,
        repository=copy.repository,
        workspace=copy.workspace,
        store=project.trials,
        kind=order.kind,
        tasks=order.tasks,
        given={name: (record.own_key, record.key) for name, record in order.given.items()},
        alone=order.alone,
        parameters={name: dict(values) for name, values in order.parameters.items()},
        overrides=dict(order.overrides),
        profiles=order.profiles,
        reuse=order.reuse,
        sandboxed=order.sandboxed,
        variables=dict(order.variables),
        commit=order.base.revision if isinstance(order.base, Commit) else "",
        same={name: tuple(ingredients) for name, ingredients in order.same.items()},
        notes=order.notes,
    )
