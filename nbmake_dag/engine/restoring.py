"""`nbdag restore`: put outputs in place as a recorded run left them, without being able to make them.

Nothing that the run says is believed: a path must be a declared output or lie in a new folder, and bytes must have
the digests of the record. No record is made and no key is touched: for a build, the files are merely there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.model import Pipeline, ProjectPath, Settings, TaskName
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.core.targets import is_instance, name_glob
from nbmake_dag.engine.prepare import load
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.restore import restore
from nbmake_dag.engine.shared_cache.trust import trust_of
from nbmake_dag.engine.state.previous_results import LastRestored
from nbmake_dag.engine.state.rescued_files import note_rescued, rescue_files
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import UsageError, describe
from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.protocol import Failure
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.secrets import declared_secrets
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag.runs.exchange import OUTPUTS
from nbmake_dag_cache.admission import RefusedError, check_outputs
from nbmake_dag_cache.blobs import BlobStore, StoredFile
from nbmake_dag_cache.depot import Depot
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.layout import remove
from nbmake_dag_cache.record import DamagedRecordError, Output, OutputFile, record_from
from nbmake_dag_cache.remote import Remote, RemoteError, UnknownRemoteError, check_url
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.vocabulary import HITS

_GOOD = frozenset({"ran", *HITS})


class Restored(msgspec.Struct, kw_only=True):
    """What `nbdag restore` did; ``lost`` are tasks whose outputs are not in place, each with the reason."""

    run_id: str
    restored: list[str] = []
    in_place: int = 0
    undeclared: list[str] = []
    lost: dict[str, str] = {}
    rescued: tuple[RescuedFile, ...] = ()


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs that tasks left in a run, and the tasks whose outputs nobody knows, each with the reason."""

    outputs: Mapping[str, tuple[Output, ...]]
    lost: Mapping[str, str]


def left_by(recorded: Recorded, targets: Sequence[str]) -> Left:
    """Return the outputs of tasks of a run, of all if no target is named.

    A target is the name of a task, a family or an instance, a glob over names, or the path of an output. Raises
    `UsageError` for one that means nothing.
    """
    outputs: dict[str, tuple[Output, ...]] = {}
    lost: dict[str, str] = {}
    for name, task in recorded.run.tasks.items():
        found = recorded.record(task.record.own_key, task.record.key) if task.record else None
        if task.record is None and task.status not in _GOOD:
            lost[name] = f"it left no result: it was {task.status}"
        elif task.record is None:
            # of a task without outputs nothing is lost
            lost |= {name: "its result was not recorded"} if task.outputs else {}
        elif found is None:
            lost[name] = "its record is no longer in the cache"
        else:
            try:
                record = record_from(found)
                check_outputs(record.outputs)
            except (DamagedRecordError, RefusedError) as error:
                lost[name] = f"its record cannot be used: {error}"
            else:
                outputs[name] = record.outputs
    if targets:
        meant = {name for target in targets for name in _meant(recorded, outputs, target)}
        outputs = {name: left for name, left in outputs.items() if name in meant}
        lost = {name: why for name, why in lost.items() if name in meant}
    return Left(outputs=outputs, lost=lost)


def _meant(recorded: Recorded, outputs: Mapping[str, tuple[Output, ...]], target: str) -> set[str]:
    tasks = recorded.run.tasks
    glob, path = name_glob(f"{target}*" if target.endswith("/") else target), target.removeprefix("./")
    ways: tuple[Callable[[str], bool], ...] = (
        lambda name: name == target,
        lambda name: tasks[name].family == target or is_instance(name, target),
        lambda name: bool(glob.fullmatch(name) or glob.fullmatch(tasks[name].family)),
        lambda name: any(_holds(output, path) for output in outputs.get(name, ())),
    )
    for means in ways:
        if found := {name for name in tasks if means(name)}:
            return found
    paths = (output.path for left in outputs.values() for output in left)
    what = f"run {recorded.run.id} has no task or output called `{target}`"
    raise UsageError(what, (), did_you_mean(target, [*tasks, *paths]))


def _holds(output: Output, path: str) -> bool:
    is_within = output.path.endswith("/") and path.startswith(output.path)
    return is_within or path.rstrip("/") == output.path.rstrip("/")


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of outputs are looked for: this machine, the run's bundle, and places of others."""

    blobs: BlobStore
    recorded: Recorded
    places: tuple[Depot, ...] = ()
    max_size: int

    def bring(self, output: Output) -> str:
        """Have all bytes of an output in the store, verified; return why not."""
        for file in output.files:
            stored = self.blobs.examine(file.sha256)
            if stored is None:
                data = self.recorded.blob(file.sha256)
                stored = self.blobs.put_bytes(data) if data is not None else self._fetched(file)
            if stored is None:
                return f"the bytes of {file.path} are in no cache that can be reached"
            if (stored.sha256, stored.xxh3, stored.size) != (file.sha256, file.xxh3, file.size):
                return f"the bytes of {file.path} are not those of its record"
        return ""

    def _fetched(self, file: OutputFile) -> StoredFile | None:
        for place in self.places if file.size <= self.max_size else ():
            try:
                place.bring(file.sha256, file.size, self.blobs, file.xxh3)
            except (RefusedError, RemoteError):
                continue
            return self.blobs.examine(file.sha256)
        return None


def places_of(project: Project | None, settings: Settings, url: str | None) -> tuple[Depot, ...]:
    """Return where else blobs may be: the shared cache, and the place of pushed runs; raises `UsageError`."""
    remote = settings.cache.remote
    found: list[Depot] = []
    if remote is not None and project is not None:
        zones = trust_of(os.environ, settings.cache.trusted_branches).zones
        found.append(_depot(remote if "://" in remote else project.absolute(remote), (*zones.reads, OUTPUTS)))
    if url is not None:
        found.append(_depot(url, (OUTPUTS,)))
    return tuple(found)


def _depot(url: str, reads: tuple[str, ...]) -> Depot:
    try:
        check_url(url)
    except UnknownRemoteError as error:
        hint = "s3:// needs the extra `s3` of nbdag, or the package s3fs"
        raise UsageError(f"outputs cannot be fetched: {error}", (("from", url),), hint) from error
    return Depot(Remote(url), reads)


def restore_into(folder: str, left: Left, supply: Supply) -> Restored:
    """Put outputs into a new or empty folder, each at its path below it; where that fails nothing is left."""
    done = Restored(run_id=supply.recorded.run.id, lost=dict(left.lost))
    target = Project(config="", root=os.path.abspath(folder), repository="")
    try:
        os.makedirs(folder, exist_ok=True)
        for _, outputs in _available(left, supply, done):
            restore(target, supply.blobs, outputs)
            done.restored += (output.path for output in outputs)
    except BaseException:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            remove(os.path.join(folder, name))
        raise
    return done


def restore_here(
    project: Project, recorded: Recorded, left: Left, url: str | None, *, may_leave_out: bool
) -> Restored:
    """Put outputs into the workspace, under the build lock, the user's bytes kept first.

    Only those that the pipeline declares now; raises `UsageError` for others unless it ``may_leave_out`` them, and
    `SecretFileError` where a file of the user must not be kept. Nothing is then changed.
    """
    done = Restored(run_id=recorded.run.id, lost=dict(left.lost))
    stores = Stores.open(project)
    try:
        pipeline, _, _ = load(project, Request(), stores, by_last=True)
        owner = _owners(pipeline)
        done.undeclared += (
            output.path for outputs in left.outputs.values() for output in outputs if owner(output.path) is None
        )
        if done.undeclared and not may_leave_out:
            what = f"no task of the pipeline declares {done.undeclared[0]} as its output"
            raise UsageError(what, (), "name a new folder with --to: there everything can be restored")
        supply = Supply(
            blobs=stores.blobs,
            recorded=recorded,
            places=places_of(project, pipeline, url),
            max_size=pipeline.cache.max_size,
        )
        wanted: dict[TaskName, list[Output]] = {}
        for _, outputs in _available(left, supply, done):
            for output in outputs:
                if (task := owner(output.path)) is None:
                    continue
                if _is_in_place(project, output):
                    done.in_place += 1
                else:
                    wanted.setdefault(task, []).append(output)
        done.rescued = _rescue(project, stores, pipeline, wanted)
        for task, missing in wanted.items():
            try:
                restore(project, stores.blobs, missing)
            except (FileExistsError, NotADirectoryError, PermissionError) as error:
                done.lost[task] = f"its outputs cannot be put in their places: {describe(error)}"
                continue
            files = {file.path: Digest(file.xxh3) for output in missing for file in output.files}
            stores.previous.note_restored(task, LastRestored(run_id=done.run_id, files=files))
            done.restored += (output.path for output in missing)
    finally:
        stores.close()
    return done


def _owners(pipeline: Pipeline) -> Callable[[str], TaskName | None]:
    """Return what says which task of a pipeline declares a path as its output."""
    tasks = build_graph(pipeline).tasks
    exact = {output.path: name for name, task in tasks.items() if not task.is_unknown for output in task.outputs}
    globs = [(output.path, name) for name, task in tasks.items() if task.is_unknown for output in task.outputs]

    def owner(path: str) -> TaskName | None:
        return exact.get(ProjectPath(path)) or next((name for glob, name in globs if matches(glob, path)), None)

    return owner


def _is_in_place(project: Project, output: Output) -> bool:
    found = collect_outputs(project.root, [output.path], None)
    return not isinstance(found, Failure) and found[0].digest == output.digest


def _rescue(
    project: Project, stores: Stores, pipeline: Pipeline, wanted: Mapping[TaskName, Iterable[Output]]
) -> tuple[RescuedFile, ...]:
    """Save what is the user's at the paths of outputs; raises `SecretFileError`."""
    paths = {name: [ProjectPath(output.path) for output in outputs] for name, outputs in wanted.items()}
    every = {path for of_task in paths.values() for path in of_task}
    known = [record for record in stores.records if any(output.path in every for output in record.outputs)]
    redactor = Redactor(declared_secrets(pipeline, os.environ))
    rescued = tuple(
        item
        for name, of_task in paths.items()
        for item in rescue_files(project, stores.blobs, of_task, known, stores.previous.files(name), redactor)
    )
    note_rescued(project, rescued)
    return rescued


def _available(left: Left, supply: Supply, done: Restored) -> Iterator[tuple[str, tuple[Output, ...]]]:
    """Yield the tasks all of whose outputs are in the store now; the others are noted as lost."""
    for name, outputs in left.outputs.items():
        if why := next(filter(None, map(supply.bring, outputs)), ""):
            done.lost[name] = why
        else:
            yield name, outputs
