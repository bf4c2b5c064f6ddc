"""One attempt at one task, wherever it runs: prepare, run the work, and gather what it left."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.command import run_command
from nbmake_dag.execute.encodable import encodable
from nbmake_dag.execute.fold import Folded, fold_accesses, fold_log, fold_missed
from nbmake_dag.execute.function import run_function
from nbmake_dag.execute.process import ProcessRun
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    CommandWork,
    Event,
    Failure,
    FunctionWork,
    NotebookWork,
    Started,
)
from nbmake_dag.execute.runtime_dir import MARKER
from nbmake_dag.execute.sandbox import as_outside, private_copy
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.place import Place

if TYPE_CHECKING:
    from nbmake_dag.execute.cancellation import Cancellation
    from nbmake_dag.execute.notebook import NotebookRun


def run_attempt(
    spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation, node: str | None = None
) -> AttemptResult:
    """Run a task once and say how it ended; whatever goes wrong becomes a result. The scratch folder is removed.

    ``node`` names the machine of a cluster.
    """
    started = time.time_ns()
    emit(Started(task=spec.task, attempt=spec.attempt, time=started, pid=os.getpid(), node=node))
    try:
        result = _run_apart(spec, emit, cancellation) if spec.sandbox else _run(spec, emit, cancellation)
    except Exception as error:  # noqa: BLE001  # a full disk or a defect of ours must end the task too
        failure = Failure(
            type=type(error).__name__, message=str(error), traceback="".join(traceback.format_exception(error))
        )
        result = AttemptResult(outcome="lost", started=started, ended=time.time_ns(), failure=failure)
    shutil.rmtree(spec.scratch, ignore_errors=True)
    shown = result.failure and _encodable(result.failure)
    return replace(result, started=started, failure=shown, host=socket.gethostname(), node=node)


def _encodable(failure: Failure) -> Failure:
    texts = {name: encodable(getattr(failure, name)) for name in ("type", "message", "traceback", "cell_source")}
    return replace(failure, **texts)


def _run_apart(spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation) -> AttemptResult:
    with private_copy(spec) as inside:
        return as_outside(_run(inside, emit, cancellation), inside, spec)


def _run(spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation) -> AttemptResult:
    log, access, artifacts = (
        os.path.join(spec.scratch, name) for name in ("log.jsonl", "access.jsonl", "artifacts")
    )
    os.makedirs(artifacts, exist_ok=True)
    spec = replace(
        spec,
        env={
            **spec.env,
            "NBDAG_LOG": log,
            "NBDAG_UPSTREAM": _write_upstream(spec),
            "NBDAG_ACCESS": access,
            "NBDAG_ARTIFACTS": artifacts,
            MARKER: spec.runtime,
        },
    )
    blobs = BlobStore(spec.blobs)
    result = _dispatch(spec, emit, cancellation, blobs)
    folded = fold_log(log, artifacts, blobs)
    result = replace(
        result,
        logged=folded.logged,
        reads=folded.reads,
        modules=folded.modules,
        accesses=fold_accesses(access, spec.root, folded.modules),
        sandboxed=bool(spec.sandbox),
        apart=spec.apart,
        missed=fold_missed(access, spec.root) if spec.sandbox else (),
    )
    if result.outcome == "succeeded":
        result = _check(spec, result, folded, blobs)
    return replace(result, ended=time.time_ns())


def _check(spec: AttemptSpec, result: AttemptResult, folded: Folded, blobs: BlobStore) -> AttemptResult:
    """Be strict: a success has all its outputs, and a log that can be read."""
    if folded.failure is not None:
        return replace(result, outcome="failed", failure=folded.failure)
    outputs = collect_outputs(spec.root, spec.declared_outputs, blobs if spec.store else None)
    if isinstance(outputs, Failure):
        return replace(result, outcome="failed", failure=outputs)
    return replace(result, outputs=outputs)


def _dispatch(
    spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation, blobs: BlobStore
) -> AttemptResult:
    match spec.work:
        case NotebookWork() as work:
            if work.interpreter and work.start == "warm" and not spec.apart and not spec.resume:
                threading.Thread(target=_start_zygote, args=(spec, work, work.interpreter), daemon=True).start()
            from nbmake_dag.execute.notebook import run_notebook  # noqa: PLC0415  # 0.3 s that others need not pay

            return _of_notebook(run_notebook(spec, emit, cancellation), blobs)
        case FunctionWork() as work:
            return _of_process(run_function(spec, work, emit, cancellation), blobs)
        case CommandWork() as work:
            return _of_process(run_command(spec, work, emit, cancellation), blobs)


def _start_zygote(spec: AttemptSpec, work: NotebookWork, interpreter: str) -> None:
    """Have it import what kernels need, while this process imports what it needs itself."""
    from nbmake_dag.execute.zygote_client import Zygote, ZygoteError  # noqa: PLC0415  # not for other work

    with suppress(OSError, ZygoteError):  # said by whoever wants a kernel of it
        Zygote(runtime=spec.runtime, interpreter=interpreter, env=spec.env, modules=work.preload).start()


def _of_process(run: ProcessRun, blobs: BlobStore) -> AttemptResult:
    return AttemptResult(
        outcome=run.outcome,
        started=run.started,
        ended=run.ended,
        ready=run.started,
        failure=run.failure,
        log=blobs.put_bytes(run.log).sha256 if run.log else None,
        cpu_s=run.cpu_s,
        peak_rss=run.peak_rss,
        exit_code=run.exit_code,
        pid=run.pid,
    )


def _of_notebook(run: NotebookRun, blobs: BlobStore) -> AttemptResult:
    return AttemptResult(
        outcome=run.outcome,
        started=run.started,
        ended=run.ended,
        ready=run.ready,
        failure=run.failure,
        cells=run.cells,
        notebook=blobs.put_bytes(run.notebook).sha256 if run.notebook else None,
        cell_outputs=blobs.put_bytes(run.cell_outputs).sha256 if run.cell_outputs else None,
        cpu_s=run.cpu_s,
        peak_rss=run.peak_rss,
        exit_code=run.exit_code,
        pid=run.pid,
        resumed=run.resumed,
    )


def _write_upstream(spec: AttemptSpec) -> str:
    place = Place(spec.blobs)
    content = {
        name: {
            "params": {**upstream.params, **upstream.logged.params},
            "metrics": upstream.logged.metrics,
            "tags": upstream.logged.tags,
            "artifacts": {
                artifact: place.blob(stored.sha256) for artifact, stored in upstream.logged.artifacts.items()
            },
        }
        for name, upstream in spec.upstream.items()
    }
    path = os.path.join(spec.scratch, "upstream.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
    return path
