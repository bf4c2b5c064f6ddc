"""One attempt at one task, wherever it runs: prepare, run the work, and collect its results."""

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

from nbmake_dag.core.text import encodable
from nbmake_dag.errors import NbdagError, describe, naming
from nbmake_dag.execute.collect import collect_outputs, holding_secrets
from nbmake_dag.execute.log_reader import Folded, fold_accesses, fold_log, fold_missed
from nbmake_dag.execute.process_work import run_command, run_function
from nbmake_dag.execute.processes.process import ProcessRun
from nbmake_dag.execute.processes.runtime_dir import MARKER
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
from nbmake_dag.execute.redaction import RedactedEvents, Redactor, redactor_of, without_secret_names
from nbmake_dag.execute.sandbox import as_outside, private_copy
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.layout import CacheLayout

if TYPE_CHECKING:
    from nbmake_dag.execute.notebook.run import NotebookRun
    from nbmake_dag.execute.processes.cancellation import Cancellation

_UPSTREAM = "upstream.json"
_ARTIFACTS = "artifacts"


def run_attempt(
    spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation, node: str | None = None
) -> AttemptResult:
    """Run a task once and return how it ended; any error becomes a result. The scratch folder is removed.

    ``node`` names the machine of a cluster.
    """
    started = time.time_ns()
    redactor = redactor_of(spec)
    emit(Started(task=spec.task, attempt=spec.attempt, time=started, pid=os.getpid(), node=node))
    try:
        run = _run_apart if spec.sandbox else _run
        result = run(spec, emit, cancellation, redactor)
    except (OSError, NbdagError, BlobError) as error:
        # of the machine, such as a full disk: a traceback of ours says nothing to its user
        failure = Failure(type="_OTHER", message=describe(error))
        result = AttemptResult(outcome="lost", started=started, ended=time.time_ns(), failure=failure)
    except Exception as error:  # noqa: BLE001  # a defect of ours must end the task too
        failure = Failure(
            type=type(error).__name__, message=str(error), traceback="".join(traceback.format_exception(error))
        )
        result = AttemptResult(outcome="lost", started=started, ended=time.time_ns(), failure=failure)
    _remove(spec.scratch)
    shown = result.failure and redactor.failure(_encodable(result.failure))
    result = replace(result, started=started, failure=shown, host=socket.gethostname(), node=node)
    return without_secret_names(result, redactor)


def _remove(scratch: str) -> None:
    """Remove the private folder of an attempt; most have what was put there before, and nothing else."""
    with suppress(OSError):
        os.unlink(os.path.join(scratch, _UPSTREAM))
        os.rmdir(os.path.join(scratch, _ARTIFACTS))
        os.rmdir(scratch)
        return
    shutil.rmtree(scratch, ignore_errors=True)


def _encodable(failure: Failure) -> Failure:
    texts = {
        name: encodable(getattr(failure, name)) for name in ("type", "message", "traceback", "cell_source", "hint")
    }
    return replace(failure, **texts)


def _run_apart(
    spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation, redactor: Redactor
) -> AttemptResult:
    with private_copy(spec) as inside:
        return as_outside(_run(inside, emit, cancellation, redactor), inside, spec)


def _run(
    spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation, redactor: Redactor
) -> AttemptResult:
    log, access, artifacts = (
        os.path.join(spec.scratch, name) for name in ("log.jsonl", "access.jsonl", _ARTIFACTS)
    )
    os.makedirs(artifacts, exist_ok=True)
    spec = replace(
        spec,
        env={
            **spec.env,
            "NBDAG_LOG": log,
            "NBDAG_UPSTREAM": _write_upstream(spec),
            **_gathered(spec),
            "NBDAG_ACCESS": access,
            "NBDAG_ARTIFACTS": artifacts,
            MARKER: spec.runtime,
        },
    )
    blobs = BlobStore(spec.blobs)
    result = _in_environment(spec, emit, cancellation, blobs, redactor)
    folded = fold_log(log, artifacts, blobs, redactor)
    result = replace(
        result,
        logged=folded.logged,
        reads=folded.reads,
        modules=folded.modules,
        decisive=folded.decisive,
        scripts=folded.started,
        commands=folded.commands,
        accesses=fold_accesses(access, spec.root, folded.modules),
        sandboxed=bool(spec.sandbox),
        apart=spec.apart,
        missed=fold_missed(access, spec.root) if spec.sandbox else (),
    )
    if result.outcome == "succeeded":
        result = _check(spec, result, folded, blobs, redactor)
    return replace(result, ended=time.time_ns())


def _gathered(spec: AttemptSpec) -> dict[str, str]:
    """Write the inputs into a file for a command that gathers some: it gets no arguments for them."""
    inputs = spec.inputs
    if not isinstance(spec.work, CommandWork) or not isinstance(inputs, dict):
        return {}
    path = os.path.join(spec.scratch, "inputs.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(inputs, file)
    return {"NBDAG_INPUTS": path}


def _check(
    spec: AttemptSpec, result: AttemptResult, folded: Folded, blobs: BlobStore, redactor: Redactor
) -> AttemptResult:
    """Be strict: a success has all its outputs, and a log that can be read."""
    if folded.failure is not None:
        return replace(result, outcome="failed", failure=folded.failure)
    store = blobs if spec.store else None
    outputs = collect_outputs(spec.root, spec.declared_outputs, None if redactor else store)
    if isinstance(outputs, Failure):
        return replace(result, outcome="failed", failure=outputs)
    withheld = (*folded.withheld, *holding_secrets(outputs, spec.root, redactor))
    if redactor and not withheld:
        outputs = collect_outputs(spec.root, spec.declared_outputs, store)
        if isinstance(outputs, Failure):
            return replace(result, outcome="failed", failure=outputs)
    return replace(result, outputs=outputs, withheld=withheld)


def _in_environment(
    spec: AttemptSpec,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    blobs: BlobStore,
    redactor: Redactor,
) -> AttemptResult:
    if spec.environment is None:
        return _dispatch(spec, emit, cancellation, blobs, redactor)
    from nbmake_dag.execute.environments import provide  # noqa: PLC0415  # not for other attempts

    now = time.time_ns()
    try:
        with provide.in_its_environment(spec, spec.environment, emit, cancellation) as inside:
            return _dispatch(inside, emit, cancellation, blobs, redactor)
    except provide.UnmadeError as error:
        failure = Failure(type="EnvironmentError", message=error.message, hint=error.hint)
        return AttemptResult(outcome="failed", started=now, ended=now, failure=failure)
    except provide.CancelledError:
        return AttemptResult(outcome="cancelled", started=now, ended=now)


def _dispatch(
    spec: AttemptSpec,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    blobs: BlobStore,
    redactor: Redactor,
) -> AttemptResult:
    match spec.work:
        case NotebookWork() as work:
            if work.interpreter and work.start == "warm" and not spec.apart and not spec.resume:
                threading.Thread(target=_start_zygote, args=(spec, work, work.interpreter), daemon=True).start()
            from nbmake_dag.execute.notebook.run import run_notebook  # noqa: PLC0415  # 0.3 s that others need not pay

            events = RedactedEvents(emit, redactor) if redactor else None
            run = run_notebook(spec, events or emit, cancellation, redactor)
            if events:
                events.flush()
            return _of_notebook(run, blobs)
        case FunctionWork() as work:
            return _of_process(run_function(spec, work, emit, cancellation, redactor), blobs)
        case CommandWork() as work:
            return _of_process(run_command(spec, work, emit, cancellation, redactor), blobs)


def _start_zygote(spec: AttemptSpec, work: NotebookWork, interpreter: str) -> None:
    """Have it import what kernels need, while this process imports what it needs itself."""
    from nbmake_dag.execute.processes.zygote_client import Zygote, ZygoteError  # noqa: PLC0415  # not for other work

    with suppress(OSError, ZygoteError):  # said by whoever wants a kernel of it
        Zygote(
            runtime=spec.runtime,
            interpreter=interpreter,
            options=work.options,
            env=spec.env,
            cwd=os.path.join(spec.root, spec.workdir),
            modules=work.preload,
        ).start()


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
        injected=run.injected,
        cell_outputs=blobs.put_bytes(run.cell_outputs).sha256 if run.cell_outputs else None,
        cpu_s=run.cpu_s,
        peak_rss=run.peak_rss,
        exit_code=run.exit_code,
        pid=run.pid,
        resumed=run.resumed,
        mistaken=run.mistaken,
    )


def _write_upstream(spec: AttemptSpec) -> str:
    """Write where `upstream()` finds what it gives, and the artifacts."""
    above = spec.upstream
    content = {"lines": above.file, "above": above.above, "blobs": CacheLayout(spec.blobs).blobs}
    path = os.path.join(spec.scratch, _UPSTREAM)
    with naming(path), open(path, "wb") as file:
        file.write(json.dumps(content).encode())
    return path
