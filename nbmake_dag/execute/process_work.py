"""Run a command or call a Python function, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.process import ProcessRun, run_process
from nbmake_dag.execute.processes.runtime_dir import folder_to_import_from
from nbmake_dag.execute.protocol import AttemptSpec, CommandWork, Event, Failure, FunctionWork
from nbmake_dag.execute.redaction import NO_SECRETS, Redactor


def run_command(
    spec: AttemptSpec,
    work: CommandWork,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    redactor: Redactor = NO_SECRETS,
) -> ProcessRun:
    """Run a command with ``spec.env`` as its environment; a string stops at its first failing command."""
    arguments = ("sh", "-ec", work.arguments) if isinstance(work.arguments, str) else work.arguments
    return run_process(arguments, spec, emit, cancellation, redactor, cwd=os.path.join(spec.root, spec.workdir))


def run_function(
    spec: AttemptSpec,
    work: FunctionWork,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    redactor: Redactor = NO_SECRETS,
) -> ProcessRun:
    """Call a function with its parameters, and its ``inputs`` and ``outputs`` if wanted; ignore what it returns.

    The files that lead to the call and describe its exception lie in ``spec.scratch``.
    """
    call, failure = os.path.join(spec.scratch, "call.json"), os.path.join(spec.scratch, "failure.json")
    arguments: dict[str, Any] = dict(spec.parameters)
    if work.inject_inputs:
        arguments["inputs"] = spec.inputs
    if work.inject_outputs:
        arguments["outputs"] = spec.outputs
    with open(call, "w", encoding="utf-8") as file:
        json.dump(
            {"module": work.module, "qualname": work.qualname, "arguments": arguments, "failure": failure}, file
        )
    cwd = os.path.join(spec.root, spec.workdir)
    if spec.python:
        ours = folder_to_import_from(spec.runtime)
        script = os.path.join(ours, "nbmake_dag", "inside", "call_by_path.py")
        program = (spec.python, "-u", script, ours, call)
        run = run_process(program, spec, emit, cancellation, redactor, cwd=cwd)
    else:
        from nbmake_dag.execute.processes.function_call import run_call  # noqa: PLC0415  # commands need no zygote

        run = run_call(call, spec, emit, cancellation, redactor, cwd=cwd)
    if run.outcome == "failed" and os.path.exists(failure):
        with open(failure, "rb") as described:
            found = Failure(**json.load(described))
        return replace(run, failure=msgspec.structs.replace(found, hint=_hint_of(found, spec)))
    return run


def _hint_of(failure: Failure, spec: AttemptSpec) -> str:
    """Return where a missing argument comes from, if the call itself failed: no line of the function was run."""
    if failure.type != "TypeError" or failure.line is not None or " required " not in failure.message:
        return ""
    missing = re.findall(r"'(\w+)'", failure.message)
    for kind, declared in (("inputs", spec.inputs), ("outputs", spec.outputs)):
        if kind in missing:
            return f"declare `{kind}` of the task"
        if named := next((name for name in missing if name in declared), ""):
            return (
                f'declared paths come together: give the function a parameter `{kind}`, with `{kind}["{named}"]`'
            )
    return f"parameters of the task are arguments: add `parameters = {{ {missing[0]} = ... }}`" if missing else ""
