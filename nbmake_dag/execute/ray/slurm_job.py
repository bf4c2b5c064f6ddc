"""The job of a build on SLURM: it starts Ray on each of its nodes, and ends when the driver is no longer heard.

Run by the script that `nbmake_dag.execute.ray.slurm` hands to `sbatch`, once for the job, and with an argument by
`srun`, once on each node.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import NoReturn

from nbmake_dag.execute.processes.supervisor_process import become_subreaper, end_descendants

URL, TOKEN = "NBDAG_SLURM_DRIVER", "NBDAG_SLURM_TOKEN"
"""Variables of the job: where the driver listens, and what to show it."""
BEAT_EVERY_S = 1.0
_SILENT_FOR_S = 8.0
"""The driver is gone, or its network."""
_SELF = (sys.executable, "-P", "-m", "nbmake_dag.execute.ray.slurm_job")
_TRIES = 5
"""On a busy node Ray gives up when a part of it takes long to begin."""
_PAUSE_S = 10.0
_STARTED_AFTER_S = 120.0
"""By then it has given up, or runs."""


def main() -> None:
    match sys.argv[1:]:
        case []:
            _run_job()
        case ["node", head]:
            _run_node(head)
        case ["start", *_] as arguments:
            _run_ray(arguments)
        case other:
            sys.exit(f"not known: {other}")


def _run_job() -> NoReturn:
    """Call the driver, start the nodes, and pass on what they print."""
    host, _, port = os.environ[URL].rpartition(":")
    try:
        connection = socket.create_connection((host, int(port)), timeout=_SILENT_FOR_S)
    except OSError as error:
        sys.exit(f"the driver is gone: {error}")
    stream = connection.makefile("rwb")
    stream.write(f"{os.environ[TOKEN]} {os.environ['SLURM_JOB_NUM_NODES']}\n".encode())
    stream.flush()
    head = next((text for line in stream if (text := line.decode().strip())), "")
    if not head:
        sys.exit("the driver hung up")
    threading.Thread(target=_end_unless_heard, args=(connection,), daemon=True).start()
    argv = _srun(head, os.environ)
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=connection.fileno(), stderr=subprocess.STDOUT
    ) as nodes:
        sys.exit(nodes.wait() or 1)


def _end_unless_heard(connection: socket.socket) -> None:
    """End the job, and SLURM then all that it runs."""
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass
    os._exit(1)


def _srun(head: str, variables: Mapping[str, str]) -> list[str]:
    count = variables["SLURM_JOB_NUM_NODES"]
    cpus = variables.get("SLURM_CPUS_PER_TASK")
    return [
        "srun",
        f"--nodes={count}",
        f"--ntasks={count}",
        "--ntasks-per-node=1",
        *([f"--cpus-per-task={cpus}"] if cpus else []),
        "--cpu-bind=none",
        "--kill-on-bad-exit=0",
        "--no-kill",
        "--unbuffered",
        *_SELF,
        "node",
        head,
    ]


def _run_node(head: str) -> NoReturn:
    """Run Ray on this node with what SLURM gave, until the step ends."""
    become_subreaper()
    # short, for Ray's sockets
    temporary = tempfile.mkdtemp(prefix="nbdag-ray-", dir="/tmp")

    def end(code: int) -> NoReturn:
        end_descendants(os.getpid())
        shutil.rmtree(temporary, ignore_errors=True)
        os._exit(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: end(0))
    environment = {name: value for name, value in os.environ.items() if name not in {URL, TOKEN}}
    arguments = _ray_arguments(head, temporary, os.environ)
    code = 0
    for _ in range(_TRIES):
        begun = time.monotonic()
        code = subprocess.Popen([*_SELF, *arguments], env=environment).wait()
        end_descendants(os.getpid())
        if time.monotonic() - begun > _STARTED_AFTER_S:
            break
        # not all nodes of a slow file system at once
        time.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311 - no secret
    end(code)


def _ray_arguments(head: str, temporary: str, variables: Mapping[str, str]) -> list[str]:
    """Return the arguments of `ray start` on a node; the GPUs are those that SLURM lets it see."""
    arguments = ["start", f"--address={head}", f"--temp-dir={temporary}", "--block"]
    if cpus := variables.get("SLURM_CPUS_ON_NODE"):
        arguments.append(f"--num-cpus={cpus}")
    if (megabytes := variables.get("SLURM_MEM_PER_NODE", "")).isdecimal() and int(megabytes):
        arguments.append(f"--memory={int(megabytes) << 20}")
    return arguments


def _run_ray(arguments: list[str]) -> None:
    """Be the command `ray`, without what no build needs."""
    from ray.scripts.scripts import cli  # noqa: PLC0415 - on the nodes alone

    from nbmake_dag.execute.ray.local import light_node  # noqa: PLC0415 - likewise

    with light_node():
        cli(arguments)


if __name__ == "__main__":
    main()
