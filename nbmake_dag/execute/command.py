"""Run a command: a program with its arguments, or a line of shell."""

from __future__ import annotations

import os
from collections.abc import Callable

from nbmake_dag.execute.cancellation import Cancellation
from nbmake_dag.execute.process import ProcessRun, run_process
from nbmake_dag.execute.protocol import AttemptSpec, CommandWork, Event


def run_command(
    spec: AttemptSpec, work: CommandWork, emit: Callable[[Event], None], cancellation: Cancellation
) -> ProcessRun:
    """Run a command with ``spec.env`` as its environment; a string stops at its first failing command."""
    arguments = ("sh", "-ec", work.arguments) if isinstance(work.arguments, str) else work.arguments
    return run_process(arguments, spec, emit, cancellation, cwd=os.path.join(spec.root, spec.workdir))
