"""An allocation of SLURM as a build sees it: played by commands on the PATH, and by a driver that goes away.

`tests/e2e/test_slurm.py` has a real SLURM.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psutil
import pytest
from msgspec import structs

from nbmake_dag.engine.dispatch.pool import Pool
from nbmake_dag.errors import InfrastructureError
from nbmake_dag.execute.executor_kind import Backend
from nbmake_dag.execute.processes import supervisor_process
from nbmake_dag.execute.processes.runtime_dir import RuntimeDir
from nbmake_dag.execute.processes.supervisor import Supervisor
from nbmake_dag.execute.ray import slurm
from nbmake_dag.execute.ray.kind import Allocation, Cluster
from nbmake_dag.execute.ray.slurm_job import TOKEN, URL
from tests.support.project import Project, await_true

WANTED = Allocation(nodes=3, options=("--exclusive",))
LINE = '[ray]\naddress = "slurm"\n[tasks.a]\ncommand = "true"\noutputs = []\n'


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of commands that play SLURM: `squeue` tells what its file says."""
    folder = tmp_path / "commands"
    folder.mkdir()
    tell(folder, "sbatch", 'echo "$@" > "$0.arguments"; env > "$0.env"; cat > "$0.script"; echo "7;cluster"')
    tell(folder, "squeue", 'cat "$0.answer"')
    tell(folder, "scancel", 'echo "$@" >> "$0.arguments"')
    tell(folder, "sinfo", "echo 127.0.0.1")
    (folder / "squeue.answer").write_text("PENDING|Resources\n")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Project]:
    """Make a project that is built as its user does."""
    project = Project(tmp_path / "lab")
    yield project
    project.leaves_nobody()


def tell(folder: Path, name: str, does: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{does}\n")
    (folder / name).chmod(0o755)


def submitted(said: list[str]) -> tuple[slurm.Job, slurm.Switchboard]:
    board = slurm.Switchboard("127.0.0.1", "secret")
    return slurm.submit(WANTED, "nbdag-x", board, "secret", said.append), board


def call(board: slurm.Switchboard, token: str = "secret") -> socket.socket:
    """Call as the job does."""
    host, _, port = board.address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.sendall(f"{token} 3\n".encode())
    return connection


def test_a_job_has_the_options_of_the_user_and_then_those_of_nbdag(commands: Path) -> None:
    """The token is in its environment, and in no command line that other users see."""
    said: list[str] = []
    job, _ = submitted(said)
    assert job.number == "7"
    assert said == ["SLURM job 7: 3 nodes asked for"]
    options = (commands / "sbatch.arguments").read_text().split()
    assert options[0] == "--exclusive"
    assert {"--job-name=nbdag-x", "--nodes=3", "--ntasks-per-node=1", "--requeue", "--export=ALL"} < set(options)
    script = (commands / "sbatch.script").read_text()
    assert script.endswith("-P -m nbmake_dag.execute.ray.slurm_job\n")
    assert "secret" not in script + " ".join(options)


def test_a_job_gets_no_variable_that_is_secret_or_an_option(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SLURM may keep the variables of a job for years; and `sbatch` reads some of them."""
    monkeypatch.setenv("API_KEY", "hidden")
    monkeypatch.setenv("SBATCH_WAIT", "1")
    monkeypatch.setenv("PLAIN", "shown")
    wanted = structs.replace(WANTED, withheld=("API_KEY",))
    slurm.submit(wanted, "nbdag-x", slurm.Switchboard("127.0.0.1", "secret"), "secret", lambda _: None)
    given = (commands / "sbatch.env").read_text().splitlines()
    assert "PLAIN=shown" in given
    assert not [line for line in given if line.startswith(("API_KEY", "SBATCH_WAIT"))]


@pytest.mark.parametrize(
    ("said", "misused"),
    [
        ("sbatch: error: invalid partition specified: x", True),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", False),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", False),
    ],
)
def test_what_sbatch_refuses_is_told(commands: Path, said: str, misused: bool) -> None:  # noqa: FBT001
    tell(commands, "sbatch", f"cat > /dev/null; echo '{said}' >&2; exit 1")
    with pytest.raises(slurm.SlurmError, match=re.escape(said)) as error:
        submitted([])
    assert error.value.misused is misused


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"])
def test_a_job_that_is_over_ends_the_wait(commands: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its state; so does one that SLURM no longer knows."""
    monkeypatch.setattr(slurm, "_FIRST_LOOK_S", 0.01)
    job, _ = submitted([])
    (commands / "squeue.answer").write_text(f"{state}|None\n")
    with pytest.raises(slurm.SlurmError, match=f"the SLURM job 7 ended: {state.lower()}"):
        job.await_nodes(lambda: 0)
    tell(commands, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    with pytest.raises(slurm.SlurmError, match="the SLURM job 7 ended: completed"):
        job.await_nodes(lambda: 0)


def test_a_wait_is_told_once_for_each_reason_and_ends_when_all_nodes_have_joined(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller that does not answer for a while ends nothing; a stranger's call counts for nothing."""
    monkeypatch.setattr(slurm, "_FIRST_LOOK_S", 0.01)
    said: list[str] = []
    job, board = submitted(said)
    answers = ["PENDING|Priority", "PENDING|Priority", "!", "PENDING|Resources"]
    tell(
        commands, "squeue", f'echo x >> "$0.calls"; sed -n "$(wc -l < "$0.calls")p" {commands}/answers | grep -v !'
    )
    (commands / "answers").write_text("\n".join([*answers, *["PENDING|Resources"] * 9]) + "\n")
    connections: list[socket.socket] = []

    def joined() -> int:
        return 3

    def join_after(text: str) -> None:
        said.append(text)
        if "Resources" in text:
            call(board, "guess")
            connections.append(call(board))

    job._say = join_after
    job.await_nodes(joined)
    assert said[1:] == [
        "SLURM job 7 waits: pending (Priority); Ctrl-C cancels it",
        "SLURM job 7 waits: pending (Resources); Ctrl-C cancels it",
        "SLURM job 7 runs: 3 nodes joined",
    ]
    board.send_to("10.0.0.1:6379")
    (connection,) = connections
    with connection, connection.makefile("r") as stream:
        assert next(line for line in stream if line.strip()) == "10.0.0.1:6379\n"


def test_what_the_nodes_print_is_shown_when_the_job_fails(commands: Path) -> None:
    job, board = submitted([])
    with call(board) as connection:
        connection.sendall(b"left: no space left\n")
    await_true(lambda: board.printed and not board.connected, 60, "nothing came")
    (commands / "squeue.answer").write_text("FAILED|NonZeroExitCode\n")
    with pytest.raises(slurm.SlurmError, match="ended: failed\n  left: no space left"):
        job.await_nodes(lambda: 0)


@pytest.mark.parametrize(("does", "within_s"), [("hangs up", 5), ("is silent", 20)])
def test_a_job_ends_when_the_driver_does_not_answer(tmp_path: Path, does: str, within_s: float) -> None:
    """At once when the connection closes, and after some seconds of silence, as after a loss of power."""
    tell(tmp_path, "srun", "exec sleep 1000")
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NUM_NODES": "1", TOKEN: "secret"}
        job = subprocess.Popen(
            [sys.executable, "-m", "nbmake_dag.execute.ray.slurm_job"], env=variables | {URL: f"{host}:{port}"}
        )
        driver, _ = server.accept()
        with driver, driver.makefile("rb") as stream:
            assert stream.readline() == b"secret 1\n"
            driver.sendall(b"\n10.0.0.1:6379\n")
            await_true(lambda: children(job.pid), 60, "srun was not started")
            (srun,) = children(job.pid)
            if does == "hangs up":
                driver.shutdown(socket.SHUT_RDWR)
            try:
                assert job.wait(within_s) == 1
            finally:
                # in SLURM, the end of the job is that of its steps
                os.kill(srun, signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_last_command_runs_when_all_else_is_dead(tmp_path: Path) -> None:
    """Once, again if it fails, with nothing of the build running beside it."""
    supervisor = Supervisor.start(RuntimeDir.create())
    tell(
        tmp_path, "last", f'echo tried >> {tmp_path}/tries; pgrep -f "sleep 9[9]871" > /dev/null && exit 1; exit 0'
    )
    supervisor.run_last([str(tmp_path / "last")])
    log = supervisor.runtime.join("log")
    supervisor.spawn(["sleep", "99871"], env={"PATH": os.environ["PATH"]}, cwd="/", log=log)
    supervisor.close()
    await_true((tmp_path / "tries").exists, 60, "it did not run")
    await_true(lambda: not Path(f"/proc/{supervisor.pid}").exists(), 60, "the supervisor stays")
    assert (tmp_path / "tries").read_text() == "tried\n"


def test_a_last_command_that_hangs_keeps_no_folder(tmp_path: Path) -> None:
    """What the build leaves may hold secrets: it goes first, also where the end is asked for meanwhile."""
    runtime = RuntimeDir.create()
    supervisor = Supervisor.start(runtime)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    supervisor.clear(str(scratch))
    tell(tmp_path, "last", f"echo begun >> {tmp_path}/tries; sleep 2; echo ended >> {tmp_path}/tries")
    supervisor.run_last([str(tmp_path / "last")])
    process = psutil.Process(supervisor.pid)
    supervisor.close()
    await_true((tmp_path / "tries").exists, 60, "it did not run")
    assert not scratch.exists()
    assert not os.path.exists(runtime.path)
    process.terminate()
    await_true(lambda: not Path(f"/proc/{supervisor.pid}").exists(), 60, "the supervisor stays")
    assert (tmp_path / "tries").read_text() == "begun\nended\n"


def test_a_last_command_that_takes_too_long_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_process, "_LAST_WITHIN_S", 0.2)
    monkeypatch.setattr(supervisor_process, "_LAST_AGAIN_S", 0.0)
    begun = time.monotonic()
    supervisor_process._run_last(["sleep", "600"])
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("name", ["SBATCH_CLUSTERS", "SLURM_CLUSTERS"])
def test_another_cluster_than_is_asked_about_is_refused(lab: Project, commands: Path, name: str) -> None:
    """The job would wait, and run, where nobody looks for it."""
    done = lab.pipeline(LINE).nbdag("build", env={"PATH": os.environ["PATH"], name: "other"})
    assert done.returncode == 2
    assert f"pipeline.toml:2: `{name}` is set" in done.stderr
    assert not (commands / "sbatch.script").exists()


def test_without_sbatch_nothing_is_begun(lab: Project, tmp_path: Path) -> None:
    """The error says which line asks for SLURM; on the command line there is none."""
    lab.pipeline(LINE)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/git").symlink_to(shutil.which("git") or "")
    path = f"{tmp_path / 'empty'}:{Path(sys.executable).parent}"
    said = "`sbatch` is not on the PATH, and the address `slurm` needs it"
    done = lab.nbdag("build", env={"PATH": path})
    hint = "hint: build where jobs are submitted, or give the address of a Ray cluster"
    assert (done.returncode, done.stderr) == (2, f"error: pipeline.toml:2: {said}\n\n{hint}\n")
    lab.pipeline(LINE[LINE.index("[tasks") :])
    done = lab.nbdag("build", "--ray-address=slurm", env={"PATH": path})
    assert (done.returncode, done.stderr.partition("\n")[0]) == (2, f"error: {said}")


def test_a_pool_whose_wait_failed_is_lost(commands: Path) -> None:
    """`watch` makes another one; with this one it would wait without an end."""
    tell(commands, "sbatch", "cat > /dev/null; echo 'Unable to contact slurm controller' >&2; exit 1")
    cluster = Cluster(
        address="slurm", runtime_env={}, root=str(commands), blobs=str(commands), max_size=1, allocation=WANTED
    )
    backend = Backend(
        name="ray",
        module="nbmake_dag.execute.ray.host",
        arguments=("--cluster", msgspec.json.encode(cluster).decode()),
        travels=True,
    )
    with closing(Pool((backend,), jobs=1, env=dict(os.environ), attempts=str(commands))) as pool:
        with pytest.raises(InfrastructureError, match="Unable to contact slurm controller"):
            pool.await_nodes()
        assert pool.lost


def test_a_refusal_ends_the_build_with_2(lab: Project, commands: Path) -> None:
    """What was in the queue by then is cancelled by name."""
    tell(commands, "sbatch", "cat > /dev/null; echo 'sbatch: error: invalid account' >&2; exit 1")
    done = lab.pipeline(LINE).nbdag("build", env={"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stderr) == (
        2,
        "error: sbatch gives no allocation: sbatch: error: invalid account\n",
    )
    await_true((commands / "scancel.arguments").exists, 60, "nothing was cancelled")
    cancelled = (commands / "scancel.arguments").read_text()
    assert re.fullmatch(rf"--name=nbdag-{re.escape(socket.gethostname())}-[0-9a-f]+\n", cancelled)


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_while_the_job_waits_cancels_it(lab: Project, commands: Path, number: signal.Signals) -> None:
    build = lab.pipeline(LINE).start("build", env={"PATH": os.environ["PATH"]})
    await_true((commands / "sbatch.script").exists, 60, "nothing was submitted")
    build.send_signal(number)
    assert build.wait(20) in {130, -number}
    await_true((commands / "scancel.arguments").exists, 60, "nothing was cancelled")
